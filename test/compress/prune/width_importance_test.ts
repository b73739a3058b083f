/** Importances of neurons and heads, against recorded activations, and the file that holds them. */

import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { join } from "node:path";
import {
  inactiveNeurons,
  measureImportance,
  readImportance,
  readNeuronImportance,
  type WidthImportance,
  writeImportance,
} from "../../../src/compress/prune/width_importance.ts";
import type { ForwardFile } from "../../../src/evaluate/parity/golden_files.ts";
import { openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { allForms, anyGpu } from "../../gpu/device.ts";
import { goldenModel } from "../../model/models.ts";
import { withFolder } from "../../model/random_checkpoint.ts";
import { goldenPath, readGolden } from "../../reference/golden.ts";
import { readCheckpoint, readSafetensors } from "../../reference/read.ts";

const CHECKPOINTS = ["mha-f32", "gqa-bf16", "tied-f16", "llada-shape-bf16"];

/** Means of magnitudes of the columns of `[rows, columns]`. */
function meanMagnitudes(values: Float64Array, columns: number): Float64Array {
  const sums = new Float64Array(columns);
  values.forEach((value, i) => sums[i % columns] += Math.abs(value));
  return sums.map((sum) => sum * columns / values.length);
}

for (const name of CHECKPOINTS) {
  for (const [form, gpu] of allForms) {
    Deno.test(`${name}, ${form}: importances are those of the recorded activations`, async () => {
      const model = await goldenModel(gpu, name);
      const { layers, ffnSize, hiddenSize, heads, headDim } = model.config;
      const { ids, name: caseName } = readGolden<ForwardFile>(`forward/${name}.json`).cases
        .find(({ has_trace }) => has_trace)!;
      const trace = readSafetensors(goldenPath(`forward/${name}.safetensors`));
      using checkpoint = openCheckpoint(goldenPath(`checkpoints/${name}`));
      const sequence = Uint32Array.from(ids);
      // Three times the same sequence, in two passes: the means stay.
      const found = await measureImportance(model, checkpoint, [sequence, sequence, sequence], {
        atOnce: 2,
      });
      assertEquals(found.positions, 3 * ids.length);
      for (let layer = 0; layer < layers; layer++) {
        const act = trace.get(`${caseName}.block.${layer}.act`)!.data;
        const expected = meanMagnitudes(act, ffnSize);
        expected.forEach((value, i) =>
          assertAlmostEquals(found.neurons[layer][i] / value, 1, 1e-3, `${layer}, neuron ${i}`)
        );
      }
      const attended = meanMagnitudes(trace.get(`${caseName}.block.0.attn`)!.data, hiddenSize);
      const weights = readCheckpoint(goldenPath(`checkpoints/${name}`));
      const { data } = weights.get("model.transformer.blocks.0.attn_out.weight")!;
      for (let head = 0; head < heads; head++) {
        let expected = 0;
        for (let channel = head * headDim; channel < (head + 1) * headDim; channel++) {
          let squares = 0;
          for (let row = 0; row < hiddenSize; row++) {
            squares += data[row * hiddenSize + channel] ** 2;
          }
          expected += attended[channel] * Math.sqrt(squares);
        }
        assertAlmostEquals(found.heads[0][head] / expected, 1, 1e-4, `head ${head}`);
      }
    });
  }
}

Deno.test("a model without some layers has the importances of those before the first gap", async () => {
  const model = await goldenModel(anyGpu, "pair-target");
  using checkpoint = openCheckpoint(goldenPath("checkpoints/pair-target"));
  using view = model.onlyLayers([0, 1, 3, 4, 5, 6, 7]);
  const ids = Uint32Array.from({ length: 20 }, (_, i) => i);
  const [whole, part] = [await model.magnitudes([{ ids }]), await view.magnitudes([{ ids }])];
  assertEquals(part.gated.length, 7);
  assertEquals(part.gated.slice(0, 2), whole.gated.slice(0, 2));
  assert(part.gated[2].some((value, i) => value !== whole.gated[3][i]));
  // Two runs give the same bits.
  const again = await measureImportance(model, checkpoint, [ids]);
  assertEquals(again, await measureImportance(model, checkpoint, [ids]));
});

Deno.test("importances are read as they were written, and not for another model", () =>
  withFolder(async (dir) => {
    const file = join(dir, "importance.safetensors");
    const found: WidthImportance = {
      positions: 12,
      neurons: [Float32Array.of(0, 9e-5, 1.1e-4, 2), Float32Array.of(1, 2, 3, 4)],
      heads: [Float32Array.of(0.5, 1), Float32Array.of(2, 3)],
    };
    assertEquals(found.neurons.map(inactiveNeurons), [2, 0]);
    await writeImportance(file, found);
    assertEquals(readImportance(file, { layers: 2, ffnSize: 4, heads: 2 }), found);
    assertEquals(readNeuronImportance(file, { layers: 2, ffnSize: 4 }), [...found.neurons]);
    const bad = (sizes: { layers: number; ffnSize: number }, expected: string) =>
      assertThrows(() => readNeuronImportance(file, sizes), Error, expected);
    bad({ layers: 3, ffnSize: 4 }, 'tensor "importance.2" is missing, expected F32 [4]');
    bad({ layers: 2, ffnSize: 5 }, 'tensor "importance.0" is F32 [4], expected F32 [5]');
  }));
