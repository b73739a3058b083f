/** Options that several commands share. */

import { type Command, InvalidArgumentError, Option } from "commander";
import { mayKeepKeys, strategiesUsing } from "../denoise/strategy.ts";
import { EMBEDDED_TARGET } from "../engine/embedded_models.ts";
import {
  CACHE_POLICIES,
  CANVAS_LENGTHS,
  type ChatMessage,
  CONFIDENCE_MEASURES,
  type GenerateRequest,
  QUALITIES,
  REMASKINGS,
  RequestError,
  STRATEGY_NAMES,
  UnavailableError,
} from "../engine/request.ts";
import { defaultTuningFile, namedTuning, readTuning } from "../engine/tuning_file.ts";
import { addDeviceOptions, type DeviceFlags, deviceOf } from "./device_options.ts";
import type { WorkerEngineOptions } from "../engine/worker_engine.ts";
import type { StoredQuantisation } from "../model/loading/config.ts";
import { ARITHMETICS, ELEMENTS } from "../gpu/kernel.ts";
import type { WeightPrecision } from "../model/loading/load.ts";
import { type MemoryOptions, WEIGHT_CHOICES } from "../model/memory/plan_request.ts";
import { type TunedTiles, UNTUNED } from "../model/tiles/tuned_tiles.ts";
import {
  GROUP_SIZES,
  type GroupSize,
  QUANTISED,
  quantised,
  type QuantisedName,
} from "../quant/scheme.ts";

/** `--model DIR` */
export function modelOption(): Option {
  return new Option("-m, --model <dir>", "model folder, or ORG/NAME that unmask pull fetched")
    .default(EMBEDDED_TARGET, "the embedded tiny-target");
}

/** Parses a whole number in [least, most]; commander shows the error with the option's name. */
export function wholeNumber(
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`expected a whole number from ${least} to ${most}`);
  };
}

/** Parses a number in [least, most]. */
export function numberBetween(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`expected a number from ${least} to ${most}`);
  };
}

const BYTE_UNITS: Readonly<Record<string, number>> = {
  MB: 1e6,
  GB: 1e9,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
};

/** Parses a number of bytes: `500MB`, `4.5GB`, `4GiB`. */
export function byteCount(text: string): number {
  const [, amount, unit] = /^(\d+(?:\.\d+)?) ?([a-z]+)$/i.exec(text) ?? [];
  const bytes = Math.floor(Number(amount) * BYTE_UNITS[unit?.toUpperCase()]);
  if (bytes >= 1) return bytes;
  throw new InvalidArgumentError("expected a size such as 500MB, 5GB or 4GiB");
}

/** `--shard-size` */
export function addShardOption(command: Command): Command {
  return command.addOption(
    new Option("--shard-size <size>", "most bytes in a file of weights")
      .argParser(byteCount).default(5e9, "5GB"),
  );
}

/** Values of `--weights`, `--group` and `--head` as commander parses them. */
export interface QuantisationFlags {
  readonly weights?: QuantisedName;
  readonly group?: GroupSize;
  readonly head?: boolean;
}

/**
 * The scheme that `--weights` asks for; undefined without `--weights`.
 * @throws {Error} when `--group` or `--head` is given without `--weights`
 */
export function quantisationOf(
  { weights, group = GROUP_SIZES[0], head = false }: QuantisationFlags,
): StoredQuantisation | undefined {
  if (!weights && head) throw new Error("--head is only used with --weights");
  if (!weights && group !== GROUP_SIZES[0]) throw new Error("--group is only used with --weights");
  return weights && { scheme: quantised(weights, group), head };
}

/** How the matrices of a model are multiplied with: as they are stored without quantisation. */
export function precisionOf(quantisation: StoredQuantisation | undefined): WeightPrecision {
  const scheme = quantisation?.scheme;
  return { layers: scheme, head: quantisation?.head ? scheme : undefined };
}

function groupSize(text: string): GroupSize {
  const size = GROUP_SIZES.find((size) => String(size) === text);
  if (size !== undefined) return size;
  throw new InvalidArgumentError(`expected ${GROUP_SIZES.join(" or ")}`);
}

/** `--kv-cache TYPE` */
export function kvCacheOption(description: string): Option {
  return new Option("--kv-cache <type>", description).choices(ELEMENTS);
}

/** Values of the options of {@linkcode addMemoryOptions} as commander parses them. */
export type MemoryFlags = MemoryOptions;

/** Adds `--gpu-memory` and the options that decide what is loaded into that memory. */
export function addMemoryOptions(command: Command): Command {
  return addSchemeOptions(command)
    .addOption(
      new Option("--gpu-memory <size>", "most GPU memory that may be used, such as 24GiB")
        .argParser(byteCount),
    )
    .addOption(
      new Option("--weights <scheme>", "weights of the model's layers (default: largest that fits)")
        .choices(WEIGHT_CHOICES),
    )
    .addOption(
      new Option("--draft-weights <scheme>", "weights of the draft's layers (default: likewise)")
        .choices(WEIGHT_CHOICES),
    )
    .addOption(
      new Option(
        "--arithmetic <type>",
        `of products; int8 needs ${QUANTISED.join(" or ")} (default: f32)`,
      )
        .choices(ARITHMETICS),
    )
    .addOption(
      kvCacheOption("type of keys and values that are kept (default: f16 where supported)"),
    )
    .option("--context <n>", "longest prompt plus answer, in tokens", wholeNumber(2));
}

