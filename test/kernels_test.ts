import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import { MATRIX_FEATURE } from "../src/gpu/matrix_units.ts";
import { allForms, anyGpu, forms, lacks } from "./gpu/device.ts";
import { assertGradients } from "./kernels/finite_differences.ts";
import { compareCase, HAS_FORMS, kernelCases, runCase } from "./kernels/run_case.ts";
import { skipIf } from "./skip.ts";

Deno.test("the software adapter runs all forms of every kernel", () => {
  if (anyGpu.name.includes("llvmpipe")) {
    assertEquals([...forms.keys()], ["subgroups", "plain"]);
  }
  assert(forms.has("plain"));
});

Deno.test("exp of a hidden number is 0 on every GPU: its product with log2(e) is finite", () => {
  const shaders = ["attention.wgsl", "attention_backward_queries.wgsl", "lib/candidate.wgsl"];
  for (const name of shaders) {
    const source = Deno.readTextFileSync(new URL(`../shaders/${name}`, import.meta.url));
    const hidden = Number(/^const HIDDEN = ([-\d.e]+);/m.exec(source)?.[1]);
    assert(hidden < -1e37, name);
    assert(Number.isFinite(Math.fround(2 * hidden * Math.LOG2E)), name);
  }
});

Deno.test("the bench finds a kernel's case by its name, and times it", async () => {
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "bench",
      "-A",
      "--no-check",
      "--json",
      "--filter",
      "/^rms_norm:/",
      "test/kernels_bench.ts",
    ],
    cwd: fileURLToPath(new URL("../", import.meta.url)),
  }).output();
  assert(success, new TextDecoder().decode(stderr));
  const { benches } = JSON.parse(new TextDecoder().decode(stdout)) as {
    readonly benches: readonly {
      readonly name: string;
      readonly results: readonly { readonly ok: { readonly avg: number } }[];
    }[];
  };
  assertEquals(benches.map(({ name }) => name.replace(/ \(.*/, "")), [
    "rms_norm: 128 rows of 1024",
  ]);
  assert(benches[0].results[0].ok.avg > 0);
});

Deno.test("the reference of every kernel that writes gradients is compared with finite differences", () => {
  for (const { kernel, runs } of kernelCases) {
    if (!/_backward$|^cross_entropy$|^distil_loss$/.test(kernel)) continue;
    for (const { name, differences } of runs) assert(differences, `${kernel}: ${name}`);
  }
});

for (const { kernel, runs } of kernelCases) {
  for (const kernelRun of runs) {
    // Deno's own devices never have matrix units: dawn_kernels_test.ts runs what needs them.
    if (kernelRun.feature === MATRIX_FEATURE) continue;
    Deno.test({
      ...skipIf(lacks(anyGpu, kernelRun.feature), `${kernel}: ${kernelRun.name}`),
      async fn() {
        if (kernelRun.differences) assertGradients(kernelRun.differences(), kernelRun.name);
        const expected = kernelRun.reference(anyGpu);
        let first: Map<string, Uint32Array> | undefined;
        for (const [form, gpu] of HAS_FORMS.includes(kernel) ? allForms : forms) {
          if (kernelRun.ownFormOnly && gpu.software && gpu !== anyGpu) continue;
          const found = await runCase(gpu, kernelRun);
          compareCase(gpu, form, kernelRun, found, expected);
          if (form === "uniform" && kernelRun.ordersByForm) continue;
          // The same sums in the same order, so the same bits.
          first ??= found;
          assertEquals(found, first, `${form} differs from ${[...forms.keys()][0]}`);
        }
      },
    });
  }
}
