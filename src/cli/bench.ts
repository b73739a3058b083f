/** `unmask bench`: how fast kernels and models run here, against the device's own ceiling. */

import { basename, resolve } from "node:path";
import { Command, Option } from "commander";
import Table from "cli-table3";
import { EVAL_PUBLIC } from "../engine/embedded_models.ts";
import { parseAccuracyFile } from "../evaluate/accuracy.ts";
import { acquireGpu, type Gpu } from "../gpu/device.ts";
import { KernelTimes } from "../gpu/kernel_times.ts";
import { openProvider, type ProviderName } from "../gpu/provider.ts";
import { loadModel } from "../model/load.ts";
import type { Model } from "../model/model.ts";
import { loadSynthetic, syntheticFolder } from "../model/synthetic.ts";
import { WEIGHT_CHOICES, type WeightChoice } from "../model/memory_plan.ts";
import { SYNTHETIC_SHAPES, type SyntheticShapeName } from "../model/synthetic_shape.ts";
import { type LinearRate, linearRate } from "./bench_linear.ts";
import { type DenoiseTiming, type ForwardTiming, timeDenoise, timeForward } from "./bench_model.ts";
import { benchLoad } from "./bench_load.ts";
import { benchPair } from "./bench_pair.ts";
import { benchRoofline, ROOFLINE_ROWS } from "./bench_roofline.ts";
import { benchStrategies, chosenSettings } from "./bench_strategies.ts";
import { QUANTISED, type QuantisedName } from "../quant/scheme.ts";
import { multiplyAddCeiling, type Rate } from "./ceilings.ts";
import { gpuOption, modelOption, wholeNumber } from "./options.ts";
import { profiled } from "./profile.ts";
import { VERSION } from "./version.ts";
import { writeWithReport } from "./write_folder.ts";

/** Rows of the timed forward passes. */
const ROWS = [32, 128, 512];
/** The synthetic model's linear layers and the tiny target's: [inner, columns]. */
const LINEAR_SHAPES = [[1024, 3072], [1024, 1024], [3072, 1024], [512, 512], [128, 384]];

/** Ids of the model that is compared with other runtimes. */
const PEERS_IDS = { vocabSize: 2048, maskTokenId: 2047, eosTokenId: 2046 };

/** Figures of one model. */
interface ModelReport {
  readonly name: string;
  readonly forward: readonly ForwardTiming[];
  readonly denoise: DenoiseTiming;
  readonly kernels: readonly { readonly kernel: string; readonly milliseconds: number }[];
}

/** What `--json` writes. */
interface BenchReport {
  readonly version: string;
  readonly date: string;
  readonly adapter: string;
  readonly subgroups: boolean;
  /** Shape of one multiplication; undefined where there are no matrix units. */
  readonly matrixUnits: string | undefined;
  readonly processors: number;
  readonly ceiling: Rate;
  readonly linear: readonly LinearRate[];
  readonly models: readonly ModelReport[];
}

interface BenchFlags {
  readonly model: string;
  readonly gpu: ProviderName;
  readonly json?: string;
  readonly synthetic: boolean;
  readonly data: string;
  readonly limit?: number;
  readonly weights?: QuantisedName | "bf16";
  readonly layers?: number;
  readonly rows?: string;
  readonly only?: readonly string[];
  readonly steps?: number;
  readonly like: SyntheticShapeName;
  readonly rounds?: number;
  readonly profile?: boolean;
}

async function strategies(flags: BenchFlags): Promise<void> {
  const { model, gpu, data, limit, only, steps, json } = flags;
  chosenSettings(only);
  const items = parseAccuracyFile(await Deno.readTextFile(data), data);
  const report = await benchStrategies(model, items, { limit, only, steps, provider: gpu });
  if (json) await Deno.writeTextFile(json, JSON.stringify(report, null, 2) + "\n");
}

async function deviceOf(flags: BenchFlags): Promise<Gpu> {
  const { gpu: provider } = await openProvider(flags.gpu);
  return await acquireGpu({ provider });
}

