/** How far a thing is, on standard error: a bar on a terminal, lines elsewhere. */

import { basename, resolve } from "node:path";
import process from "node:process";
// @ts-types="@types/cli-progress"
import cliProgress from "cli-progress";
import type { MemoryPlan } from "../../model/memory/memory_plan.ts";
import { isStored } from "../../model/memory/plan_request.ts";
import { WorkerEngine, type WorkerEngineOptions } from "../../engine/worker_engine.ts";

/** Without a terminal a line is printed each time another of these shares is there. */
const LINE_SHARE = 0.25;

/** What is shown while a thing goes on. */
export interface ProgressReport {
  /** So much is done, of all. */
  update(done: number, total: number): void;
  /** Prints a line on standard output; held back while there is a bar. */
  print(line: string): void;
  /** Removes the bar. */
  stop(): void;
}

/**
 * A report for something that goes on.
 * @param label what goes on
 * @param amount all there is to do, in words
 * @param lines whether to print lines where there is no terminal
 */
export function progressReport(
  label: string,
  amount: (total: number) => string,
  lines: boolean,
): ProgressReport {
  if (Deno.stderr.isTerminal()) return progressBar(label, amount);
  let shown = 0;
  return {
    update(done, total) {
      if (!lines || (done < total && done / total < shown + LINE_SHARE)) return;
      if (shown >= 1) return;
      shown = done / total;
      console.error(`${label}: ${Math.floor(100 * shown)} % of ${amount(total)}`);
    },
    print: (line) => console.log(line),
    stop() {},
  };
}

function progressBar(label: string, amount: (total: number) => string): ProgressReport {
  const bar = new cliProgress.SingleBar({
    stream: process.stderr,
    format: `${label} {bar} {percentage} % of {amount}`,
    barsize: 30,
    clearOnComplete: true,
    // The command ends the bar itself, and leaves line wrapping as it is.
    gracefulExit: false,
    linewrap: true,
    hideCursor: false,
  }, cliProgress.Presets.shades_classic);
  let state: "before" | "drawn" | "over" = "before";
  const held: string[] = [];
  return {
    update(done, total) {
      if (state === "before") {
        state = "drawn";
        bar.start(total, 0, { amount: amount(total) });
      }
      if (state === "drawn") bar.update(done);
    },
    print(line) {
      if (state === "drawn") held.push(line);
      else console.log(line);
    },
    stop() {
      if (state === "drawn") bar.stop();
      state = "over";
      for (const line of held.splice(0)) console.log(line);
    },
  };
}

/** An amount of bytes, as reports show it. */
export function inMebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/** Starts an engine that shows how far it is, and what it chose where there was a choice. */
export function startEngine(
  dir: string,
  { lines = false, ...options }: Omit<WorkerEngineOptions, "onProgress" | "onPlan"> & {
    readonly lines?: boolean;
  } = {},
): { readonly engine: WorkerEngine; readonly report: ProgressReport } {
  const report = progressReport(`loading ${basename(resolve(dir))}`, inMebibytes, lines);
  const engine = new WorkerEngine(dir, {
    ...options,
    onProgress: (done, total) => report.update(done, total),
    onPlan(line, plan) {
      if (lines || plan.limited || isSmaller(plan)) console.error(line);
    },
  });
  const stop = () => report.stop();
  engine.ready.then(() => {
    stop();
    for (const line of engine.model?.warning?.split("\n") ?? []) {
      console.error(`Warning: ${line}`);
    }
  }, stop);
  return { engine, report };
}

/** Whether a model is not loaded as it is stored, or not with all of its context. */
function isSmaller({ target, draft, context, fullContext }: MemoryPlan): boolean {
  return context < fullContext ||
    [target, draft].some((model) => model && !isStored(model.choice));
}
