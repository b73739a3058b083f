/** `unmask bench` without arguments: times kernels and models against the device's peak rate. */

import { basename, resolve } from "node:path";
import type { Gpu } from "../gpu/device.ts";
import { KernelTimes } from "../gpu/kernel_times.ts";
import { loadModel } from "../model/loading/load.ts";
import type { Model } from "../model/model.ts";
import { loadSynthetic } from "../model/synthetic/synthetic.ts";
import { SYNTHETIC_SHAPES } from "../model/synthetic/synthetic_shape.ts";
import type { TileLookup } from "../model/tiles/tiled_matrix.ts";
import { SCHEME_NAMES } from "../quant/scheme.ts";
import { type LinearRate, linearRate } from "./linear_layers.ts";
import { type DenoiseTiming, type ForwardTiming, timeDenoise, timeForward } from "./model.ts";
import { multiplyAddCeiling, type Rate } from "./ceilings.ts";
import { VERSION } from "../engine/version.ts";
import { FittedTable } from "./fitted_table.ts";

/** Rows of the timed forward passes. */
const ROWS = [32, 128, 512];
/** The synthetic model's linear layers and the tiny target's: [inner, columns]. */
const LINEAR_SHAPES = [[1024, 3072], [1024, 1024], [3072, 1024], [512, 512], [128, 384]];

/** Figures of one model. */
interface ModelReport {
  readonly name: string;
  readonly forward: readonly ForwardTiming[];
  readonly denoise: DenoiseTiming;
  readonly kernels: readonly { readonly kernel: string; readonly milliseconds: number }[];
}

/** The report that `--json` writes. */
export interface KernelsAndModelsReport {
  readonly version: string;
  readonly date: string;
  readonly adapter: string;
  readonly subgroups: boolean;
  /** Shape of one multiplication; undefined if there are no matrix units. */
  readonly matrixUnits: string | undefined;
  readonly processors: number;
  readonly ceiling: Rate;
  readonly linear: readonly LinearRate[];
  readonly models: readonly ModelReport[];
}

/** Runs `body`, and prints the time of each kernel of `models` in it. */
export type Profiler = <T>(
  gpu: Gpu,
  models: readonly Model[],
  body: () => Promise<T>,
) => Promise<T>;

/** Options of the bench. */
export interface KernelsAndModelsOptions {
  /** A model folder. */
  readonly model: string;
  /** Whether to time the synthetic d_model 1024 model, too. */
  readonly synthetic: boolean;
  /** Tiles of the models' matrices that `unmask tune` found; default: chosen by a fixed rule. */
  readonly tiles?: TileLookup;
  /** Profiler that also prints rates by kernel; default: none. */
  readonly profile?: Profiler;
}

/** Times kernels and models, and prints the results. */
export async function benchKernelsAndModels(
  gpu: Gpu,
  { model, synthetic, tiles, profile }: KernelsAndModelsOptions,
): Promise<KernelsAndModelsReport> {
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
    for (const scheme of SCHEME_NAMES) {
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
    using loaded = await load();
    models.push(await benchModel(name, loaded, shape));
    printModel(models.at(-1)!, ceiling);
    await profile?.(gpu, [loaded], () => timeForward(loaded, 128));
  };
  await run(basename(resolve(model)), () => loadModel(gpu, model, { tiles }), {
    promptTokens: 24,
    genLength: 64,
    steps: 64,
  });
  if (synthetic) {
    const { mid } = SYNTHETIC_SHAPES;
    const name = `synthetic d_model ${mid.hiddenSize}, ${mid.layers} layers`;
    await run(name, () => loadSynthetic(gpu, mid, { tiles }), {
      promptTokens: 24,
      genLength: 8,
      steps: 8,
    });
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

/** GPU time of one forward pass of 128 rows, by kernel; needs a device with timestamps. */
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
  const table = new FittedTable({
    head: ["linear layer, 128 rows", "weights", "GFLOP/s", "per CPU-second", "of ceiling"],
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
  const table = new FittedTable({
    head: [name, "ms per forward", "GFLOP/s", "of ceiling"],
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
