/** `unmask eval likelihood`: a bound of how likely a model finds known answers. */

import { basename, join, resolve } from "node:path";
import { Command, Option } from "commander";
import { FittedTable } from "../bench/fitted_table.ts";
import { EVAL_PUBLIC } from "../engine/embedded_models.ts";
import { type Likelihood, likelihood, likelihoodFigures } from "../evaluate/likelihood.ts";
import { readConfig } from "../model/loading/config.ts";
import { loadModel } from "../model/loading/load.ts";
import { checkRoom } from "../model/memory/memory_room.ts";
import { tileLookup } from "../model/tiles/tuned_tiles.ts";
import { QUANTISED } from "../quant/scheme.ts";
import { openCheckpoint } from "../weights/checkpoint.ts";
import { addDeviceOptions, type DeviceFlags, deviceOf, openDevice } from "./device_options.ts";
import { readEvaluationData, toldModel } from "./eval_data.ts";
import { evaluateEach, openKept } from "./eval_run.ts";
import {
  addSchemeOptions,
  measuredTuning,
  measuredTuningOption,
  modelOption,
  numberBetween,
  precisionOf,
  type QuantisationFlags,
  quantisationOf,
  wholeNumber,
} from "./options.ts";

/** Length of prompt plus answer that memory is planned for. */
const ROOM_TOKENS = 512;
/** Finished examples, among what `--out` holds. */
const KEPT = "likelihood.jsonl";

interface LikelihoodFlags extends QuantisationFlags, DeviceFlags {
  readonly model: string;
  readonly data: readonly string[];
  readonly limit?: number;
  readonly samples: number;
  readonly batch: number;
  readonly cfg: number;
  readonly seed: number;
  readonly out?: string;
  readonly json?: boolean;
  readonly tuning?: string;
}

/** `unmask eval likelihood` */
export function likelihoodCommand(): Command {
  const command = new Command("likelihood")
    .description(
      "Estimates a lower bound of the log-likelihood of known answers, from random masks, and " +
        "their perplexity per token.",
    )
    .addOption(modelOption())
    .addOption(
      new Option(
        "--data <file...>",
        "prompts with answers: jsonl, or laid out like models/eval-public.json",
      ).default([EVAL_PUBLIC], "models/eval-public.json"),
    )
    .option("--limit <n>", "only the first n examples", wholeNumber(1))
    .option("--samples <n>", "masked forms of each answer", wholeNumber(1), 128)
    .option(
      "--batch <n>",
      "of these, how many share a random number and spread their masks",
      wholeNumber(1),
      16,
    )
    .option("--cfg <scale>", "classifier-free guidance, as in sampling", numberBetween(0, 100), 0)
    .option("--seed <n>", "seed of the masks", wholeNumber(0), 0)
    .option(
      "--out <dir>",
      "folder for likelihood.json and likelihood.md; it also keeps what is finished, from which an " +
        "interrupted run goes on when it is repeated",
    )
    .option("--json", "print one JSON object instead of a table")
    .addOption(
      new Option("--weights <scheme>", "quantise the model while it loads").choices(QUANTISED),
    );
  return addDeviceOptions(addSchemeOptions(command))
    .addOption(measuredTuningOption())
    .addHelpText(
      "after",
      "\nExample:\n  unmask eval likelihood --data models/eval-public.json --limit 20",
    )
    .action(run);
}

async function run(flags: LikelihoodFlags): Promise<void> {
  const { model: dir, data, samples, batch, cfg, seed, out, limit = Infinity } = flags;
  if (samples % batch !== 0) {
    throw new Error(`--samples ${samples}: expected a multiple of --batch ${batch}`);
  }
  const config = readConfig(dir);
  const context = config.maxSequenceLength;
  const { examples, told } = readEvaluationData(data, dir, { most: limit, context });
  const quantisation = quantisationOf(flags);
  const precision = precisionOf(quantisation);
  const tuned = measuredTuning(flags.tuning);
  using gpu = await openDevice(deviceOf(flags));
  using kept = openKept<Likelihood>(out, KEPT, {
    model: toldModel(dir),
    data: told,
    samples,
    batch,
    cfg,
    seed,
    weights: quantisation ?? "as stored",
    adapter: gpu.name,
  });
  {
    using checkpoint = openCheckpoint(dir);
    await checkRoom(gpu, [{ name: dir, config, checkpoint, precision }], ROOM_TOKENS);
  }
  const tiles = tuned && tileLookup(tuned, gpu);
  using model = await loadModel(gpu, dir, { precision, tiles });
  const estimate = {
    maskTokenId: config.maskTokenId,
    batches: samples / batch,
    batchSize: batch,
    cfgScale: cfg,
    seed,
  };
  const results = await evaluateEach(
    "estimating",
    examples.length,
    kept,
    (i) => likelihood(model, examples[i], estimate),
  );
  const figures = likelihoodFigures(results);
  const report = {
    model: basename(resolve(dir)),
    weights: quantisation ? flags.weights! : "as stored",
    data: data.map((path) => basename(path)),
    examples: figures.examples,
    tokens: figures.tokens,
    samples,
    batch_size: batch,
    cfg_scale: cfg,
    seed,
    adapter: gpu.name,
    log_likelihood: figures.logLikelihood,
    // With a single batch there is no spread to tell.
    standard_error: Number.isNaN(figures.standardError) ? null : figures.standardError,
    per_token: figures.logLikelihood / figures.tokens,
    perplexity: figures.perplexity,
    per_example: results.map(({ tokens, logLikelihood }) => ({
      tokens,
      log_likelihood: logLikelihood,
    })),
  };
  if (out !== undefined) {
    await Deno.writeTextFile(join(out, "likelihood.json"), `${JSON.stringify(report, null, 2)}\n`);
    await Deno.writeTextFile(join(out, "likelihood.md"), markdown(report));
  }
  console.log(flags.json ? JSON.stringify(report) : table(report));
}

/** What is told of a run. */
interface Told {
  readonly model: string;
  readonly examples: number;
  readonly tokens: number;
  readonly samples: number;
  readonly cfg_scale: number;
  readonly log_likelihood: number;
  readonly standard_error: number | null;
  readonly per_token: number;
  readonly perplexity: number;
}

const HEAD = [
  "Model",
  "Examples",
  "Tokens",
  "Masked forms",
  "Guidance",
  "Log-likelihood",
  "Standard error",
  "Per token",
  "Perplexity",
];

function row(report: Told): string[] {
  return [
    report.model,
    `${report.examples}`,
    `${report.tokens}`,
    `${report.samples}`,
    `${report.cfg_scale}`,
    report.log_likelihood.toFixed(2),
    report.standard_error === null ? "-" : report.standard_error.toFixed(2),
    report.per_token.toFixed(4),
    report.perplexity.toFixed(4),
  ];
}

function table(report: Told): string {
  const table = new FittedTable({ head: HEAD, rules: "head" });
  table.push(row(report));
  return `${table}`;
}

function markdown(report: Told): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |\n`;
  return line(HEAD) + line(HEAD.map(() => "---")) + line(row(report));
}
