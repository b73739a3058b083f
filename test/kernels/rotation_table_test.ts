import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { rotationTable } from "../../src/kernels/qkv.ts";

Deno.test("the rotation table is cos and sin of position * theta^(-2i/headDim)", () => {
  for (const [headDim, theta] of [[16, 10000], [18, 500000], [128, 500000]]) {
    const positions = 4096;
    const table = rotationTable(positions, headDim, theta);
    assertEquals(table.length, positions * headDim);
    for (let position = 0; position < positions; position += 61) {
      for (let i = 0; i < headDim / 2; i++) {
        const [cos, sin] = table.subarray(position * headDim + 2 * i);
        const angle = position * theta ** (-2 * i / headDim);
        // Exponent, power, its inverse and angle are rounded to f32 each, as in the published code.
        const allowed = 2 ** -24 * (1 + angle * (3 + Math.log(theta)));
        assertAlmostEquals(cos, Math.cos(angle), allowed, `cos of ${position}, channel ${i}`);
        assertAlmostEquals(sin, Math.sin(angle), allowed, `sin of ${position}, channel ${i}`);
        assert(Math.abs(cos ** 2 + sin ** 2 - 1) < 2 ** -22);
      }
    }
  }
});
