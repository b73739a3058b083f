/** Progress on standard error: a bar on a terminal that can be drawn on, lines elsewhere. */

import { basename, resolve } from "node:path";
import process from "node:process";
// @ts-types="@types/cli-progress"
import cliProgress from "cli-progress";
import type { MemoryPlan } from "../../model/memory/memory_plan.ts";
import { isStored } from "../../model/memory/plan_request.ts";
import { WorkerEngine, type WorkerEngineOptions } from "../../engine/worker_engine.ts";
import { Log } from "./log.ts";
import { canRedraw } from "./terminal.ts";

/** Share of the work after which a line is printed where there is no terminal. */
const LINE_SHARE = 0.25;

/** Shows the progress of a task. */
export interface ProgressReport {
  /** Shows that `done` of `total` is finished. */
  update(done: number, total: number): void;
  /** Prints a line on standard output, held back until the bar is removed. */
  print(line: string): void;
  /** Removes the bar. */
  stop(): void;
}

/**
 * Starts a progress report.
 * @param label name of the task
 * @param amount formats the total amount of work
 * @param lines whether to print lines if there is no terminal
 * @param pace formats how fast it goes; asked at every update
 */
export function progressReport(
  label: string,
  amount: (total: number) => string,
  lines: boolean,
  pace?: (done: number, total: number) => string,
): ProgressReport {
  if (canRedraw("stderr")) return progressBar(label, amount, pace);
  // The work goes on where nobody takes these lines, such as on a full disk.
  const log = new Log();
  let shown = 0;
  return {
    update(done, total) {
      const told = pace?.(done, total) ?? "";
      if (!lines || (done < total && done / total < shown + LINE_SHARE)) return;
      if (shown >= 1) return;
      shown = done / total;
      log.error(`${label}: ${Math.floor(100 * shown)} % of ${amount(total)}${told}`);
    },
    print: (line) => console.log(line),
    stop() {},
  };
}

function progressBar(
  label: string,
  amount: (total: number) => string,
  pace?: (done: number, total: number) => string,
): ProgressReport {
  const bar = new cliProgress.SingleBar({
    stream: process.stderr,
    format: `${label} {bar} {percentage} % of {amount}${pace ? "{pace}" : ""}`,
    barsize: pace ? 10 : 30,
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
        bar.start(total, 0, { amount: amount(total), pace: "" });
      }
      if (state === "drawn") bar.update(done, pace && { pace: pace(done, total) });
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

/** Formats a number of bytes for a progress report. */
export function inMebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(1)} MiB`;
}

/**
 * Starts an engine, shows its progress, and prints what was chosen for it: the provider by `--gpu auto`,
 * and the memory plan if there was a choice.
 */
export function startEngine(
  dir: string,
  { lines = false, ...options }:
    & Omit<WorkerEngineOptions, "onProgress" | "onProvider" | "onPlan">
    & {
      readonly lines?: boolean;
    } = {},
): { readonly engine: WorkerEngine; readonly report: ProgressReport } {
  const log = new Log();
  const report = progressReport(`loading ${basename(resolve(dir))}`, inMebibytes, lines);
  const engine = new WorkerEngine(dir, {
    ...options,
    onProgress: (done, total) => report.update(done, total),
    onProvider: (line) => log.error(line),
    onPlan(line, plan) {
      if (lines || plan.limited || isSmaller(plan)) log.error(line);
    },
  });
  const stop = () => report.stop();
  engine.ready.then(() => {
    stop();
    for (const line of engine.model?.warning?.split("\n") ?? []) {
      log.error(`Warning: ${line}`);
    }
  }, stop);
  return { engine, report };
}

/** Whether a model is loaded smaller than it is stored, or with less than its full context. */
function isSmaller({ target, draft, context, fullContext }: MemoryPlan): boolean {
  return context < fullContext ||
    [target, draft].some((model) => model && !isStored(model.choice));
}
