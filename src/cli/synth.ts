/** `unmask synth`: models of any shape with random weights, in a folder or straight on the GPU. */

import { join } from "node:path";
import { Command, Option } from "commander";
import { GREEDY } from "../denoise/predictor.ts";
import type { FloatDType } from "../gpu/dtype.ts";
import { checkRoom } from "../model/memory/memory_room.ts";
import type { Model } from "../model/model.ts";
import {
  loadSynthetic,
  syntheticFolder,
  syntheticModel,
  type SyntheticOptions,
} from "../model/synthetic/synthetic.ts";
import {
  SYNTHETIC_SHAPES,
  type SyntheticShape,
  type SyntheticShapeName,
} from "../model/synthetic/synthetic_shape.ts";
import { QUANTISED } from "../quant/scheme.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { gigabytes } from "../weights/disk_space.ts";
import { addDeviceOptions, type DeviceFlags, deviceOf, openDevice } from "./device_options.ts";
import {
  addSchemeOptions,
  addShardOption,
  type QuantisationFlags,
  quantisationOf,
  wholeNumber,
} from "./options.ts";
import { DEVICE_FLAGS, refuseIgnored } from "./ignored_options.ts";
import { inMebibytes, progressReport } from "./terminal/progress.ts";
import { writeWithReport } from "./write_folder.ts";

/** Files that may belong to a tokenizer. */
const TOKENIZER_FILES = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "chat_template.jinja",
];

const DTYPES: Readonly<Record<string, FloatDType>> = { bf16: "BF16", f16: "F16", f32: "F32" };

/** Tokens of the forward pass that `--on-gpu` times. */
const TIMED_TOKENS = 32;

interface SynthFlags extends QuantisationFlags, DeviceFlags {
  readonly like: SyntheticShapeName;
  readonly out?: string;
  readonly onGpu?: boolean;
  readonly seed: number;
  readonly dtype: string;
  readonly shardSize: number;
  readonly tokenizer?: string;
  readonly hiddenSize?: number;
  readonly layers?: number;
  readonly heads?: number;
  readonly ffnSize?: number;
  readonly vocabSize?: number;
  readonly context?: number;
}

/** `unmask synth` */
export function synthCommand(): Command {
  const size = wholeNumber(1);
  const command = new Command("synth")
    .addOption(
      new Option("--like <shape>", "the shape")
        .choices(Object.keys(SYNTHETIC_SHAPES)).makeOptionMandatory(),
    )
    .option("--out <dir>", "write a model folder; an interrupted run goes on when started again")
    .addOption(
      new Option("--on-gpu", "make the model on the GPU, without a file, and time a forward pass")
        .conflicts(["shardSize", "tokenizer"]),
    )
    .option("--seed <n>", "same seed, same weights", wholeNumber(0, 2 ** 32 - 1), 1)
    .addOption(
      new Option("--dtype <type>", "type of weights that are not quantised")
        .choices(Object.keys(DTYPES)).default("bf16"),
    )
    .addOption(
      new Option("--weights <scheme>", "quantise the weights as unmask quantize would")
        .choices(QUANTISED),
    );
  return addDeviceOptions(addShardOption(addSchemeOptions(command)))
    .option("--tokenizer <dir>", "copy this folder's tokenizer, so that the model can be served")
    .option("--layers <n>", "another n_layers", size)
    .option("--hidden-size <n>", "another d_model", size)
    .option("--heads <n>", "another n_heads", size)
    .option("--ffn-size <n>", "another mlp_hidden_size", size)
    .option("--vocab-size <n>", "replace vocab_size; mask and end become the last ids", size)
    .option("--context <n>", "another max_sequence_length", size)
    .addHelpText(
      "after",
      `
Values are drawn once and every tensor runs through them from another place on: no two tensors are
equal, but they are not independent. Host memory stays below 400 MiB whatever the shape.

Examples:
  unmask synth --like mid --out models/mid --tokenizer models/tiny-target
  unmask synth --like llada-8b --on-gpu --weights q4`,
    )
    .action(run);
}

async function run(flags: SynthFlags, command: Command): Promise<void> {
  if (!flags.out === !flags.onGpu) {
    throw new Error("synth: expected either --out DIR or --on-gpu");
  }
  if (flags.out !== undefined) {
    refuseIgnored(command, DEVICE_FLAGS, "with --out, which needs no GPU");
  }
  const shape = shapeOf(flags);
  const options = {
    seed: flags.seed,
    dtype: DTYPES[flags.dtype],
    quantisation: quantisationOf(flags),
  };
  if (flags.out === undefined) await fillGpu(shape, options, flags);
  else await writeFolder(shape, options, flags, flags.out);
}

