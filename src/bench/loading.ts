/** `unmask bench load`: times loading a folder onto the GPU, compared with reading its files. */

import type { Gpu } from "../gpu/device.ts";
import { readConfig } from "../model/loading/config.ts";
import { loadModel } from "../model/loading/load.ts";
import { precisionOf } from "../model/memory/precision.ts";
import { binarySize } from "../model/memory/binary_size.ts";
import { isStored, type WeightChoice } from "../model/memory/plan_request.ts";
import { openCheckpoint } from "../weights/checkpoint.ts";
import { gigabytes } from "../weights/disk_space.ts";
import { MemoryWatch } from "./memory_watch.ts";
import { median } from "./model.ts";
import { type ShowProgress, SILENT } from "./progress.ts";
import { VERSION } from "../engine/version.ts";
import { FittedTable } from "./fitted_table.ts";

/** Bytes of one plain read. */
const READ_BYTES = 16 * 2 ** 20;
/** Bytes of a fresh buffer whose first use is timed. */
const FRESH_BYTES = 128 * 2 ** 20;

/** A load, and a plain read of the same files right before it. */
export interface LoadRun {
  /** Seconds to read the files from end to end without using the bytes. */
  readonly readSeconds: number;
  readonly loadSeconds: number;
  /** Peak memory of the process, less what it had before and what is in GPU buffers. */
  readonly hostBytes: number;
  /** Bytes of GPU buffers after loading. */
  readonly gpuBytes: number;
}

/** The loads of one precision. */
export interface LoadFigures {
  readonly weights: WeightChoice;
  readonly runs: readonly LoadRun[];
  /** Medians in units of 10^9 bytes of the folder per second. */
  readonly readGigabytesPerSecond: number;
  readonly loadGigabytesPerSecond: number;
  /** Median rate of loading, as a share of that of reading. */
  readonly share: number;
  /** Largest of all runs. */
  readonly hostBytes: number;
}

/** The report that `--json` writes. */
export interface LoadReport {
  readonly version: string;
  readonly date: string;
  readonly adapter: string;
  readonly software: boolean;
  readonly processors: number;
  readonly folder: string;
  /** Bytes of all tensors. */
  readonly bytes: number;
  /** Median rate of writing new GPU buffers for the first time, in 10^9 bytes per second. */
  readonly freshGigabytesPerSecond: number;
  readonly loads: readonly LoadFigures[];
}

/**
 * Loads a folder repeatedly, as stored and quantised by the GPU, and prints the rates. The same
 * files are read before each load, so that both find the same state of the system's page cache.
 */
export async function benchLoad(
  gpu: Gpu,
  dir: string,
  { choices, rounds, progress = SILENT }: {
    readonly choices: readonly WeightChoice[];
    readonly rounds: number;
    readonly progress?: ShowProgress;
  },
): Promise<LoadReport> {
  const { bytes, files } = weightsOf(dir);
  console.log(`${dir}: ${gigabytes(bytes)}; ${gpu.name}, ${cacheLine(bytes)}`);
  const runs = new Map(choices.map((choice) => [choice, [] as LoadRun[]]));
  const fresh: number[] = [];
  for (let round = 0; round < rounds; round++) {
    fresh.push(FRESH_BYTES / await firstUse(gpu) / 1e9);
    for (const choice of choices) {
      const readSeconds = readPlainly(files);
      runs.get(choice)!.push({ readSeconds, ...await timeLoad(gpu, dir, choice, progress) });
    }
  }
  const report: LoadReport = {
    version: VERSION,
    date: new Date().toISOString(),
    adapter: gpu.name,
    software: gpu.software,
    processors: navigator.hardwareConcurrency,
    folder: dir,
    bytes,
    freshGigabytesPerSecond: median(fresh),
    loads: choices.map((choice) => figuresOf(choice, runs.get(choice)!, bytes)),
  };
  print(report);
  return report;
}

