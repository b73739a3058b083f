/** `unmask bench serving`: requests by one client and by several at once, as tables and a picture. */

import { benchServing, servedSettings, type ServingBench } from "../bench/serving.ts";
import { servingTables } from "../bench/serving_tables.ts";
import { parseAccuracyFile } from "../evaluate/accuracy.ts";
import { drawChart } from "./chart.ts";
import { type DeviceFlags, deviceOf, openDevice, tellProvider } from "./device_options.ts";
import { measuredTuning } from "./options.ts";
import { servingPanels } from "./serving_chart.ts";
import { progressReport } from "./terminal/progress.ts";
import { pngOf } from "./trace_picture/picture.ts";

/** Numbers of clients, settings and rounds, unless asked otherwise. */
export const SERVING = {
  concurrency: "1,2,4,8,16",
  only: "plain,threshold,threshold+dual,commit_verify",
  rounds: 3,
} as const;

/** Flags of the command. */
export interface ServingFlags extends DeviceFlags {
  readonly model: string;
  readonly data: string;
  readonly concurrency?: string;
  readonly limit?: number;
  readonly only?: readonly string[];
  readonly rounds?: number;
  readonly steps?: number;
  readonly blockLength?: number;
  readonly tuning?: string;
  readonly picture?: string;
}

/**
 * Runs the bench and prints its tables, then draws the picture.
 * @param write writes the report, before the picture is drawn
 * @throws {Error} when an answer is not the one that its request gets alone
 */
export async function runServingBench(
  flags: ServingFlags,
  write: (report: ServingBench) => Promise<void>,
): Promise<void> {
  const { model, data, limit, steps, blockLength, picture } = flags;
  const { concurrency = SERVING.concurrency } = flags;
  const { only = SERVING.only.split(","), rounds = SERVING.rounds } = flags;
  const clients = concurrency.split(",").map(Number);
  if (!clients.every((count) => Number.isInteger(count) && count >= 1)) {
    throw new Error(`--concurrency ${concurrency}: expected whole numbers from 1, such as 1,4,16`);
  }
  servedSettings(only);
  const items = parseAccuracyFile(await Deno.readTextFile(data), data);
  const report = await benchServing(model, items, {
    ...deviceOf(flags),
    concurrency: clients,
    limit,
    only,
    rounds,
    steps,
    blockLength,
    tuned: measuredTuning(flags.tuning),
    progress: progressReport,
    onProvider: tellProvider,
  });
  console.log(servingTables(report));
  await write(report);
  if (picture !== undefined) {
    using gpu = await openDevice(deviceOf(flags));
    const title = `${report.model} on ${report.adapter}: ${report.requests} requests`;
    await Deno.writeFile(picture, pngOf(await drawChart(gpu, title, servingPanels(report))));
  }
  for (const { name, different, mayDiffer } of report.settings) {
    if (different === 0 || mayDiffer) continue;
    throw new Error(`${name}: ${different} answers are not those that their requests get alone`);
  }
}