function shapeOf(flags: SynthFlags): SyntheticShape {
  const shape: SyntheticShape = SYNTHETIC_SHAPES[flags.like];
  const { vocabSize = shape.vocabSize } = flags;
  // The published ids may not exist in another vocabulary.
  const tokens = vocabSize === shape.vocabSize
    ? {}
    : { maskTokenId: undefined, eosTokenId: undefined };
  return {
    ...shape,
    ...tokens,
    vocabSize,
    hiddenSize: flags.hiddenSize ?? shape.hiddenSize,
    layers: flags.layers ?? shape.layers,
    heads: flags.heads ?? shape.heads,
    ffnSize: flags.ffnSize ?? shape.ffnSize,
    maxSequenceLength: flags.context ?? shape.maxSequenceLength,
  };
}

async function writeFolder(
  shape: SyntheticShape,
  options: SyntheticOptions,
  { tokenizer, shardSize }: SynthFlags,
  out: string,
): Promise<void> {
  const copies = tokenizer === undefined ? [] : tokenizerFiles(tokenizer, shape.vocabSize);
  using folder = syntheticFolder(shape, { ...options, shardBytes: shardSize, copies });
  await writeWithReport(out, folder);
  if (copies.length > 0) return;
  console.log(
    "It has no tokenizer. To serve it, put tokenizer.json and tokenizer_config.json of a model " +
      "beside the weights, or use --tokenizer DIR.",
  );
}

/** Paths of a tokenizer's files. @throws {Error} when its ids do not fit the vocabulary */
function tokenizerFiles(dir: string, vocabSize: number): string[] {
  const { controlTokens } = loadTokenizer(dir);
  const most = Math.max(-1, ...controlTokens.values());
  if (most >= vocabSize) {
    throw new Error(
      `${dir}/tokenizer.json: an id is ${most}, expected below the shape's vocabulary of ` +
        `${vocabSize}. Use another tokenizer, or --vocab-size.`,
    );
  }
  const there = new Set([...Deno.readDirSync(dir)].map(({ name }) => name));
  return TOKENIZER_FILES.filter((name) => there.has(name)).map((name) => join(dir, name));
}

async function fillGpu(
  shape: SyntheticShape,
  options: SyntheticOptions,
  { like, weights, group, dtype, ...device }: SynthFlags,
): Promise<void> {
  using gpu = await openDevice(deviceOf(device));
  {
    using asked = syntheticModel(shape, options);
    await checkRoom(gpu, [{ name: like, ...asked }], TIMED_TOKENS);
  }
  const report = progressReport(`filling ${like}`, inMebibytes, true);
  const start = performance.now();
  let bytes = 0;
  let model: Model;
  try {
    model = await loadSynthetic(gpu, shape, {
      ...options,
      onProgress(done, total) {
        bytes = total;
        report.update(done, total);
      },
    });
  } finally {
    report.stop();
  }
  using loaded = model;
  const seconds = (performance.now() - start) / 1000;
  const scheme = weights ? `${weights} in groups of ${group}` : dtype;
  console.log(
    `${like}, ${(parametersOf(shape) / 1e6).toFixed(1)} million parameters, ${scheme}: ` +
      `${gigabytes(bytes)} on ${gpu.name} in ${seconds.toFixed(1)} s`,
  );
  const tokens = Math.min(TIMED_TOKENS, loaded.config.maxSequenceLength);
  console.log(
    `forward pass of ${tokens} token${tokens > 1 ? "s" : ""}: ${await timeForward(loaded, tokens)}`,
  );
}

function parametersOf(shape: SyntheticShape): number {
  using model = syntheticModel(shape);
  let parameters = 0;
  for (const tensor of model.checkpoint.tensors.values()) {
    parameters += tensor.shape.reduce((product, size) => product * size, 1);
  }
  return parameters;
}

/** Seconds of the first pass, which compiles the kernels, and of a second pass. */
async function timeForward(model: Model, rows: number): Promise<string> {
  const positions = Uint32Array.from({ length: rows }, (_, position) => position);
  const ids = new Uint32Array(rows).fill(model.config.maskTokenId);
  const times: string[] = [];
  for (let pass = 0; pass < 2; pass++) {
    const start = performance.now();
    const [predictions] = await model.predict([{ ids, positions, choice: GREEDY }]);
    if (!predictions.every(({ logProbability }) => Number.isFinite(logProbability))) {
      throw new Error("the forward pass gave a probability that is not a number");
    }
    times.push(((performance.now() - start) / 1000).toFixed(2));
  }
  return `${times[1]} s (the first, with compiling, ${times[0]} s)`;
}
