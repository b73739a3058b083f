/** Options of the commands that train, and the settings that they give. */

import { type Command, InvalidArgumentError, Option } from "commander";
import { parseDataFile } from "../compress/data/data_file.ts";
import { DECAYS } from "../compress/run/schedule.ts";
import { type Given, OPTIMISERS, overlaid, RESULT_TYPES } from "../compress/run/settings.ts";
import { QUANTISED } from "../quant/scheme.ts";
import { addDeviceOptions, type DeviceFlags } from "./device_options.ts";
import { settingsIn, withPaths } from "./training_paths.ts";
import { byteCount, numberBetween, wholeNumber } from "./options.ts";

/** Values of the options of {@linkcode addTrainingOptions} as commander parses them. */
export interface TrainingFlags extends DeviceFlags {
  readonly data?: readonly string[];
  readonly heldOut?: string;
  readonly out: string;
  readonly run?: string;
  readonly settings?: string;
  readonly steps?: number;
  readonly tokens?: number;
  readonly epochs?: number;
  readonly sequence?: number;
  readonly batch?: number;
  readonly batchTokens?: number;
  readonly rows?: number;
  readonly rate?: number;
  readonly warmUp?: number;
  readonly schedule?: string;
  readonly optimizer?: string;
  readonly betas?: readonly [number, number];
  readonly weightDecay?: number;
  readonly clip?: number;
  readonly average?: number;
  readonly maskRatio?: Given;
  readonly paddingWeight?: number;
  readonly blocks?: number;
  readonly complementary?: boolean;
  readonly padTo?: readonly number[];
  readonly evaluateEvery?: number;
  readonly examples?: number;
  readonly lora?: number;
  readonly loraAlpha?: number;
  readonly loraWeights?: string;
  readonly loraModules?: readonly string[];
  readonly seed?: number;
  readonly dtype?: string;
  readonly checkpointEvery: number;
  readonly lineEvery: number;
  readonly gpuMemory?: number;
  readonly dryRun?: boolean;
}

const ANY = Number.MAX_VALUE;
/** Of a mean, something must come in. */
const BELOW_1 = 0.999999;

/** Parses a list of numbers in [least, most]. */
export function numbers(count: number | undefined, least: number, most: number) {
  return (text: string): number[] => {
    const values = text.split(",").map(Number);
    const fits = values.every((value) => value >= least && value <= most) &&
      !/(^|,)\s*(,|$)/.test(text);
    if (fits && (count === undefined || values.length === count)) return values;
    const what = count === undefined ? "numbers" : `${count} numbers`;
    throw new InvalidArgumentError(`expected ${what} from ${least} to ${most}, with commas`);
  };
}

/** Parses `beta`, `uniform`, `beta,LOW,HIGH` or `uniform,LOW,HIGH`. */
function maskRatio(text: string): Given {
  const [shape, low, high] = text.split(",");
  const between = numbers(1, 0, 1);
  if (shape === "beta" || shape === "uniform") {
    if (low === undefined) return { shape };
    if (high !== undefined) return { shape, low: between(low)[0], high: between(high)[0] };
  }
  throw new InvalidArgumentError("expected beta or uniform, or with a range: uniform,0.1,0.9");
}

const repeated = (text: string, before: readonly string[] = []) => [...before, text];
const names = (text: string) => text.split(",").map((name) => name.trim());