/** Values of `--tuning`, `--no-tuning` and `--tune` as commander parses them. */
export interface TuningFlags {
  /** File of a tuning; false for none, true for the default file. */
  readonly tuning?: string | boolean;
  /** Whether to tune first whatever is not yet tuned for this device. */
  readonly tune?: boolean;
}

/** `--tuning FILE`, `--no-tuning` and `--tune` */
export function addTuningOptions(command: Command): Command {
  return command
    .option("--tuning <file>", "tile sizes that unmask tune found (default: its own file)")
    .option("--no-tuning", "choose tile sizes by a fixed rule")
    .option("--tune", "find tile sizes first, on the first run with a model and device");
}

/**
 * The tuning file that the options ask for; undefined if it holds no tuning. A fault in the file is
 * a warning on standard error.
 * @throws {Error} when a named file is missing and no tuning is about to write it
 */
export function tuningOf({ tuning, tune }: TuningFlags): string | undefined {
  if (tuning === false) return undefined;
  // A `--no-tuning` option makes commander set the default to true.
  const file = typeof tuning === "string" ? tuning : defaultTuningFile();
  if (file === undefined) return undefined;
  const { tuned, warning } = readTuning(file);
  if (warning !== undefined) console.error(`Warning: ${warning}`);
  else if (typeof tuning === "string" && !tune && tuned === UNTUNED) {
    throw new Error(`${file}: the file is missing. Add --tune to --tuning FILE to write it.`);
  }
  return tuned === UNTUNED ? undefined : file;
}

/**
 * `--tuning` of a command that measures. Without it the command uses the fixed rule, whatever is in
 * the cache folder, so that figures of two machines or two days can be compared.
 */
export function measuredTuningOption(): Option {
  return new Option(
    "--tuning <file>",
    "tile sizes that unmask tune found (default: by a fixed rule)",
  );
}

/**
 * Reads the tuning that {@linkcode measuredTuningOption} names.
 * @throws {Error} when the file is missing or wrong: the command must measure what was asked for
 */
export function measuredTuning(file: string | undefined): TunedTiles | undefined {
  return file === undefined ? undefined : namedTuning(file);
}

const MEMORY_FIELDS =
  "gpuMemory weights draftWeights group head arithmetic kvCache context batchRows cachePages";

/** Picks the memory options out of a command's flags. */
export function memoryOf(flags: MemoryFlags): MemoryOptions {
  const fields = MEMORY_FIELDS.split(" ") as (keyof MemoryOptions)[];
  return Object.fromEntries(fields.map((field) => [field, flags[field]]));
}

/** `--group` and `--head` */
export function addSchemeOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--group <n>", `weights that share a scale: ${GROUP_SIZES.join(" or ")}`)
        .argParser(groupSize).default(GROUP_SIZES[0]),
    )
    .option("--head", "quantise the output head too");
}

/** Collects the values of an option that may be given several times. */
export function repeated(value: string, before: readonly string[] | undefined): string[] {
  return [...before ?? [], value];
}

/** Values of the options of {@linkcode addGenerationOptions} as commander parses them. */
export interface GenerationFlags
  extends
    Omit<GenerateRequest, "messages" | "stopAtEnd" | "logitsEosInf" | "confidenceEosEotInf">,
    MemoryFlags,
    TuningFlags,
    DeviceFlags {
  readonly model: string;
  readonly system?: string;
  /** Folder of a draft; false for none, true for the default. */
  readonly draft?: string | boolean;
}

/** `--draft DIR` and `--no-draft` */
export function addDraftOptions(command: Command): Command {
  return command
    .option("--draft <dir>", "draft, likewise (default: the embedded draft, for its target)")
    .option("--no-draft", "load no draft");
}