async function pair(flags: BenchFlags): Promise<void> {
  const { json, weights = "q4", layers } = flags;
  using gpu = await deviceOf(flags);
  const report = await benchPair(gpu, {
    target: "llada-8b",
    draft: "llada-24l",
    weights: weights === "bf16" ? undefined : weights,
    layers,
    promptTokens: 16,
    tokens: 128,
    blockLength: 32,
  });
  if (json) await Deno.writeTextFile(json, JSON.stringify(report, null, 2) + "\n");
}

async function roofline(flags: BenchFlags): Promise<void> {
  const { json, rows } = flags;
  const asked = rows?.split(",").map(Number) ?? ROOFLINE_ROWS;
  if (!asked.every((count) => Number.isInteger(count) && count >= 1)) {
    throw new Error(`--rows ${rows}: expected whole numbers from 1, as 32,128`);
  }
  using gpu = await deviceOf(flags);
  const report = await benchRoofline(gpu, asked);
  if (json) await Deno.writeTextFile(json, JSON.stringify(report, null, 2) + "\n");
}

async function peers(flags: BenchFlags): Promise<void> {
  const { json, like, layers, rows = "128", rounds = 5, only, weights = "bf16" } = flags;
  // Only here: other commands start without its libraries.
  const { PEERS, requirePeers } = await import("./peer_runtimes.ts");
  const { benchPeers } = await import("./bench_peers.ts");
  requirePeers();
  const unknown = only?.find((name) => !PEERS.some((peer) => peer === name));
  if (unknown) throw new Error(`--only ${unknown}: expected of ${PEERS.join(", ")}`);
  const count = Number(rows);
  const shape = SYNTHETIC_SHAPES[like];
  if (!Number.isInteger(count) || count < 1 || count > shape.maxSequenceLength) {
    throw new Error(`--rows ${rows}: expected one number from 1 to ${shape.maxSequenceLength}`);
  }
  using gpu = await deviceOf(flags);
  const report = await benchPeers(gpu, {
    // Few ids, so that the time is that of the layers.
    shape: { ...shape, ...PEERS_IDS, layers: layers ?? (gpu.software ? 2 : shape.layers) },
    rows: count,
    asked: Math.min(32, count),
    weights,
    rounds,
    only: PEERS.filter((peer) => !only || only.includes(peer)),
  });
  if (json) await Deno.writeTextFile(json, JSON.stringify(report, null, 2) + "\n");
}

async function load(dir: string | undefined, flags: BenchFlags): Promise<void> {
  const { json, like, layers, rounds = 3, only = WEIGHT_CHOICES } = flags;
  const unknown = only.find((name) => !WEIGHT_CHOICES.some((choice) => choice === name));
  if (unknown) throw new Error(`--only ${unknown}: expected of ${WEIGHT_CHOICES.join(", ")}`);
  const choices = only as readonly WeightChoice[];
  using gpu = await deviceOf(flags);
  const made = dir === undefined ? await Deno.makeTempDir({ prefix: "unmask_load_" }) : undefined;
  try {
    if (made !== undefined) {
      const shape = SYNTHETIC_SHAPES[like];
      using folder = syntheticFolder({ ...shape, layers: layers ?? shape.layers }, {
        shardBytes: 5e9,
      });
      await writeWithReport(made, folder);
    }
    const report = await benchLoad(gpu, dir ?? made!, { choices, rounds });
    if (json) await Deno.writeTextFile(json, JSON.stringify(report, null, 2) + "\n");
  } finally {
    if (made !== undefined) await Deno.remove(made, { recursive: true });
  }
}

