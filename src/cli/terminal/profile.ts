/** `--profile`: GPU time by kernel, compared with ceilings measured in the same run. */

import type { Gpu } from "../../gpu/device.ts";
import { type KernelTime, KernelTimes } from "../../gpu/kernel_times.ts";
import type { Model } from "../../model/model.ts";
import { type Ceilings, measureCeilings } from "../../bench/ceilings.ts";
import { FittedTable } from "../../bench/fitted_table.ts";

/** A kernel's share of the GPU time, and its rates. */
export interface ProfileRow extends KernelTime {
  /** Share of the GPU time of all kernels. */
  readonly share: number;
  /** Rate of arithmetic; absent for a kernel that only moves data. */
  readonly gflopPerSecond?: number;
  readonly gigabytesPerSecond?: number;
  /** Share of the multiply-add ceiling of its arithmetic; of f32's if it multiplies no rows. */
  readonly shareOfMultiplyAdd?: number;
  readonly shareOfCopy?: number;
}

/** Computes shares and rates of the kernels that were timed. */
export function profileRows(
  totals: readonly KernelTime[],
  { multiplyAdd, copyGigabytesPerSecond }: Ceilings,
): ProfileRow[] {
  const all = totals.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  return totals.map((total) => {
    const share = total.milliseconds / all;
    if (!total.cost) return { ...total, share };
    const { operations, bytes } = total.cost;
    const gflopPerSecond = operations > 0 ? operations / (1e6 * total.milliseconds) : undefined;
    const gigabytesPerSecond = bytes / (1e6 * total.milliseconds);
    const ceiling = multiplyAdd[total.arithmetic ?? "f32"];
    return {
      ...total,
      share,
      gflopPerSecond,
      gigabytesPerSecond,
      shareOfMultiplyAdd: ceiling && gflopPerSecond && gflopPerSecond / ceiling.gflopPerSecond,
      shareOfCopy: gigabytesPerSecond / copyGigabytesPerSecond,
    };
  });
}

/**
 * Times every kernel that `models` run during `body`, measures the ceilings and prints the table on
 * standard error. Without timestamp queries it prints that, and only runs `body`.
 */
export async function profiled<T>(
  gpu: Gpu,
  models: readonly Model[],
  body: () => Promise<T>,
): Promise<T> {
  if (!gpu.features.includes("timestamp-query")) {
    console.error(`No profile: ${gpu.name} has no timestamp queries.`);
    return await body();
  }
  using times = new KernelTimes(gpu);
  for (const { recorder } of models) recorder.times = times;
  try {
    const result = await body();
    await times.collect();
    const ceilings = await measureCeilings(gpu);
    console.error(profileTable(gpu, profileRows(times.totals(), ceilings), ceilings));
    return result;
  } finally {
    for (const { recorder } of models) recorder.times = undefined;
  }
}

function profileTable(
  { name }: Gpu,
  rows: readonly ProfileRow[],
  { multiplyAdd, copyGigabytesPerSecond }: Ceilings,
): string {
  const number = (value: number | undefined) => value === undefined ? "-" : value.toFixed(1);
  const percent = (value: number | undefined) =>
    value === undefined ? "-" : `${(100 * value).toFixed(0)}%`;
  const table = new FittedTable({
    head: [name, "calls", "ms", "of time", "GFLOP/s", "of ceiling", "GB/s", "of copy"],
    stream: "stderr",
  });
  for (const row of rows) {
    table.push([
      row.kernel,
      row.dispatches,
      number(row.milliseconds),
      percent(row.share),
      number(row.gflopPerSecond),
      percent(row.shareOfMultiplyAdd),
      number(row.gigabytesPerSecond),
      percent(row.shareOfCopy),
    ]);
  }
  const ceilings = Object.entries(multiplyAdd)
    .map(([arithmetic, rate]) => `${arithmetic} ${number(rate.gflopPerSecond)} GFLOP/s`);
  return `${table}\nceilings: ${ceilings.join(", ")}; copy ${
    number(copyGigabytesPerSecond)
  } GB/s. ` +
    "Weights count once per call. The first call may include compiling. Every kernel ran in a pass " +
    "of its own, which takes longer than a run without a profile.";
}
