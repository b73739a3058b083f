/**
 * Every form of the linear layers against the golden logits, which are of the weights as they are
 * stored and of f32 arithmetic: how far a coarser form may be off is stated here, as the root mean
 * square of the difference over that of the logits. Random weights forgive less than trained ones.
 */

import { assert } from "@std/assert";
import type { GpuFeature } from "../../src/gpu/device.ts";
import { loadModel, type WeightPrecision } from "../../src/model/loading/load.ts";
import type { Model } from "../../src/model/model.ts";
import { quantised } from "../../src/quant/scheme.ts";
import { allForms, lacks } from "../gpu/device.ts";
import type { ForwardFile } from "../../src/evaluate/parity/golden_files.ts";
import { goldenPath, readGolden } from "../reference/golden.ts";
import { readSafetensors } from "../reference/read.ts";
import { skipIf } from "../skip.ts";

const [q8, q8of64, q4] = [quantised("q8", 32), quantised("q8", 64), quantised("q4", 32)];

/** Against the golden logits: the most it may be off, and the least for it to have done anything. */
const VARIANTS: readonly {
  readonly name: string;
  readonly precision: WeightPrecision;
  readonly most: number;
  readonly least: number;
  readonly feature?: GpuFeature;
}[] = [
  {
    name: "f16 arithmetic",
    precision: { arithmetic: "f16" },
    most: 0.012,
    least: 1e-4,
    feature: "shader-f16",
  },
  { name: "q8", precision: { layers: q8, head: q8 }, most: 0.1, least: 1e-3 },
  { name: "q8, groups of 64", precision: { layers: q8of64, head: q8of64 }, most: 0.1, least: 1e-3 },
  {
    name: "q8, f16 arithmetic",
    precision: { layers: q8, head: q8, arithmetic: "f16" },
    most: 0.1,
    least: 1e-3,
    feature: "shader-f16",
  },
  {
    name: "q8, int8 arithmetic",
    precision: { layers: q8, head: q8, arithmetic: "int8" },
    most: 0.13,
    least: 1e-3,
  },
];

/** Relative root mean square difference. */
function distance(found: Float32Array, expected: ArrayLike<number>): number {
  let squares = 0;
  let differences = 0;
  for (let i = 0; i < found.length; i++) {
    squares += expected[i] ** 2;
    differences += (found[i] - expected[i]) ** 2;
  }
  return Math.sqrt(differences / squares);
}

for (const name of ["gqa-bf16", "tied-f16", "pair-target"]) {
  const golden = readGolden<ForwardFile>(`forward/${name}.json`);
  const tensors = readSafetensors(goldenPath(`forward/${name}.safetensors`));
  const folder = goldenPath(`checkpoints/${golden.checkpoint}`);
  for (const { name: variant, precision, most, least, feature } of VARIANTS) {
    // Other forms compile slowly on a software adapter: once is enough, their bits are the first one's.
    const ofCase = [...allForms].filter((_, i) => i === 0 || name === "gqa-bf16");
    for (const [form, gpu] of ofCase) {
      Deno.test({
        ...skipIf(lacks(gpu, feature), `${name}, ${variant}, ${form}: near the golden logits`),
        async fn() {
          using model = await loadModel(gpu, folder, { precision });
          for (const { name: label, ids } of golden.cases) {
            const { logits } = await model.forward(Uint32Array.from(ids));
            const off = distance(logits, tensors.get(`${label}.logits`)!.data);
            assert(off <= most, `${label}: off by ${off}, at most ${most} expected`);
            assert(off >= least, `${label}: off by ${off}: was the variant used?`);
          }
        },
      });
    }
  }
}

for (const [form, gpu] of allForms) {
  // q4 is too coarse for random weights to stay near the golden logits; that it computes with just the
  // weights that its codes stand for is shown in quantised_test.ts, bit by bit.
  Deno.test(`q4, int8 arithmetic, ${form}: near q4 with f32 arithmetic`, async () => {
    const folder = goldenPath("checkpoints/gqa-bf16");
    const golden = readGolden<ForwardFile>("forward/gqa-bf16.json");
    const load = (arithmetic: WeightPrecision["arithmetic"]): Promise<Model> =>
      loadModel(gpu, folder, { precision: { layers: q4, head: q4, arithmetic } });
    using coarse = await load("int8");
    using exact = await load("f32");
    for (const { ids } of golden.cases) {
      const input = Uint32Array.from(ids);
      const off = distance(
        (await coarse.forward(input)).logits,
        (await exact.forward(input)).logits,
      );
      assert(off <= 0.1, `off by ${off}`);
      assert(off >= 1e-3, `off by ${off}: was int8 used?`);
    }
  });
}
