/** Timings of single kernels for `unmask bench`: the arithmetic ceiling and linear layers. */

import process from "node:process";
import type { Gpu } from "../gpu/device.ts";
import { Recorder } from "../gpu/recorder.ts";
import { createTensor, type Tensor, tensorOf } from "../gpu/tensor.ts";
import { matmul } from "../kernels/matmul.ts";
import { multiplyAdd, multiplyAddOperations } from "../kernels/multiply_add.ts";
import type { WeightMatrix } from "../kernels/weight_matrix.ts";
import {
  blocksOf,
  codeBytesPerColumn,
  type QuantScheme,
  scaleWords,
  schemeConstants,
  SCHEMES,
} from "../quant/scheme.ts";

/** Rate of some work. */
export interface Rate {
  readonly gflopPerSecond: number;
  /** Per second of processor time of this process, which is what a software adapter uses. */
  readonly gflopPerCpuSecond: number;
}

/** A linear layer's timing. */
export interface LinearRate extends Rate {
  readonly scheme: string;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
}

/** Runs measured; the median is reported. */
const RUNS = 7;
/** Operations of a run at least: well above what a submit costs. */
const OPERATIONS_PER_RUN = 2e9;

/** Median rate of `record`, which does `operations` in all. */
async function measure(
  gpu: Gpu,
  recorder: Recorder,
  operations: number,
  record: () => void,
): Promise<Rate> {
  const repeats = Math.max(1, Math.round(OPERATIONS_PER_RUN / operations));
  const rates: Rate[] = [];
  for (let run = -1; run < RUNS; run++) {
    const cpu = process.cpuUsage();
    const start = performance.now();
    // The first run compiles the pipeline.
    for (let i = 0; i < (run < 0 ? 1 : repeats); i++) record();
    recorder.submit();
    await gpu.device.queue.onSubmittedWorkDone();
    const milliseconds = performance.now() - start;
    const used = process.cpuUsage(cpu);
    if (run < 0) continue;
    rates.push({
      gflopPerSecond: operations * repeats / (milliseconds * 1e6),
      gflopPerCpuSecond: operations * repeats / ((used.user + used.system) * 1e3),
    });
  }
  gpu.throwIfFaulty();
  const median = (of: (rate: Rate) => number) =>
    rates.map(of).sort((a, b) => a - b)[Math.floor(rates.length / 2)];
  return {
    gflopPerSecond: median((rate) => rate.gflopPerSecond),
    gflopPerCpuSecond: median((rate) => rate.gflopPerCpuSecond),
  };
}

/** The device's multiply-add rate in f32. */
export async function multiplyAddCeiling(gpu: Gpu): Promise<Rate> {
  using recorder = new Recorder(gpu);
  const workgroups = 1024;
  const start = tensorOf(gpu, "start", new Float32Array(32 * workgroups).fill(0.5));
  const result = createTensor(gpu, "result", 32 * workgroups);
  try {
    // As many rounds as keep a run near the same length on slow and fast devices.
    let rounds = 1 << 10;
    for (;; rounds *= 4) {
      const begin = performance.now();
      const once = { workgroups, rounds, a: 0.999, b: 0.001 };
      multiplyAdd(recorder, start, result, once);
      recorder.submit();
      await gpu.device.queue.onSubmittedWorkDone();
      if (performance.now() - begin > 50 || rounds >= 1 << 20) break;
    }
    const options = { workgroups, rounds, a: 0.999, b: 0.001 };
    return await measure(
      gpu,
      recorder,
      multiplyAddOperations(workgroups, rounds),
      () => multiplyAdd(recorder, start, result, options),
    );
  } finally {
    start.destroy();
    result.destroy();
  }
}

/** Random weights in a scheme's units; 16-bit patterns are kept to small finite values. */
function randomMatrix(
  gpu: Gpu,
  scheme: QuantScheme,
  inner: number,
  columns: number,
): { matrix: WeightMatrix; tensors: Tensor[] } {
  const words = new Uint32Array(columns * codeBytesPerColumn(scheme, inner) / 4);
  let state = 1;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    if (scheme.group) {
      words[i] = state;
      continue;
    }
    const signs = state & 0x80008000;
    const mantissas = (state >>> 8) & 0x007f007f;
    words[i] = scheme.name === "f32"
      ? signs & 0x80000000 | 0x3d000000 | mantissas
      : signs | (scheme.name === "bf16" ? 0x3d003d00 : 0x28002800) | mantissas;
  }
  const tensors = [tensorOf(gpu, "weights", words)];
  if (scheme.group) {
    // Both f16 scales of a word are 2^-7.
    const scales = new Uint32Array(columns * scaleWords(scheme, inner)).fill(0x20002000);
    tensors.push(tensorOf(gpu, "scales", scales));
  }
  const binding = {
    scheme: scheme.name,
    snippet: scheme.snippet,
    arithmetic: "f32" as const,
    constants: schemeConstants(scheme),
    buffers: tensors.map(({ buffer }) => buffer),
  };
  const parts = [{ binding, firstColumn: 0, columns }];
  return {
    matrix: { scheme, blocks: blocksOf(inner), columns, parts, arithmetic: "f32" },
    tensors,
  };
}

/** The rate of `y = x W^T`. */
export async function linearRate(
  gpu: Gpu,
  scheme: QuantScheme["name"],
  rows: number,
  inner: number,
  columns: number,
): Promise<LinearRate> {
  using recorder = new Recorder(gpu);
  const { matrix, tensors } = randomMatrix(gpu, SCHEMES[scheme], inner, columns);
  const values = Float32Array.from({ length: rows * inner }, (_, i) => ((i * 7919) % 1000) / 1000);
  const x = tensorOf(gpu, "x", values);
  const y = createTensor(gpu, "y", rows * columns);
  try {
    const rate = await measure(
      gpu,
      recorder,
      2 * rows * inner * columns,
      () => matmul(recorder, x, matrix, y, { rows, yStride: columns }),
    );
    return { scheme, rows, inner, columns, ...rate };
  } finally {
    for (const tensor of [...tensors, x, y]) tensor.destroy();
  }
}
