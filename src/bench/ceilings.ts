/** The device's ceilings: what the rates of kernels are compared with. */

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

/** Rate of some work. */
export interface Rate {
  readonly gflopPerSecond: number;
  /** Per second of processor time of this process, which is what a software adapter uses. */
  readonly gflopPerCpuSecond: number;
}

/** Runs measured; the median is reported. */
const RUNS = 7;
/** Milliseconds of a run at least: well above what submitting and waiting cost. */
const RUN_MILLISECONDS = { blocking: 50, awaited: 500 } as const;
/** Calls of a run at most. */
const MOST_REPEATS = 1 << 14;

/** Median rate of `record`, which does `operations` (of any kind) in all. */
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

/** What the device can do at most, measured. */
export interface Ceilings {
  /** Multiply-adds by arithmetic; absent where the device lacks it. */
  readonly multiplyAdd: Readonly<Partial<Record<Arithmetic, Rate>>>;
  /** Bytes read and written by a copy: by a shader, or by the driver's own where that is faster. */
  readonly copyGigabytesPerSecond: number;
}

/** Measures all of them. */
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

/** Chains of multiply-adds in one arithmetic. */
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

/** The device's multiply-add rate. */
export async function multiplyAddCeiling(
  gpu: Gpu,
  arithmetic: Arithmetic = "f32",
): Promise<Rate> {
  using recorder = new Recorder(gpu);
  // Enough for every core of a large GPU, several times.
  const workgroups = 8192;
  const { operations, record } = CHAINS[arithmetic];
  const start = tensorOf(gpu, "start", new Float32Array(32 * workgroups).fill(0.5));
  const result = createTensor(gpu, "result", 32 * workgroups);
  // A call's arithmetic is then well above its loads and stores: 12,288 operations a lane.
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

/** Bytes of a copy, where one binding may hold them: more than caches do. */
const COPY_BYTES = 256 * 2 ** 20;

async function copyCeiling(gpu: Gpu): Promise<number> {
  using recorder = new Recorder(gpu);
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.limits;
  const bytes = Math.min(COPY_BYTES, maxStorageBufferBindingSize, maxBufferSize) & ~0xff;
  const from = createTensor(gpu, "from", bytes / 4);
  const to = createTensor(gpu, "to", bytes / 4);
  try {
    // A copy reads and writes. Drivers may leave theirs to an engine that is slower than the shaders.
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
