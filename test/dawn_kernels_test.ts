/** Every kernel through Dawn: compiled without a driver in every variant, run where there is one. */

import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../src/gpu/device.ts";
import { MATRIX_FEATURE, type MatrixUnits, matrixUnitsOf } from "../src/gpu/matrix_units.ts";
import { shaderCode } from "../src/gpu/pipeline.ts";
import { Recorder } from "../src/gpu/recorder.ts";
import { matrixMultiplyKernel } from "../src/kernels/matrix_multiply.ts";
import { matrixQkvKernel } from "../src/kernels/matrix_qkv.ts";
import { matrixSwigluKernel } from "../src/kernels/matrix_swiglu.ts";
import { multiplyAddKernel } from "../src/kernels/multiply_add.ts";
import { SCHEMES } from "../src/quant/scheme.ts";
import { dawnCompiler, dawnForms, noDawnCompiler, noDawnForm } from "./gpu/dawn.ts";
import { lacks } from "./gpu/device.ts";
import { compareCase, HAS_FORMS, kernelCases, runCase } from "./kernels/run_case.ts";
import { skipIf } from "./skip.ts";

/** Lanes of a subgroup, such that four fill the least workgroup that the compiler takes. */
const SUBGROUP = 32;

/** What the compiler is told of an adapter with these matrix units. */
function units(shape: string, most = SUBGROUP): MatrixUnits {
  const [M, N, K] = shape.split("x").map(Number);
  const made = matrixUnitsOf(
    {
      subgroupMinSize: SUBGROUP,
      subgroupMaxSize: most,
      subgroupMatrixConfigs: [{ componentType: "f16", resultComponentType: "f32", M, N, K }],
    },
    { maxComputeWorkgroupStorageSize: 32768 },
    true,
  );
  assert(made, `kernels know no units that multiply ${shape}`);
  return made;
}

for (const { kernel, runs } of kernelCases) {
  Deno.test({
    ...skipIf(noDawnCompiler, `Dawn compiles ${kernel} in every variant`),
    async fn() {
      const variants = [["uniform", false], ["exchanged", true], ["exchanged", false]] as const;
      for (const [rowForm, subgroups] of variants) {
        // Without subgroups, kernels on matrix units ask for the size of theirs.
        const matrixUnits = units("8x8x8", subgroups ? SUBGROUP : 2 * SUBGROUP);
        const gpu: Gpu = { ...dawnCompiler!, rowForm, subgroups, matrixUnits };
        for (const { name, upload } of runs) {
          gpu.device.pushErrorScope("validation");
          const { tensors, record } = upload(gpu);
          using recorder = new Recorder(gpu);
          record(recorder);
          recorder.submit();
          tensors[Symbol.dispose]();
          const error = await gpu.device.popErrorScope();
          assertEquals(error?.message, undefined, `${name}, rows ${rowForm}`);
        }
      }
      dawnCompiler!.throwIfFaulty();
    },
  });
}

for (const kernel of [matrixMultiplyKernel, matrixQkvKernel, matrixSwigluKernel]) {
  for (const shape of ["8x8x8", "8x16x16", "16x16x16"]) {
    // Without a pipeline: larger units take more workgroup memory than an adapter without a driver has.
    Deno.test({
      ...skipIf(noDawnCompiler, `Dawn compiles ${kernel.name} for units of ${shape}`),
      async fn() {
        const gpu: Gpu = { ...dawnCompiler!, matrixUnits: units(shape) };
        for (const { name, snippet } of Object.values(SCHEMES)) {
          const code = shaderCode(gpu, kernel, { snippet, arithmetic: "f32" });
          gpu.device.pushErrorScope("validation");
          const { messages } = await gpu.device.createShaderModule({ code }).getCompilationInfo();
          assertEquals(messages.map(({ message }) => message), [], name);
          assertEquals(await gpu.device.popErrorScope(), null, name);
        }
      },
    });
  }
}

Deno.test({
  ...skipIf(noDawnCompiler, "Dawn says where a shader is wrong, in the shader's own lines"),
  async fn() {
    const source = multiplyAddKernel.source.replace("let a = vec4", "let a = vec5");
    const line = source.split("\n").findIndex((text) => text.includes("vec5")) + 1;
    const code = shaderCode(dawnCompiler!, { ...multiplyAddKernel, source }, undefined);
    dawnCompiler!.device.pushErrorScope("validation");
    dawnCompiler!.device.createShaderModule({ code });
    const error = await dawnCompiler!.device.popErrorScope();
    assert(error?.message.includes(`:${line}:`), error?.message);
  },
});

for (const { kernel, runs } of kernelCases) {
  for (const [feature, needing] of Map.groupBy(runs, ({ feature }) => feature)) {
    const onUnits = feature === MATRIX_FEATURE;
    // Other kernels do not know of matrix units.
    const forms = onUnits ? ["matrix units"] as const : [
      ...["subgroups", "plain"] as const,
      ...HAS_FORMS.includes(kernel) ? ["uniform"] as const : [],
    ];
    for (const form of forms) {
      const gpu = dawnForms.get(form);
      const missing = gpu ? lacks(gpu, feature) : noDawnForm(form);
      const which = feature === undefined || onUnits ? "" : `, with ${feature}`;
      Deno.test({
        ...skipIf(missing, `Dawn runs ${kernel}${which}, ${form}`),
        async fn() {
          // Deno's own WebGPU runs all sizes of the form that takes longest to compile.
          const some = form === "uniform" ? needing.filter((_, i) => i % 5 === 0) : needing;
          for (const kernelRun of some) {
            const found = await runCase(gpu!, kernelRun);
            compareCase(gpu!, `${kernelRun.name}:`, kernelRun, found, kernelRun.reference(gpu!));
          }
        },
      });
    }
  }
}
