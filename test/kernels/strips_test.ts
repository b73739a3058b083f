/** Products in strips: the same bits as in tiles, on every form that has strips. */

import { assertEquals } from "@std/assert";
import { stripHead } from "../../src/kernels/strip_head.ts";
import { runsInStrips } from "../../src/kernels/strips.ts";
import { anyGpu, forms, lacks } from "../gpu/device.ts";
import { skipIf } from "../skip.ts";
import { defineCase } from "./case.ts";
import { declared as headCase, type Inputs, type Size } from "./head.ts";
import { hostMatrix } from "./matrix.ts";
import { compareCase, runCase } from "./run_case.ts";
import { inTwo, kernelCase as addNorm } from "./strip_add_norm.ts";
import * as matmul from "./strip_matmul.ts";
import * as qkv from "./strip_qkv.ts";
import * as swiglu from "./strip_swiglu.ts";

const alike = [matmul, qkv, swiglu].map(({ kernelCase, inTiles }) => [kernelCase, inTiles]);
for (const [{ kernel, runs }, other] of [...alike, [addNorm, inTwo]]) {
  for (const [i, run] of runs.entries()) {
    Deno.test({
      ...skipIf(
        lacks(anyGpu, run.feature),
        `${kernel}: ${run.name}: the bits of tiles, or of two calls`,
      ),
      async fn() {
        for (const [form, gpu] of forms) {
          assertEquals(await runCase(gpu, run), await runCase(gpu, other.runs[i]), form);
        }
      },
    });
  }
}

/** Their logits are beyond f32, so that guidance makes NaN of them. */
const BEYOND = [0, 8];

Deno.test({
  ...skipIf(
    anyGpu.software ? undefined : "this is no software adapter",
    "strip_head: a logit that is no number hides no other",
  ),
  async fn() {
    const head = headCase(stripHead);
    const { runs: [run] } = defineCase<Size, Inputs>({
      ...head,
      kernel: "strip_head",
      sizes: [{ name: "NaN", entries: 2, vocabulary: 20, inner: 1, scheme: "f32", guidance: 1.5 }],
      inputs(size, random) {
        const inputs = head.inputs(size, random);
        inputs.x.forEach((_, i) => inputs.x[i] = i % 8 === 0 ? 2 + i / 8 : 0);
        const values = random.floats(size.vocabulary, 1);
        for (const token of BEYOND) values[token] = 3e38;
        return { ...inputs, matrix: hostMatrix("f32", 1, values) };
      },
      reference(inputs, gpu) {
        const plans = inputs.plans.map((plan) => ({ ...plan, banned: BEYOND }));
        return head.reference({ ...inputs, plans }, gpu);
      },
    });
    for (const [form, gpu] of forms) {
      compareCase(gpu, form, run, await runCase(gpu, run), run.reference(gpu));
    }
  },
});

Deno.test("strips are for f32 products of a software adapter, with columns in fours and no splits", () => {
  const part = { firstColumn: 0, columns: 8, binding: {} as never };
  const matrix = {
    scheme: {} as never,
    blocks: 1,
    columns: 8,
    parts: [part],
    arithmetic: "f32",
  } as const;
  const software = { rowForm: "exchanged" } as const;
  assertEquals(runsInStrips(software, matrix, 8, 12), true);
  assertEquals(runsInStrips({ rowForm: "uniform" }, matrix), false);
  assertEquals(runsInStrips(software, matrix, 8, 9), false);
  assertEquals(runsInStrips(software, { ...matrix, arithmetic: "int8" }), false);
  assertEquals(runsInStrips(software, { ...matrix, tiles: { splits: 2, rowGroups: 1 } }), false);
  for (const odd of [{ columns: 6 }, { firstColumn: 2 }]) {
    assertEquals(runsInStrips(software, { ...matrix, parts: [part, { ...part, ...odd }] }), false);
  }
});