/** Adds `--strategy` and the options that tune a strategy. */
export function addStrategyOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--strategy <name>", "how an answer is denoised (default: auto)")
        .choices(STRATEGY_NAMES),
    )
    .addOption(
      new Option("--quality <name>", "which strategies auto may choose from (default: exact)")
        .choices(QUALITIES),
    )
    .addOption(
      new Option("--cache <name>", "which keys and values are reused (default: none)")
        .choices(CACHE_POLICIES),
    )
    .option(
      "--refresh-interval <n>",
      "steps of a block between two cache refreshes",
      wholeNumber(1),
    )
    .option("--suffix-window <n>", "positions after the block that steps see", wholeNumber(0))
    .option("--threshold <p>", "least confidence, strategy threshold", numberBetween(0, 1))
    .option("--factor <f>", "Fast-dLLM's factor, strategy factor", numberBetween(0, 1000))
    .option(
      "--draft-depth <n>",
      `steps proposed per round, for ${strategiesUsing("depth").join(", ")}`,
      wholeNumber(1, 64),
    )
    .option(
      "--rounds <n>",
      `rounds of proposals per block, for ${strategiesUsing("rounds").join(", ")}`,
      wholeNumber(1),
    )
    .option(
      "--draft-threshold <p>",
      `least confidence of the draft, for ${strategiesUsing("draftThreshold").join(", ")}`,
      numberBetween(0, 1),
    )
    .option(
      "--target-threshold <p>",
      `least confidence of the target, for ${strategiesUsing("targetThreshold").join(", ")}`,
      numberBetween(0, 1),
    )
    .option(
      "--back-threshold <p>",
      `least probability to keep a guess, for ${strategiesUsing("backThreshold").join(", ")}`,
      numberBetween(0, 1),
    );
}

/** Adds the model and the generation options; the model's folder holds their defaults. */
export function addGenerationOptions(command: Command): Command {
  const memory = addMemoryOptions(addDraftOptions(command));
  return addDeviceOptions(addStrategyOptions(addTuningOptions(memory)).addOption(modelOption()))
    .option("-n, --max-tokens <n>", "most tokens in an answer", wholeNumber(1))
    .addOption(
      new Option("--length <who>", "who decides how many masks there are: auto is the model")
        .choices(CANVAS_LENGTHS),
    )
    .option("--steps <n>", "denoising steps per answer (default: one per token)", wholeNumber(1))
    .option("--block-length <n>", "tokens per block, decided left to right", wholeNumber(1))
    .option("-t, --temperature <x>", "0 is greedy", numberBetween(0, 100))
    .option("--seed <n>", "same seed, same text", wholeNumber(0))
    .option("--cfg-scale <x>", "classifier-free guidance, 0 is off", numberBetween(0, 100))
    .addOption(
      new Option("--remasking <name>", "which positions are decided first").choices(REMASKINGS),
    )
    .addOption(
      new Option("--confidence <name>", "what ranks positions (default: probability)")
        .choices(CONFIDENCE_MEASURES),
    )
    .option("--stop <text>", "cut the answer before this text (repeatable)", repeated)
    .option("--system <text>", "a system message ahead of the conversation");
}

/** Builds the request from the options and a conversation; the system message goes first. */
export function requestOf(
  conversation: readonly ChatMessage[],
  { system, ...options }: GenerationFlags,
): GenerateRequest {
  const first = system === undefined ? [] : [{ role: "system", content: system }];
  return {
    messages: [...first, ...conversation],
    maxTokens: options.maxTokens,
    length: options.length,
    steps: options.steps,
    blockLength: options.blockLength,
    temperature: options.temperature,
    seed: options.seed,
    cfgScale: options.cfgScale,
    remasking: options.remasking,
    confidence: options.confidence,
    stop: options.stop,
    strategy: options.strategy,
    quality: options.quality,
    cache: options.cache,
    refreshInterval: options.refreshInterval,
    suffixWindow: options.suffixWindow,
    threshold: options.threshold,
    factor: options.factor,
    draftDepth: options.draftDepth,
    rounds: options.rounds,
    draftThreshold: options.draftThreshold,
    targetThreshold: options.targetThreshold,
    backThreshold: options.backThreshold,
  };
}

/** Fields of a request that errors name, which are options too; an option is named like its field. */
const FIELDS = [
  ...["blockLength", "steps", "temperature", "seed", "cfgScale", "maxTokens", "genLength"],
  ...["draftDepth", "rounds", "refreshInterval", "suffixWindow"],
  ...["draftThreshold", "targetThreshold", "backThreshold"],
  ...["topP", "topK", "minP", "presencePenalty", "frequencyPenalty", "repetitionPenalty"],
  "logitBias",
];

/**
 * An error's message. One about a request names the command-line option instead of the engine's
 * field. One about the GPU is the GPU's own message.
 */
export function messageFor(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof UnavailableError) return `${message} (${error.reason})`;
  if (!(error instanceof RequestError)) return message;
  return FIELDS.reduce((text, field) => {
    const name = field === "genLength" ? "maxTokens" : field;
    const option = `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    return text.replaceAll(new RegExp(`(?<![-\\w])${field}\\b`, "g"), option);
  }, message);
}

/** Options of the engine for a command that serves one person. */
export function engineOptionsOf(flags: GenerationFlags): WorkerEngineOptions {
  return {
    ...memoryOf(flags),
    tuning: tuningOf(flags),
    draft: draftOf(flags),
    ...deviceOf(flags),
    cache: mayKeepKeys(flags),
  };
}

/** The draft that the options ask for; undefined lets the engine choose. */
export function draftOf(
  { draft }: { readonly draft?: string | boolean },
): string | false | undefined {
  // A `--no-draft` option makes commander set the default to true.
  return draft === true ? undefined : draft;
}
