/** The model that is pruned: opened, loaded, and asked on examples. */

import { basename } from "node:path";
import { type Command, Option } from "commander";
import { checkPrunable } from "../compress/prune/pruned_folder.ts";
import type { MaskingOptions } from "../evaluate/draft_agreement.ts";
import type { Gpu } from "../gpu/device.ts";
import { type ModelConfig, readConfig } from "../model/loading/config.ts";
import { loadCheckpoint } from "../model/loading/load.ts";
import { checkRoom } from "../model/memory/memory_room.ts";
import type { Model } from "../model/model.ts";
import { QUANTISED, schemeText } from "../quant/scheme.ts";
import { type Checkpoint, openCheckpoint } from "../weights/checkpoint.ts";
import { EVAL_PUBLIC } from "../engine/embedded_models.ts";
import { modelId } from "../engine/load.ts";
import { addDeviceOptions, type DeviceFlags } from "./device_options.ts";
import { type EvaluationData, readEvaluationData } from "./eval_data.ts";
import {
  addSchemeOptions,
  precisionOf,
  type QuantisationFlags,
  quantisationOf,
  wholeNumber,
} from "./options.ts";
import { inMebibytes, progressReport } from "./terminal/progress.ts";

/** Rows of a forward pass that memory is planned for: some 16 short examples. */
const ROOM_TOKENS = 2048;
/** Examples that are enough to rank layers: the published draft's were ranked on 48. */
const EXAMPLES = 100;

/** Values of the options of {@linkcode addMeasuringOptions}. */
export interface MeasuringFlags extends QuantisationFlags, DeviceFlags {
  readonly data: readonly string[];
  readonly limit: number;
  readonly seed: number;
}

/** Adds the options of measuring a model on examples. */
export function addMeasuringOptions(command: Command): Command {
  command
    .addOption(
      new Option("--data <file...>", "examples: jsonl of messages, or like models/eval-public.json")
        .default([EVAL_PUBLIC], "models/eval-public.json"),
    )
    .option("--limit <n>", "most examples", wholeNumber(1), EXAMPLES)
    .option("--seed <n>", "seed of the masks", wholeNumber(0), 0)
    .addOption(
      new Option("--weights <scheme>", "quantise the model while it loads").choices(QUANTISED),
    );
  return addDeviceOptions(addSchemeOptions(command));
}

/** A folder of floats that is open. */
export interface OriginalFolder extends Disposable {
  readonly dir: string;
  readonly name: string;
  readonly config: ModelConfig;
  readonly checkpoint: Checkpoint;
}

/** Opens a folder. @throws {ConfigError} when its weights are quantised */
export function openOriginal(dir: string): OriginalFolder {
  const config = readConfig(dir);
  checkPrunable(dir, config);
  const checkpoint = openCheckpoint(dir);
  const name = modelId(dir);
  return { dir, name, config, checkpoint, [Symbol.dispose]: () => checkpoint[Symbol.dispose]() };
}

/** Reads the examples that the options name. */
export function examplesOf(
  { dir, config }: OriginalFolder,
  { data: files, limit }: MeasuringFlags,
): EvaluationData & { readonly files: readonly string[]; readonly masking: MaskingOptions } {
  const read = readEvaluationData(files, dir, { most: limit, context: config.maxSequenceLength });
  const { maskTokenId, eosTokenId: paddingTokenId } = config;
  return {
    ...read,
    files: files.map((file) => basename(file)),
    masking: { maskTokenId, paddingTokenId },
  };
}

/** How the weights are multiplied with, for reports. */
export function weightsText(flags: QuantisationFlags): string {
  const quantisation = quantisationOf(flags);
  if (!quantisation) return "as stored";
  return `${schemeText(quantisation.scheme)}${quantisation.head ? ", head too" : ""}`;
}

/**
 * Loads weights, if there is room for them.
 * @param isShown whether with a progress bar
 */
export async function loadToMeasure(
  gpu: Gpu,
  weights: Omit<OriginalFolder, "dir" | typeof Symbol.dispose>,
  flags: QuantisationFlags,
  isShown = true,
): Promise<Model> {
  const { name, config, checkpoint } = weights;
  const precision = precisionOf(quantisationOf(flags));
  await checkRoom(gpu, [{ name, config, checkpoint, precision }], ROOM_TOKENS);
  if (!isShown) return await loadCheckpoint(gpu, config, checkpoint, { name, precision });
  const report = progressReport(`loading ${name}`, inMebibytes, false);
  try {
    return await loadCheckpoint(gpu, config, checkpoint, {
      name,
      precision,
      onProgress: (done, total) => report.update(done, total),
    });
  } finally {
    report.stop();
  }
}
