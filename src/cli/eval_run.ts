/** Evaluates examples one after another, with progress; what is finished is kept. */

import { join } from "node:path";
import { KeptResults, type RunSettings } from "../evaluate/kept_results.ts";
import { progressReport } from "./terminal/progress.ts";
import { onStop } from "./terminal/signals.ts";

/**
 * Opens the file of finished examples in a folder.
 * @throws {Error} naming a setting that differs from the file's
 */
export function openKept<T>(
  out: string | undefined,
  file: string,
  settings: RunSettings,
): KeptResults<T> | undefined {
  if (out === undefined) return undefined;
  Deno.mkdirSync(out, { recursive: true });
  return new KeptResults<T>(join(out, file), settings);
}

/**
 * Evaluates the examples that are not kept yet.
 * @param label what is done, as the progress bar says it
 * @returns the results of all, in order
 */
export async function evaluateEach<T>(
  label: string,
  count: number,
  kept: KeptResults<T> | undefined,
  evaluate: (example: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  const report = progressReport(label, (total) => `${total} examples`, true);
  using _ = onStop((exitCode) => {
    report.stop();
    if (kept) console.error(`Interrupted: the same command goes on from ${kept.path}.`);
    Deno.exit(exitCode);
  });
  try {
    for (let i = 0; i < count; i++) {
      report.update(i, count);
      let result = kept?.results.get(i);
      if (result === undefined) {
        result = await evaluate(i);
        kept?.add(i, result);
      }
      results.push(result);
    }
    report.update(count, count);
  } finally {
    report.stop();
  }
  return results;
}