/** `unmask bench` */
export function benchCommand(): Command {
  return new Command("bench")
    .description("Times kernels and models, against the device's multiply-add ceiling.")
    .argument(
      "[what]",
      "strategies: compares ways to denoise; pair: an 8B target and its draft, random weights, " +
        "denoise 128 tokens; roofline: linear layers of the 8B pair against what the device can do; " +
        "load: a folder becomes a model, against the disk's rate; peers: the same model through " +
        "other runtimes (deno task peers); default: kernels and models",
    )
    .argument("[dir]", "folder for load; default: a synthetic one, made for the run")
    .addOption(modelOption())
    .addOption(gpuOption())
    .option("--data <file>", "prompts for strategies", EVAL_PUBLIC)
    .option("--limit <n>", "only the first n prompts", wholeNumber(1))
    .addOption(
      new Option("--weights <scheme>", "of the pair (default q4) or of peers (default bf16)")
        .choices(["bf16", ...QUANTISED]),
    )
    .option(
      "--rows <list>",
      "of the roofline, as 32,128 (default 32,64,128,512), or of peers (default 128)",
    )
    .option("--layers <n>", "layers of pair, load or peers, for a quick look", wholeNumber(1))
    .addOption(
      new Option("--like <shape>", "of the model that load or peers makes")
        .choices(Object.keys(SYNTHETIC_SHAPES)).default("mid"),
    )
    .option(
      "--rounds <n>",
      "of load (default 3) or peers (default 5); medians are told",
      wholeNumber(1),
    )
    .option("--steps <n>", "denoising steps of a strategy's answer", wholeNumber(1))
    .option(
      "--only <names>",
      "only these settings of strategies, such as plain,threshold+dual,auto+fast, or of load: " +
        "stored,q8,q4, or of peers: onnxruntime-web,onnxruntime-node",
      (names) => names.split(","),
    )
    .option("--json <file>", "also write all figures to a file")
    .option("--profile", "also print rates by kernel, of a forward pass of 128 rows")
    .option("--no-synthetic", "without the synthetic d_model 1024 model")
    .addHelpText(
      "after",
      `
Examples:
  unmask bench --json bench.json
  unmask bench strategies --limit 10 --only plain,threshold+dual,auto+fast
  unmask bench load models/llada-8b --only stored,q4`,
    )
    .action(async (what: string | undefined, dir: string | undefined, flags: BenchFlags) => {
      if (what === "load") return await load(dir, flags);
      if (dir !== undefined) throw new Error(`bench ${what} ${dir}: only load takes a folder`);
      if (what === "strategies") return await strategies(flags);
      if (what === "pair") return await pair(flags);
      if (what === "roofline") return await roofline(flags);
      if (what === "peers") return await peers(flags);
      if (what !== undefined) {
        throw new Error(
          `bench ${what}: expected strategies, pair, roofline, load, peers, or nothing`,
        );
      }
      using gpu = await deviceOf(flags);
      const report = await bench(gpu, flags);
      if (flags.json) {
        await Deno.writeTextFile(flags.json, JSON.stringify(report, null, 2) + "\n");
        console.log(`written to ${flags.json}`);
      }
    });
}

async function bench(gpu: Gpu, flags: BenchFlags): Promise<BenchReport> {
  const processors = navigator.hardwareConcurrency;
  const units = gpu.matrixUnits?.shape ?? "none";
  console.log(
    `${gpu.name}, ${processors} processors, subgroups ${gpu.subgroups ? "on" : "off"}, ` +
      `matrix units ${units}`,
  );
  const ceiling = await multiplyAddCeiling(gpu);
  console.log(
    `multiply-add ceiling: ${rate(ceiling.gflopPerSecond)} GFLOP/s, ` +
      `${rate(ceiling.gflopPerCpuSecond)} per CPU-second\n`,
  );
  const linear: LinearRate[] = [];
  for (const [inner, columns] of LINEAR_SHAPES) {
    for (const scheme of ["f32", "f16", "bf16", "q8", "q4"] as const) {
      linear.push(await linearRate(gpu, scheme, 128, inner, columns));
    }
  }
  printLinear(linear, ceiling);

  const models: ModelReport[] = [];
  const run = async (
    name: string,
    load: () => Promise<Model>,
    shape: Parameters<typeof timeDenoise>[1],
  ) => {
    using model = await load();
    models.push(await benchModel(name, model, shape));
    printModel(models.at(-1)!, ceiling);
    if (flags.profile) await profiled(gpu, [model], () => timeForward(model, 128));
  };
  await run(basename(resolve(flags.model)), () => loadModel(gpu, flags.model), {
    promptTokens: 24,
    genLength: 64,
    steps: 64,
  });
  if (flags.synthetic) {
    const { mid } = SYNTHETIC_SHAPES;
    const name = `synthetic d_model ${mid.hiddenSize}, ${mid.layers} layers`;
    await run(name, () => loadSynthetic(gpu, mid), { promptTokens: 24, genLength: 8, steps: 8 });
  }
  return {
    version: VERSION,
    date: new Date().toISOString(),
    adapter: gpu.name,
    subgroups: gpu.subgroups,
    matrixUnits: gpu.matrixUnits?.shape,
    processors,
    ceiling,
    linear,
    models,
  };
}

