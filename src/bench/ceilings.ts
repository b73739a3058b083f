/** Measures the device's peak rates, with which the rates of kernels are compared. */

import process from "node:process";
import type { Gpu } from "../gpu/device.ts";
import type { Arithmetic } from "../gpu/kernel.ts";
import { mapBlocks, QueueWait } from "../gpu/mapping.ts";
import { Recorder } from "../gpu/recorder.ts";
import { createTensor, type Tensor, tensorOf } from "../gpu/tensor.ts";
import { copyUnits } from "../kernels/copy.ts";
import { multiplyAdd, multiplyAddOperations } from "../kernels/multiply_add.ts";
import { multiplyAddF16 } from "../kernels/multiply_add_f16.ts";
import { multiplyAddInt8, multiplyAddInt8Operations } from "../kernels/multiply_add_int8.ts";

/** A rate of arithmetic. */
export interface Rate {
  readonly gflopPerSecond: number;
  /** Rate per second of this process's CPU time, for software adapters. */
  readonly gflopPerCpuSecond: number;
}

/** Number of runs; the median is reported. */
const RUNS = 7;
/** Least milliseconds of a run: much more than submitting and waiting cost. */
const RUN_MILLISECONDS = { blocking: 50, awaited: 500 } as const;
/** Limit of calls in a run. */
const MOST_REPEATS = 1 << 14;

/** Measures the median rate of `record`, which does `operations` operations (of any kind). */
export async function measureRate(
  gpu: Gpu,
  recorder: Recorder,
  operations: number,
  record: () => void,
): Promise<Rate> {
  using queue = new QueueWait(gpu);
  const run = async (repeats: number) => {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) record();
    recorder.submit();
    await queue.wait();
    return performance.now() - start;
  };
  // The first call compiles the pipeline.
  await run(1);
  const wanted = RUN_MILLISECONDS[mapBlocks(gpu) ? "blocking" : "awaited"];
  let repeats = 1;
  while (repeats < MOST_REPEATS && await run(repeats) < wanted) repeats *= 2;
  const rates: Rate[] = [];
  for (let i = 0; i < RUNS; i++) {
    const cpu = process.cpuUsage();
    const milliseconds = await run(repeats);
    const used = process.cpuUsage(cpu);
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

/** Measured peak rates of a device. */
export interface Ceilings {
  /** Multiply-add rates by arithmetic; absent if the device does not have it. */
  readonly multiplyAdd: Readonly<Partial<Record<Arithmetic, Rate>>>;
  /**
   * Bytes read and written by a copy, with a shader or with the driver's copy if that is faster.
   */
  readonly copyGigabytesPerSecond: number;
}

/** Measures all ceilings. */
export async function measureCeilings(gpu: Gpu): Promise<Ceilings> {
  const f32 = await multiplyAddCeiling(gpu);
  const f16 = gpu.features.includes("shader-f16")
    ? await multiplyAddCeiling(gpu, "f16")
    : undefined;
  const int8 = await multiplyAddCeiling(gpu, "int8");
  return {
    multiplyAdd: { f32, ...f16 ? { f16 } : {}, int8 },
    copyGigabytesPerSecond: await copyCeiling(gpu),
  };
}

/** Kernels of multiply-add chains, by arithmetic. */
const CHAINS: Readonly<
  Record<
    Arithmetic,
    {
      readonly operations: (workgroups: number, rounds: number) => number;
      readonly record: (
        recorder: Recorder,
        start: Tensor,
        result: Tensor,
        size: { readonly workgroups: number; readonly rounds: number },
      ) => void;
    }
  >
> = {
  f32: {
    operations: multiplyAddOperations,
    record: (recorder, start, result, size) =>
      multiplyAdd(recorder, start, result, { ...size, a: 0.999, b: 0.001 }),
  },
  f16: {
    operations: multiplyAddOperations,
    record: (recorder, start, result, size) =>
      multiplyAddF16(recorder, start, result, { ...size, a: 0.99, b: 0.01 }),
  },
  int8: {
    operations: multiplyAddInt8Operations,
    record: (recorder, start, result, size) =>
      multiplyAddInt8(recorder, start, result, { ...size, factor: 0x6bf31d8f }),
  },
};

/** Measures the device's multiply-add rate. */
export async function multiplyAddCeiling(
  gpu: Gpu,
  arithmetic: Arithmetic = "f32",
): Promise<Rate> {
  using recorder = new Recorder(gpu);
  // Several workgroups for every core of a large GPU.
  const workgroups = 8192;
  const { operations, record } = CHAINS[arithmetic];
  const start = tensorOf(gpu, "start", new Float32Array(32 * workgroups).fill(0.5));
  const result = createTensor(gpu, "result", 32 * workgroups);
  // With 12,288 operations per lane, loads and stores take little of a call's time.
  const rounds = 64;
  try {
    return await measureRate(
      gpu,
      recorder,
      operations(workgroups, rounds),
      () => record(recorder, start, result, { workgroups, rounds }),
    );
  } finally {
    start.destroy();
    result.destroy();
  }
}

/** Bytes of a copy, if one binding may hold them; more than caches hold. */
const COPY_BYTES = 256 * 2 ** 20;

async function copyCeiling(gpu: Gpu): Promise<number> {
  using recorder = new Recorder(gpu);
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.limits;
  const bytes = Math.min(COPY_BYTES, maxStorageBufferBindingSize, maxBufferSize) & ~0xff;
  const from = createTensor(gpu, "from", bytes / 4);
  const to = createTensor(gpu, "to", bytes / 4);
  try {
    // A copy reads and writes. A driver's copy may use a copy engine that is slower than shaders.
    const copies = [() => recorder.copy(from, to), () => copyUnits(recorder, from, to, bytes / 16)];
    const rates: number[] = [];
    for (const copy of copies) {
      rates.push((await measureRate(gpu, recorder, 2 * bytes, copy)).gflopPerSecond);
    }
    return Math.max(...rates);
  } finally {
    from.destroy();
    to.destroy();
  }
}
