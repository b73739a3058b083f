import { assert, assertEquals } from "@std/assert";
import { anyGpu, forms } from "./gpu/device.ts";
import { compareCase, kernelCases, runCase } from "./kernels/run_case.ts";

Deno.test("the software adapter runs both forms of every kernel", () => {
  if (anyGpu.name.includes("llvmpipe")) assertEquals([...forms.keys()], ["subgroups", "plain"]);
  assert(forms.has("plain"));
});

for (const { kernel, runs } of kernelCases) {
  for (const kernelRun of runs) {
    const { feature } = kernelRun;
    const lacking = feature !== undefined && !anyGpu.features.includes(feature);
    const name = `${kernel}: ${kernelRun.name}${lacking ? ` (this device lacks ${feature})` : ""}`;
    Deno.test({ name, ignore: lacking }, async () => {
      const expected = kernelRun.reference();
      let first: Map<string, Uint32Array> | undefined;
      for (const [form, gpu] of forms) {
        const found = await runCase(gpu, kernelRun);
        compareCase(gpu, form, kernelRun, found, expected);
        // The same sums in the same order, so the same bits.
        first ??= found;
        assertEquals(found, first, `${form} differs from ${[...forms.keys()][0]}`);
      }
    });
  }
}
