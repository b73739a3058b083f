/** Writes a model folder and reports progress, for the commands that make one. */

import { basename, resolve } from "node:path";
import { gigabytes } from "../weights/disk_space.ts";
import {
  abandonWholeFolder,
  type FolderContent,
  type FolderPlan,
  planFolder,
  planWholeFolder,
  writeFolder,
  writeWholeFolder,
} from "../weights/folder_writer.ts";
import { inMebibytes, progressReport } from "./terminal/progress.ts";
import { onStop } from "./terminal/signals.ts";

/**
 * Plans the folder, prints its size, and writes it with a progress bar. An interrupted run leaves whole
 * shards, and is gone on with.
 * @throws {Error} when the folder is not empty or its disk too full
 */
export async function writeWithReport(dir: string, content: FolderContent): Promise<void> {
  const plan = planFolder(dir, content);
  await report(dir, plan, (update) => writeFolder(plan, update), () => {
    console.error(`Interrupted: ${dir} is unfinished. The same command goes on from here.`);
  });
}

/**
 * Likewise, but the folder gets its name when it is complete, and an interrupted run leaves nothing.
 * @throws {Error} when the folder is not empty or its disk too full
 */
export async function writeWholeWithReport(dir: string, content: FolderContent): Promise<void> {
  const plan = planWholeFolder(dir, content);
  await report(dir, plan, (update) => writeWholeFolder(dir, content, update), () => {
    abandonWholeFolder(dir);
    console.error(`Interrupted: ${dir} was not written.`);
  });
}

async function report(
  dir: string,
  plan: FolderPlan,
  write: (update: (done: number, total: number) => void) => Promise<void>,
  interrupted: () => void,
): Promise<void> {
  const finished = plan.shards.filter((shard) => shard.finished).length;
  const free = plan.freeBytes === undefined ? "an unknown amount" : gigabytes(plan.freeBytes);
  console.error(
    `${gigabytes(plan.neededBytes)} to write, ${free} free; ` +
      `${plan.shards.length} ${plan.shards.length === 1 ? "file" : "files"} of weights` +
      (finished > 0 ? `, ${finished} there already` : ""),
  );
  const report = progressReport(`writing ${basename(resolve(dir))}`, inMebibytes, true);
  using _ = onStop((exitCode) => {
    report.stop();
    interrupted();
    Deno.exit(exitCode);
  });
  const start = performance.now();
  try {
    await write((done, total) => report.update(done, total));
  } finally {
    report.stop();
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${dir}: ${gigabytes(plan.byteLength)} of weights, written in ${seconds} s`);
}
