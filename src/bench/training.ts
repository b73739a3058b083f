/**
 * `unmask bench training`: steps of training a model and of distilling a draft, against the device's
 * multiply-add rate in the same run, and the memory that they took against their plan.
 */

import process from "node:process";
import type { Gpu } from "../gpu/device.ts";
import { VERSION } from "../engine/version.ts";
import { binarySize } from "../model/memory/binary_size.ts";
import { freeHostBytes } from "../model/memory/host_memory.ts";
import type { TrainingPlan } from "../compress/plan.ts";
import { MemoryWatch } from "./memory_watch.ts";
import { multiplyAddCeiling, type Rate } from "./ceilings.ts";
import { FittedTable } from "./fitted_table.ts";
import { type MatrixRates, matrixRates, matrixSizes, PRODUCT_KINDS } from "./training_products.ts";
import { openSteps, type TrainingSteps, type TrainingSubject } from "./training_steps.ts";

/** Options of the training bench. */
export interface TrainingBenchOptions {
  readonly subjects: readonly TrainingSubject[];
  /** Rows of a step, in one micro-batch. */
  readonly rows: number;
  /** Steps that are timed, of which the median is reported. */
  readonly rounds: number;
  /** Whether to time the products of the models' matrices alone as well (default: not). */
  readonly products?: boolean;
}

/** Seconds by the clock and of this process's CPUs. */
interface Taken {
  readonly seconds: number;
  readonly cpuSeconds: number;
}

/** The figures of a subject. */
export interface TrainingFigures {
  readonly name: string;
  readonly rows: number;
  /** Rows whose prediction enters the loss. */
  readonly asked: number;
  readonly sequence: number;
  readonly step: Taken;
  /** The teacher's forward pass, which is part of the step. */
  readonly teacher?: Taken;
  readonly optimiser: Taken;
  readonly tokensPerSecond: number;
  /** Multiplications and additions of a step; what is made again counts once. */
  readonly operations: number;
  readonly gflopPerSecond: number;
  readonly gflopPerCpuSecond: number;
  /** Shares of the multiply-add ceiling, by the clock and per CPU-second. */
  readonly share: number;
  readonly shareOfCpuCeiling: number;
  /** Multiply-adds in f32: the highest of the rates before, between and after the steps. */
  readonly ceiling: Rate;
  /** The products of the trained model's matrices, each alone, in the same run. */
  readonly products: readonly MatrixRates[];
  readonly keepActivations: boolean;
  readonly plannedBytes: number;
  readonly planned: TrainingPlan["parts"];
  /** Most bytes of buffers and textures that were there together. */
  readonly measuredBytes: number;
}

/** The report that `--json` writes. */
export interface TrainingReport {
  readonly version: string;
  readonly date: string;
  readonly adapter: string;
  readonly form: string;
  readonly processors: number;
  readonly figures: readonly TrainingFigures[];
}

/** Times all subjects, and prints a table. */
export async function benchTraining(
  gpu: Gpu,
  options: TrainingBenchOptions,
): Promise<TrainingReport> {
  const { subjects } = options;
  const processors = navigator.hardwareConcurrency;
  console.log(`${gpu.name}, ${processors} processors, rows ${gpu.rowForm}`);
  const figures: TrainingFigures[] = [];
  for (const subject of subjects) {
    figures.push(await figuresOf(gpu, subject, options));
    console.log(line(figures.at(-1)!));
  }
  printTable(figures);
  return {
    version: VERSION,
    date: new Date().toISOString(),
    adapter: gpu.name,
    form: gpu.rowForm,
    processors,
    figures,
  };
}

async function figuresOf(
  gpu: Gpu,
  subject: TrainingSubject,
  { rows, rounds, products: alone = false }: TrainingBenchOptions,
): Promise<TrainingFigures> {
  using watch = new MemoryWatch(gpu);
  using steps = await openSteps(gpu, subject, { rows, limit: freeHostBytes(gpu) });
  const measured = await timed(gpu, steps, rounds);
  const measuredBytes = watch.peakBytes;
  const products: MatrixRates[] = [];
  for (const [inner, columns] of alone ? matrixSizes(steps.config) : []) {
    products.push(await matrixRates(gpu, rows, inner, columns));
  }
  const { name, asked, sequence, operations, plan } = steps;
  const { step, ceiling } = measured;
  const gflopPerSecond = operations / step.seconds / 1e9;
  const gflopPerCpuSecond = operations / step.cpuSeconds / 1e9;
  return {
    name,
    rows,
    asked,
    sequence,
    ...measured,
    tokensPerSecond: rows / step.seconds,
    operations,
    gflopPerSecond,
    gflopPerCpuSecond,
    share: gflopPerSecond / ceiling.gflopPerSecond,
    shareOfCpuCeiling: gflopPerCpuSecond / ceiling.gflopPerCpuSecond,
    products,
    keepActivations: plan.keepActivations,
    plannedBytes: plan.bytes,
    planned: plan.parts,
    measuredBytes,
  };
}