/** Adds what `distil` and `train` have in common. */
export function addTrainingOptions(command: Command): Command {
  command
    .addOption(
      new Option("--data <file>", "jsonl of messages or texts; FILE:0.4 gives a share (repeatable)")
        .argParser(repeated),
    )
    .option("--held-out <file>", "examples to evaluate with; without them the last step is kept")
    .requiredOption("--out <dir>", "folder to write; the same command goes on with a stopped run")
    .option("--steps <n>", "length of the run in steps", wholeNumber(1))
    .option("--tokens <n>", "or in tokens", wholeNumber(1))
    .option("--epochs <x>", "or in passes through the data", numberBetween(1e-9, ANY))
    .option("--batch <n>", "samples of a step (default: 16)", wholeNumber(1))
    .option("--batch-tokens <n>", "or about so many tokens", wholeNumber(1))
    .option("--rate <x>", "highest learning rate", numberBetween(1e-12, ANY))
    .option("--evaluate-every <n>", "steps between two evaluations (default: 500)", wholeNumber(1))
    .option("--lora <rank>", "train adapters of this rank alone, and merge them", wholeNumber(1))
    .option("--settings <file>", "JSON with any of the settings; options go before it")
    .option("--dry-run", "print the plan of memory, and do nothing")
    .option("--run <dir>", "folder of checkpoints and history (default: OUT.run)")
    .option("--sequence <n>", "most tokens of a sequence (default: 512)", wholeNumber(2))
    .option("--rows <n>", "rows of a micro-batch (default: as memory allows)", wholeNumber(2))
    .option("--warm-up <share>", "of the run, while the rate rises", numberBetween(0, 1))
    .addOption(new Option("--schedule <name>", "how the rate falls then").choices(DECAYS))
    .addOption(
      new Option("--optimizer <name>", "of the layers' matrices (default: adamw)")
        .choices(OPTIMISERS),
    )
    .option("--betas <a,b>", "of AdamW", numbers(2, 0, BELOW_1))
    .option("--weight-decay <x>", "of matrices, times the rate", numberBetween(0, ANY))
    .option(
      "--clip <norm>",
      "most that a gradient may have (default: 1)",
      numberBetween(1e-12, ANY),
    )
    .option(
      "--average <x>",
      "keep averages of the weights, such as 0.997",
      numberBetween(0, BELOW_1),
    )
    .option("--mask-ratio <name>", "beta or uniform, with a range: uniform,0.1,0.9", maskRatio)
    .option("--padding-weight <x>", "of padding behind an answer", numberBetween(0, ANY))
    .option(
      "--pad-to <list>",
      "lengths of padded answers (default: 64)",
      numbers(undefined, 1, 1e6),
    )
    .option("--blocks <share>", "of padded answers in a state of blocks", numberBetween(0, 1))
    .option("--complementary", "show every sample with a mask and with its complement")
    .option("--examples <n>", "held-out examples that are used (default: 64)", wholeNumber(1))
    .option("--lora-alpha <x>", "of the adapters (default: the rank)", numberBetween(1e-9, ANY))
    .addOption(
      new Option("--lora-weights <type>", "of the matrices beside them (default: as stored)")
        .choices(QUANTISED),
    )
    .option("--lora-modules <list>", "such as q_proj,v_proj (default: all)", names)
    .option("--seed <n>", "same seed, same run (default: 1)", wholeNumber(0))
    .addOption(new Option("--dtype <type>", "of the written weights").choices(RESULT_TYPES))
    .option("--checkpoint-every <n>", "steps between two checkpoints", wholeNumber(1), 100)
    .option("--line-every <n>", "steps of a line of the history", wholeNumber(1), 10)
    .addOption(
      new Option("--gpu-memory <size>", "most GPU memory that may be used, such as 24GiB")
        .argParser(byteCount),
    );
  return addDeviceOptions(command);
}

/** The given settings: those of a file, with those of the options laid over them. */
export function givenSettings(flags: TrainingFlags, own: Given): Given {
  const { steps, tokens, epochs, batch, batchTokens } = flags;
  onlyOne({ "--steps": steps, "--tokens": tokens, "--epochs": epochs });
  onlyOne({ "--batch": batch, "--batch-tokens": batchTokens });
  const lora = {
    rank: flags.lora,
    alpha: flags.loraAlpha,
    modules: flags.loraModules,
    weights: flags.loraWeights,
  };
  const options: Given = {
    data: flags.data?.map(parseDataFile),
    heldOut: flags.heldOut,
    sequence: flags.sequence,
    rows: flags.rows,
    length: first({ steps }, { tokens }, { epochs }),
    batch: first({ samples: batch }, { tokens: batchTokens }),
    schedule: { rate: flags.rate, warmUp: flags.warmUp, decay: flags.schedule },
    optimizer: {
      name: flags.optimizer,
      beta1: flags.betas?.[0],
      beta2: flags.betas?.[1],
      weightDecay: flags.weightDecay,
      clip: flags.clip,
      average: flags.average,
    },
    masking: {
      ratio: flags.maskRatio,
      paddingWeight: flags.paddingWeight,
      blockShare: flags.blocks,
      complementary: flags.complementary,
    },
    padding: { to: flags.padTo },
    evaluation: { every: flags.evaluateEvery, examples: flags.examples },
    lora: Object.values(lora).some((value) => value !== undefined) ? lora : undefined,
    seed: flags.seed,
    dtype: flags.dtype,
  };
  const file = flags.settings === undefined ? {} : settingsIn(flags.settings);
  return withPaths(overlaid(overlaid(withoutFacts(file), known(options)), known(own)));
}

/** A run's own file of settings has more in it than what may be given. */
function withoutFacts({ command: _, inputs: _inputs, ...settings }: Given): Given {
  return settings;
}

/** The first object whose field is given. */
function first(...objects: readonly Given[]): Given | undefined {
  return objects.find((object) => Object.values(object)[0] !== undefined);
}

function onlyOne(values: Readonly<Record<string, unknown>>): void {
  const given = Object.keys(values).filter((name) => values[name] !== undefined);
  if (given.length > 1) throw new Error(`${given.join(" and ")}: give one of them`);
}

/** Without fields that are not given, so that defaults take their place. */
function known(object: Given): Given {
  return JSON.parse(JSON.stringify(object));
}
