/** Codes and scales against their definition, for weights of every size. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { f32ToBf16, toF32 } from "../../src/gpu/dtype.ts";
import { decodeRows, encodeRows, mostCode } from "../../src/quant/encode.ts";
import { codeOf, LEAST_SCALE_BITS, scaleBits, scaleOf } from "../../src/quant/group.ts";
import {
  BLOCK,
  elementsPerUnit,
  GROUP_SIZES,
  groupsOf,
  QUANTISED,
  quantised,
  type QuantScheme,
  SCHEMES,
  storedRowBytes,
} from "../../src/quant/scheme.ts";

const schemes: readonly QuantScheme[] = QUANTISED.flatMap((name) =>
  GROUP_SIZES.map((group) => quantised(name, group))
);

/** The largest finite f16. */
const MOST_SCALE = 65504;

const scheme = fc.constantFrom(...schemes);
/** Widths with groups that are whole, cut short, and odd in number. */
const inner = fc.integer({ min: 1, max: 200 });
/** Rows whose weights are of one size, as in models, or of any. */
const rows = inner.chain((width) =>
  fc.tuple(
    fc.constant(width),
    fc.integer({ min: -20, max: 12 }),
    fc.array(fc.float({ min: -1, max: 1, noNaN: true }), {
      minLength: width,
      maxLength: 3 * width,
    }),
  ).map(([width, exponent, values]) => ({
    width,
    weights: Float32Array.from(values, (value) => value * 2 ** exponent)
      .subarray(0, values.length - values.length % width),
  }))
);

Deno.test("eight weights of every scheme fill whole units, as kernels load them", () => {
  for (const scheme of Object.values(SCHEMES)) {
    const units = BLOCK / elementsPerUnit(scheme);
    assert(Number.isInteger(units), `${scheme.name}: ${BLOCK} weights are ${units} units`);
  }
});

Deno.test("every scheme is told from the others by its bits, as config.json does", () => {
  assertEquals(new Set(QUANTISED.map((name) => SCHEMES[name].bits)).size, QUANTISED.length);
});

Deno.test("a decoded weight is within half a step, the exact tie going up", () => {
  fc.assert(
    fc.property(scheme, rows, (scheme, { width, weights }) => {
      const encoded = encodeRows(scheme, weights, width);
      const decoded = decodeRows(scheme, encoded, width);
      const count = weights.length / width;
      assertEquals(encoded.codes.length, count * storedRowBytes(scheme, width));
      assertEquals(encoded.scales.length, count * groupsOf(scheme, width));
      assertEquals(decoded.length, weights.length);
      for (let i = 0; i < weights.length; i++) {
        const group = Math.floor(i % width / scheme.group!);
        const row = Math.floor(i / width);
        const scale = scaleOf(encoded.scales[row * groupsOf(scheme, width) + group]);
        assert(Math.abs(decoded[i] - weights[i]) <= scale / 2, `${weights[i]} is ${decoded[i]}`);
        if (decoded[i] - weights[i] === -scale / 2) assert(false, `${weights[i]} went down`);
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("a scale is the least that clips no code", () => {
  const magnitude = fc.oneof(
    fc.float({ min: 0, max: Math.fround(1e6), noNaN: true }),
    fc.float({ min: 0, max: Math.fround(0.1), noNaN: true }),
    // Just what a scale reaches, and the f32 above it.
    fc.integer({ min: LEAST_SCALE_BITS, max: 0x7bff }).chain((bits) =>
      fc.constantFrom(7, 127).map((most) => Math.fround(most * scaleOf(bits)))
    ),
  );
  fc.assert(
    fc.property(magnitude, fc.constantFrom(7, 127), (magnitude, most) => {
      const bits = scaleBits(magnitude, most);
      const scale = scaleOf(bits);
      assert(most * scale >= magnitude || scale === MOST_SCALE, `${magnitude}: ${scale} clips`);
      assert(
        bits === LEAST_SCALE_BITS || most * scaleOf(bits - 1) < magnitude,
        `${magnitude}: ${scale} is not the least`,
      );
    }),
    { numRuns: 2000 },
  );
});

Deno.test("a code is the nearest, whatever the quotient rounds to", () => {
  const bits = fc.integer({ min: LEAST_SCALE_BITS, max: 0x7bff });
  const most = fc.constantFrom(7, 127);
  // Weights at, and one f32 beside, the middle between two codes.
  const middle = fc.tuple(
    bits,
    most,
    fc.integer({ min: -128, max: 128 }),
    fc.constantFrom(-1, 0, 1),
  );
  fc.assert(
    fc.property(middle, ([bits, most, steps, beside]) => {
      const scale = scaleOf(bits);
      const word = new Int32Array(Float32Array.of((steps + 0.5) * scale).buffer);
      word[0] += beside;
      const [weight] = new Float32Array(word.buffer);
      const code = codeOf(weight, scale, 1 / scale, most);
      // Rounded up from what is exact in f64: the products have 19 bits.
      let nearest = -most;
      for (let other = -most; other <= most; other++) {
        if (weight >= (other - 0.5) * scale) nearest = other;
      }
      assertEquals(code, nearest);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("what was decoded is encoded to the same codes", () => {
  fc.assert(
    fc.property(scheme, rows, (scheme, { width, weights }) => {
      const decoded = decodeRows(scheme, encodeRows(scheme, weights, width), width);
      const again = encodeRows(scheme, decoded, width);
      assertEquals(decodeRows(scheme, again, width), decoded);
    }),
    { numRuns: 200 },
  );
});

Deno.test("zeros stay zeros, and codes are symmetric", () => {
  for (const scheme of schemes) {
    const most = mostCode(scheme);
    const weights = Float32Array.of(0, 1, -1, 0.5);
    const encoded = encodeRows(scheme, weights, 4);
    const decoded = decodeRows(scheme, encoded, 4);
    assertEquals(decoded[0], 0);
    assertEquals(decoded[1], -decoded[2]);
    assertEquals(decoded[1], most * scaleOf(encoded.scales[0]));
    assertEquals(
      decodeRows(scheme, encodeRows(scheme, new Float32Array(9), 3), 3),
      new Float32Array(9),
    );
  }
});

Deno.test("bf16 weights, rows by rows, give what all rows give at once", () => {
  const values = Float32Array.from({ length: 6 * 96 }, (_, i) => Math.sin(i) / 20);
  const weights = toF32(new Uint8Array(f32ToBf16(values).buffer), "BF16");
  for (const scheme of schemes) {
    const whole = encodeRows(scheme, weights, 96);
    const parts = [weights.subarray(0, 96), weights.subarray(96)].map((part) =>
      encodeRows(scheme, part, 96)
    );
    assertEquals(parts.flatMap(({ codes }) => [...codes]), [...whole.codes]);
    assertEquals(parts.flatMap(({ scales }) => [...scales]), [...whole.scales]);
  }
});

Deno.test("a weight that is not finite is named by its place", () => {
  for (const scheme of schemes) {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const weights = new Float32Array(3 * 40).fill(0.5);
      weights[40 + 37] = bad;
      const { message } = assertThrows(() => encodeRows(scheme, weights, 40), RangeError);
      assertEquals(message, `row 1, column 37: found ${bad}, expected a finite weight`);
    }
  }
});
