/** Products in strips: the same bits as in tiles, on every form that has strips. */

import { assertEquals } from "@std/assert";
import { runsInStrips } from "../../src/kernels/strips.ts";
import { anyGpu, forms, lacks, withLimits } from "../gpu/device.ts";
import { skipIf } from "../skip.ts";
import { compareCase, runCase } from "./run_case.ts";
import { inTwo, kernelCase as addNorm } from "./strip_add_norm.ts";
import { withNaN } from "./strip_head.ts";
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

Deno.test("weights that fit no texture stay in a buffer: the same bits", async () => {
  for (const [form, gpu] of forms) {
    const narrow = withLimits(gpu, { maxTextureDimension2D: 1 });
    for (const run of matmul.kernelCase.runs.filter(({ feature }) => !lacks(gpu, feature))) {
      const name = `${form}, ${run.name}`;
      assertEquals(await runCase(narrow, run), await runCase(gpu, run), name);
    }
  }
});

Deno.test({
  ...skipIf(
    anyGpu.software ? undefined : "this is no software adapter",
    "strip_head: a logit that is no number hides no other",
  ),
  async fn() {
    const [run] = withNaN.runs;
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