/** Computes the rates of a choice's runs. */
export function figuresOf(
  weights: WeightChoice,
  runs: readonly LoadRun[],
  bytes: number,
): LoadFigures {
  const rate = (seconds: (run: LoadRun) => number) =>
    bytes / median(runs.map((run) => seconds(run))) / 1e9;
  return {
    weights,
    runs,
    readGigabytesPerSecond: rate(({ readSeconds }) => readSeconds),
    loadGigabytesPerSecond: rate(({ loadSeconds }) => loadSeconds),
    share: median(runs.map(({ readSeconds, loadSeconds }) => readSeconds / loadSeconds)),
    hostBytes: Math.max(...runs.map(({ hostBytes }) => hostBytes)),
  };
}

function weightsOf(dir: string): { bytes: number; files: readonly string[] } {
  using checkpoint = openCheckpoint(dir);
  const files = new Set([...checkpoint.tensors.values()].map(({ file }) => file));
  return { bytes: checkpoint.byteLength, files: [...files].sort() };
}

function cacheLine(bytes: number): string {
  const { available } = Deno.systemMemoryInfo();
  return bytes < available
    ? "it fits the system's page cache: unless that is dropped, the disk rates are memory rates"
    : "more than the system's page cache holds";
}

/** Seconds to read files from end to end. */
function readPlainly(files: readonly string[]): number {
  const buffer = new Uint8Array(READ_BYTES);
  const start = performance.now();
  for (const file of files) {
    using open = Deno.openSync(file);
    while (open.readSync(buffer)) { /* nothing is kept */ }
  }
  return (performance.now() - start) / 1000;
}

/** Seconds to write a new GPU buffer for the first time. */
async function firstUse({ device }: Gpu): Promise<number> {
  const buffer = device.createBuffer({ size: FRESH_BYTES, usage: GPUBufferUsage.COPY_DST });
  const start = performance.now();
  const encoder = device.createCommandEncoder();
  encoder.clearBuffer(buffer);
  device.queue.submit([encoder.finish()]);
  await device.queue.onSubmittedWorkDone();
  const seconds = (performance.now() - start) / 1000;
  buffer.destroy();
  return seconds;
}

async function timeLoad(
  gpu: Gpu,
  dir: string,
  choice: WeightChoice,
  progress: ShowProgress,
): Promise<Omit<LoadRun, "readSeconds">> {
  const report = progress(`loading ${choice}`, binarySize, false);
  // What the host writes lies with the host.
  const onDevice = ({ usage }: GPUBufferDescriptor) => (usage & GPUBufferUsage.MAP_WRITE) === 0;
  using memory = new MemoryWatch(gpu, onDevice);
  const before = Deno.memoryUsage().rss;
  let hostBytes = 0;
  const sample = () => {
    // A software adapter's memory is part of the process's.
    const device = gpu.software ? memory.bytes : 0;
    hostBytes = Math.max(hostBytes, Deno.memoryUsage().rss - before - device);
  };
  const start = performance.now();
  try {
    using _ = await loadModel(gpu, dir, {
      precision: precisionOf(choice, {}, readConfig(dir)),
      onProgress(done, total) {
        report.update(done, total);
        sample();
      },
    });
    const loadSeconds = (performance.now() - start) / 1000;
    sample();
    return { loadSeconds, hostBytes, gpuBytes: memory.bytes };
  } finally {
    report.stop();
  }
}

function print({ loads, bytes, freshGigabytesPerSecond, software }: LoadReport): void {
  const table = new FittedTable({
    head: ["weights", "seconds", "GB/s", "plain read, GB/s", "of it", "on the GPU", "host memory"],
  });
  for (const load of loads) {
    table.push([
      isStored(load.weights) ? "as stored" : `${load.weights}, made on the GPU`,
      (bytes / load.loadGigabytesPerSecond / 1e9).toFixed(2),
      load.loadGigabytesPerSecond.toFixed(2),
      load.readGigabytesPerSecond.toFixed(2),
      `${(100 * load.share).toFixed(0)}%`,
      gigabytes(load.runs[0].gpuBytes),
      binarySize(load.hostBytes),
    ]);
  }
  console.log(`${table}`);
  console.log(
    `GB/s are of the folder's bytes. New GPU memory: ${
      freshGigabytesPerSecond.toFixed(2)
    } GB/s at ` +
      "its first use" + (software ? ", which on this adapter is the host's memory." : "."),
  );
  console.log(
    "Host memory: the most of the process at once above what it had before" +
      (software ? " and above the bytes of GPU buffers." : "."),
  );
}
