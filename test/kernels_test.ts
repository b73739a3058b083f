import { assert, assertEquals } from "@std/assert";
import { MATRIX_FEATURE } from "../src/gpu/matrix_units.ts";
import { anyGpu, forms, lacks } from "./gpu/device.ts";
import { compareCase, kernelCases, runCase } from "./kernels/run_case.ts";
import { skipIf } from "./skip.ts";

Deno.test("the software adapter runs both forms of every kernel", () => {
  if (anyGpu.name.includes("llvmpipe")) assertEquals([...forms.keys()], ["subgroups", "plain"]);
  assert(forms.has("plain"));
});

Deno.test("exp of a hidden number is 0 on every GPU: its product with log2(e) is finite", () => {
  const shaders = ["attention.wgsl", "lib/candidate.wgsl"];
  for (const name of shaders) {
    const source = Deno.readTextFileSync(new URL(`../shaders/${name}`, import.meta.url));
    const hidden = Number(/^const HIDDEN = ([-\d.e]+);/m.exec(source)?.[1]);
    assert(hidden < -1e37, name);
    assert(Number.isFinite(Math.fround(2 * hidden * Math.LOG2E)), name);
  }
});

for (const { kernel, runs } of kernelCases) {
  for (const kernelRun of runs) {
    // Deno's own devices never have matrix units: dawn_kernels_test.ts runs what needs them.
    if (kernelRun.feature === MATRIX_FEATURE) continue;
    Deno.test({
      ...skipIf(lacks(anyGpu, kernelRun.feature), `${kernel}: ${kernelRun.name}`),
      async fn() {
        const expected = kernelRun.reference();
        let first: Map<string, Uint32Array> | undefined;
        for (const [form, gpu] of forms) {
          const found = await runCase(gpu, kernelRun);
          compareCase(gpu, form, kernelRun, found, expected);
          // The same sums in the same order, so the same bits.
          first ??= found;
          assertEquals(found, first, `${form} differs from ${[...forms.keys()][0]}`);
        }
      },
    });
  }
}
