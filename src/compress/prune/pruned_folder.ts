/** A pruned model as a folder like any other: what is kept of the original, unchanged. */

import { createHash } from "node:crypto";
import { basename, join } from "node:path";
import { modelId } from "../../engine/load.ts";
import { ConfigError, MAX_CONFIG, type ModelConfig } from "../../model/loading/config.ts";
import { filesBesideWeights, originals } from "../../model/loading/quantised_folder.ts";
import { checkTensors } from "../../model/loading/tensors.ts";
import type { Checkpoint } from "../../weights/checkpoint.ts";
import { copiedTensor, type FolderContent } from "../../weights/folder_writer.ts";
import { type JsonObject, readJsonObject } from "../../weights/json_file.ts";
import { prunedCheckpoint } from "./pruned_checkpoint.ts";
import type { Pruning } from "./pruning.ts";

/** The model card of a folder, by the name that the hub shows. */
export const CARD = "README.md";
/** Holds the kept neurons where config.json would be too large with them. */
const NEURONS_FILE = "kept_neurons.json";
/** The reader's limit, less what a program that changes a few fields may add. */
const CONFIG_BYTES = MAX_CONFIG - 2 ** 16;

/** Options of a pruned folder. */
export interface PrunedFolderOptions {
  readonly pruning: Pruning;
  /** Limit of the tensors in one file, in bytes. */
  readonly shardBytes: number;
  /** Text of the model card. */
  readonly card: string;
}

/**
 * @throws {ConfigError} for a folder of quantised weights: their groups would be cut
 */
export function checkPrunable(dir: string, { quantisation }: ModelConfig): void {
  if (!quantisation) return;
  throw new ConfigError({
    file: join(dir, "config.json"),
    field: "quantization_config",
    found: "there",
    expected: "a folder of floats, whose columns can be taken out",
    remedy: "Prune the original folder, then quantise what is left.",
  });
}

/**
 * The content of the folder, to be planned and written while the original is open. Kept tensors, rows
 * and columns are copied as they are stored, and so are all other files but config.json and the card.
 * config.json says under `pruning` what was kept.
 * @throws {CheckpointError} naming the tensor of the original that is wrong
 */
export function prunedFolder(
  dir: string,
  config: ModelConfig,
  original: Checkpoint,
  { pruning, shardBytes, card }: PrunedFolderOptions,
): FolderContent {
  checkPrunable(dir, config);
  checkTensors(config, original);
  const pruned = prunedCheckpoint(original, config, pruning);
  const groups = [...pruned.tensors.values()].map((slice) => copiedTensor(pruned, slice));
  const json = readJsonObject(join(dir, "config.json"), MAX_CONFIG, ConfigError);
  const { kept_neurons, ...rest } = record(dir, config, pruning, json);
  const sizes = { n_layers: pruning.layers.length, mlp_hidden_size: pruning.neurons[0].length };
  const whole = { ...json, ...sizes, pruning: { ...rest, kept_neurons } };
  const fits = JSON.stringify(whole, null, 2).length < CONFIG_BYTES;
  return {
    config: fits ? whole : { ...whole, pruning: { ...rest, kept_neurons_file: NEURONS_FILE } },
    groups,
    copies: filesBesideWeights(dir).filter((path) => basename(path) !== CARD),
    texts: {
      [CARD]: card,
      ...fits ? {} : { [NEURONS_FILE]: JSON.stringify({ kept_neurons }, null, 2) + "\n" },
    },
    shardBytes,
    settings: {
      made_by: "unmask prune apply",
      kept_layers: pruning.layers,
      kept_neurons: hashed(kept_neurons.join("\n")),
      shard_bytes: shardBytes,
      card: hashed(card),
      ...originals(dir, original),
    },
  };
}

function hashed(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

/** What config.json says of the pruning; no loader reads it. */
function record(
  dir: string,
  { layers, ffnSize }: ModelConfig,
  pruning: Pruning,
  { pruning: before }: JsonObject,
) {
  return {
    made_by: "unmask prune apply",
    original: {
      name: modelId(dir),
      n_layers: layers,
      mlp_hidden_size: ffnSize,
      ...before !== undefined && { pruning: before },
    },
    kept_layers: pruning.layers,
    kept_neurons: pruning.neurons.map(asRanges),
  };
}

/** Ascending whole numbers as text: `0-3,5,7-8`. A layer of LLaDA-8B keeps some 9000 of 12,288. */
export function asRanges(numbers: ArrayLike<number>): string {
  const ranges: string[] = [];
  for (let first = 0; first < numbers.length;) {
    let last = first;
    while (last + 1 < numbers.length && numbers[last + 1] === numbers[last] + 1) last++;
    ranges.push(first === last ? `${numbers[first]}` : `${numbers[first]}-${numbers[last]}`);
    first = last + 1;
  }
  return ranges.join(",");
}

/**
 * Reads `0-3,5,7-8`: ranges of whole numbers.
 * @throws {RangeError} for any other text, and for a range that ends before it begins
 */
export function fromRanges(text: string): number[] {
  return text.split(",").flatMap((range) => {
    const [, first, last = first] = /^ *(\d{1,9})(?:-(\d{1,9}))? *$/.exec(range) ?? [];
    if (first === undefined || Number(last) < Number(first) || Number(last) >= 2 ** 20) {
      throw new RangeError(`${JSON.stringify(range)}: expected ranges such as 12-19 or 3,5-7`);
    }
    return Array.from({ length: Number(last) - Number(first) + 1 }, (_, i) => Number(first) + i);
  });
}