/** Steps and their parts in turn, with the ceiling before, between and after them. */
async function timed(gpu: Gpu, steps: TrainingSteps, rounds: number) {
  // The first step compiles the kernels.
  await steps.step();
  await steps.teacher?.();
  let ceiling = await multiplyAddCeiling(gpu);
  const taken: { step: Taken[]; teacher: Taken[]; optimiser: Taken[] } = {
    step: [],
    teacher: [],
    optimiser: [],
  };
  for (let round = 0; round < rounds; round++) {
    taken.step.push(await clocked(steps.step));
    if (steps.teacher) taken.teacher.push(await clocked(steps.teacher));
    taken.optimiser.push(await clocked(steps.optimiser));
    ceiling = higher(ceiling, await multiplyAddCeiling(gpu));
  }
  gpu.throwIfFaulty();
  return {
    step: median(taken.step),
    ...steps.teacher && { teacher: median(taken.teacher) },
    optimiser: median(taken.optimiser),
    ceiling,
  };
}

async function clocked(run: () => Promise<void>): Promise<Taken> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  await run();
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(cpu);
  return { seconds, cpuSeconds: (used.user + used.system) / 1e6 };
}

function median(taken: readonly Taken[]): Taken {
  const middle = (of: (one: Taken) => number) =>
    taken.map(of).sort((a, b) => a - b)[Math.floor(taken.length / 2)];
  return {
    seconds: middle(({ seconds }) => seconds),
    cpuSeconds: middle(({ cpuSeconds }) => cpuSeconds),
  };
}

function higher(a: Rate, b: Rate): Rate {
  return {
    gflopPerSecond: Math.max(a.gflopPerSecond, b.gflopPerSecond),
    gflopPerCpuSecond: Math.max(a.gflopPerCpuSecond, b.gflopPerCpuSecond),
  };
}

const percent = (value: number) => `${(100 * value).toFixed(0)}%`;
const milliseconds = ({ seconds }: Taken) => (1000 * seconds).toFixed(0);

function line({ name, tokensPerSecond, share }: TrainingFigures): string {
  return `${name}: ${tokensPerSecond.toFixed(0)} tokens/s, ${percent(share)} of the ceiling`;
}

function printTable(figures: readonly TrainingFigures[]): void {
  const table = new FittedTable({
    head: [
      "training",
      "rows, asked",
      "tokens/s",
      "step, ms",
      "teacher, optimiser, ms",
      "GFLOP/s",
      "of the ceiling",
      "GFLOP per CPU-second",
      "of the ceiling",
      "memory",
      "planned",
    ],
  });
  for (const one of figures) {
    const { teacher, ceiling } = one;
    table.push([
      one.name,
      `${one.rows}, ${one.asked}`,
      one.tokensPerSecond.toFixed(0),
      milliseconds(one.step),
      `${teacher ? milliseconds(teacher) : "-"}, ${milliseconds(one.optimiser)}`,
      one.gflopPerSecond.toFixed(1),
      `${percent(one.share)} of ${ceiling.gflopPerSecond.toFixed(1)}`,
      one.gflopPerCpuSecond.toFixed(1),
      `${percent(one.shareOfCpuCeiling)} of ${ceiling.gflopPerCpuSecond.toFixed(1)}`,
      binarySize(one.measuredBytes),
      `${binarySize(one.plannedBytes)}, products ${one.keepActivations ? "kept" : "made again"}`,
    ]);
  }
  console.log(table.toString());
  if (figures.every(({ products }) => products.length === 0)) return;
  console.log("Products alone, of the ceiling: by the clock, and per CPU-second");
  console.log(productTable(figures).toString());
}

function productTable(figures: readonly TrainingFigures[]): FittedTable {
  const table = new FittedTable({ head: ["training", "matrix", ...PRODUCT_KINDS], rules: "head" });
  for (const { name, products, ceiling } of figures) {
    for (const { inner, columns, rates } of products) {
      const shares = PRODUCT_KINDS.map((kind) => {
        const { gflopPerSecond, gflopPerCpuSecond } = rates[kind];
        return `${percent(gflopPerSecond / ceiling.gflopPerSecond)}, ${
          percent(gflopPerCpuSecond / ceiling.gflopPerCpuSecond)
        }`;
      });
      table.push([name, `${inner} to ${columns}`, ...shares]);
    }
  }
  return table;
}
