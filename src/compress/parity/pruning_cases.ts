/** Pruning cases of `unmask parity`: importances, what is kept, and the weights that are left. */

import { Buffer } from "node:buffer";
import { join } from "node:path";
import {
  type ParityResult,
  readGolden,
  readGoldenTensor,
} from "../../evaluate/parity/golden_files.ts";
import { readConfig } from "../../model/loading/config.ts";
import type { Model } from "../../model/model.ts";
import { type Checkpoint, openCheckpoint } from "../../weights/checkpoint.ts";
import { SafetensorsFile } from "../../weights/safetensors.ts";
import { prunedCheckpoint } from "../prune/pruned_checkpoint.ts";
import { choosePruning, prunedConfig, type Pruning } from "../prune/pruning.ts";
import { measureImportance } from "../prune/width_importance.ts";

/** Largest relative difference of an importance. */
const IMPORTANCE_REL = 1e-4;

/** pruning/pruning.json */
interface PruningFile {
  readonly target: string;
  readonly draft: string;
  readonly removed_layers: readonly number[];
  readonly kept_layers: readonly number[];
  readonly mlp_hidden_size: { readonly target: number; readonly draft: number };
  readonly kept_neurons: readonly {
    readonly target_layer: number;
    readonly draft_layer: number;
    readonly neurons: readonly number[];
  }[];
}

/** Runs the folder's pruning case, if it has one. @param load loads a checkpoint of the folder */
export async function* pruningCases(
  dir: string,
  load: (checkpoint: string) => Promise<Model>,
): AsyncGenerator<ParityResult, void, void> {
  const golden = readGolden<PruningFile>(dir, "pruning", "pruning.json");
  if (!golden) return;
  const folder = (name: string) => join(dir, "checkpoints", name);
  using tensors = new SafetensorsFile(join(dir, "pruning", "pruning.safetensors"));
  using target = openCheckpoint(folder(golden.target));
  const config = readConfig(folder(golden.target));
  const expected = Array.from(
    { length: config.layers },
    (_, layer) => readGoldenTensor(tensors, `importance.${layer}`),
  );
  const [count, length] = tensors.tensors.get("calibration_ids")!.shape;
  const all = Uint32Array.from(readGoldenTensor(tensors, "calibration_ids"));
  const sequences = Array.from(
    { length: count },
    (_, i) => all.subarray(i * length, (i + 1) * length),
  );
  using model = await load(golden.target);
  const { neurons } = await measureImportance(model, target, sequences);
  yield importanceResult(neurons, expected);

  const pruning = choosePruning(config, {
    dropLayers: golden.removed_layers,
    ffnKeep: golden.mlp_hidden_size.draft / golden.mlp_hidden_size.target,
    importance: neurons,
  });
  yield keptResult(pruning, golden);

  using draft = openCheckpoint(folder(golden.draft));
  using pruned = prunedCheckpoint(target, config, pruning);
  const found = JSON.stringify(prunedConfig(config, pruning));
  const wrong = found === JSON.stringify(readConfig(folder(golden.draft)))
    ? differingTensors(pruned, draft)
    : [`its configuration is ${found}`];
  yield {
    name: `pruning/weights of ${golden.draft}`,
    passed: wrong.length === 0,
    detail: wrong.length > 0
      ? wrong.join("; ")
      : `${draft.tensors.size} tensors, ${draft.byteLength} bytes equal`,
  };
}

function importanceResult(
  found: readonly Float32Array[],
  expected: readonly Float32Array[],
): ParityResult {
  let worst = 0;
  let where = "";
  for (const [layer, values] of expected.entries()) {
    for (const [neuron, value] of values.entries()) {
      const off = Math.abs(found[layer][neuron] - value) / Math.abs(value);
      // NaN must not pass; 0 of 0 is no difference.
      if (off <= worst || found[layer][neuron] === value) continue;
      worst = Number.isNaN(off) ? Infinity : off;
      where = `, layer ${layer}, neuron ${neuron}`;
    }
  }
  const neurons = expected.reduce((sum, { length }) => sum + length, 0);
  return {
    name: "pruning/importance",
    passed: worst <= IMPORTANCE_REL,
    detail: `${neurons} neurons in ${expected.length} layers, relative difference ` +
      `${worst.toExponential(1)} (${IMPORTANCE_REL.toExponential(1)} allowed${where})`,
  };
}

function keptResult({ layers, neurons }: Pruning, golden: PruningFile): ParityResult {
  const wrong: string[] = [];
  if (String(layers) !== String(golden.kept_layers)) {
    wrong.push(`layers [${layers}], expected [${golden.kept_layers}]`);
  }
  for (const kept of golden.kept_neurons) {
    const at = layers.indexOf(kept.target_layer);
    if (at === kept.draft_layer && String(neurons[at]) === String(kept.neurons)) continue;
    wrong.push(`other neurons of layer ${kept.target_layer}`);
  }
  const { target, draft } = golden.mlp_hidden_size;
  return {
    name: "pruning/kept",
    passed: wrong.length === 0 && golden.kept_neurons.length === layers.length,
    detail: wrong.join("; ") || `layers [${layers}], ${draft} of ${target} neurons in each`,
  };
}

/** Names of tensors that differ, or are in one checkpoint only. */
export function differingTensors(one: Checkpoint, other: Checkpoint): string[] {
  const names = new Set([...one.tensors.keys(), ...other.tensors.keys()]);
  return [...names].filter((name) => {
    const [a, b] = [one.tensors.get(name), other.tensors.get(name)];
    if (!a || !b || a.dtype !== b.dtype || String(a.shape) !== String(b.shape)) return true;
    return Buffer.compare(one.read(a), other.read(b)) !== 0;
  }).map((name) => `${name} differs`);
}