async function benchModel(
  name: string,
  model: Model,
  shape: Parameters<typeof timeDenoise>[1],
): Promise<ModelReport> {
  const forward: ForwardTiming[] = [];
  for (const rows of ROWS) {
    if (rows <= model.config.maxSequenceLength) forward.push(await timeForward(model, rows));
  }
  const denoise = await timeDenoise(model, shape);
  const kernels = await kernelShares(model);
  return { name, forward, denoise, kernels };
}

/** GPU time of one forward pass of 128 rows by kernel, where the device has timestamps. */
async function kernelShares(model: Model) {
  if (!model.gpu.features.includes("timestamp-query")) return [];
  using times = new KernelTimes(model.gpu);
  model.recorder.times = times;
  try {
    await timeForward(model, 128);
    await times.collect();
  } finally {
    model.recorder.times = undefined;
  }
  const totals = times.totals();
  const all = totals.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  return totals.map(({ kernel, dispatches, milliseconds }) => ({
    kernel,
    dispatches,
    milliseconds,
    share: milliseconds / all,
  }));
}

const rate = (value: number) => value.toFixed(1);
const percent = (value: number) => `${(100 * value).toFixed(0)}%`;

function printLinear(linear: readonly LinearRate[], ceiling: Rate): void {
  const table = new Table({
    head: ["linear layer, 128 rows", "weights", "GFLOP/s", "per CPU-second", "of ceiling"],
    style: { head: [], border: [] },
  });
  for (const { scheme, inner, columns, gflopPerSecond, gflopPerCpuSecond } of linear) {
    table.push([
      `${inner} -> ${columns}`,
      scheme,
      rate(gflopPerSecond),
      rate(gflopPerCpuSecond),
      percent(gflopPerSecond / ceiling.gflopPerSecond),
    ]);
  }
  console.log(`${table}\n`);
}

function printModel({ name, forward, denoise, kernels }: ModelReport, ceiling: Rate): void {
  const table = new Table({
    head: [name, "ms per forward", "GFLOP/s", "of ceiling"],
    style: { head: [], border: [] },
  });
  for (const { rows, milliseconds, gflopPerSecond } of forward) {
    table.push([
      `${rows} rows`,
      rate(milliseconds),
      rate(gflopPerSecond),
      percent(gflopPerSecond / ceiling.gflopPerSecond),
    ]);
  }
  console.log(`${table}`);
  console.log(
    `plain denoising, prompt ${denoise.promptTokens}, ${denoise.genLength} tokens in ` +
      `${denoise.steps} steps: ${denoise.seconds.toFixed(2)} s, ` +
      `${rate(denoise.tokensPerSecond)} tokens/s, ${rate(denoise.millisecondsPerStep)} ms a step`,
  );
  console.log(
    `per step: ${rate(denoise.dispatchesPerStep)} dispatches, ` +
      `${denoise.submitsPerStep.toFixed(2)} submits, ` +
      `${denoise.readbacksPerStep.toFixed(2)} readbacks, host ${percent(denoise.hostShare)}`,
  );
  if (kernels.length > 0) {
    const all = kernels.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
    const shares = kernels.slice(0, 6)
      .map(({ kernel, milliseconds }) => `${kernel} ${percent(milliseconds / all)}`);
    console.log(`GPU time at 128 rows: ${shares.join(", ")}`);
  }
  console.log();
}
