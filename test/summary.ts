/**
 * Counts the tests of several runs as one, from the reports of `deno test --junit-path`:
 *
 *     deno run --allow-read test/summary.ts REPORT STATUS [REPORT STATUS …]
 *
 * STATUS is the run's exit status. A test that one run skips and another runs has been run. Whatever
 * no run could run is listed with its reason; the last line is "N passed, N failed[, N skipped]".
 */

import { REASON } from "./skip.ts";

/** What became of a test. */
export type Outcome = "passed" | "failed" | "skipped";

/** A test of a report; a step is told by its parent. */
export interface Test {
  /** File and name, without a reason. */
  readonly name: string;
  readonly outcome: Outcome;
  /** Why it was skipped; undefined where its name tells none. */
  readonly reason?: string;
}

const ENTITIES: Readonly<Record<string, string>> = {
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
};

function decode(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (name) return ENTITIES[name] ?? whole;
    return String.fromCodePoint(hex ? parseInt(hex, 16) : Number(decimal));
  });
}

/**
 * The tests of a report.
 * @param xml of `deno test --junit-path`
 */
export function testsOf(xml: string): Test[] {
  const found = [...xml.matchAll(
    /<testcase name="([^"]*)" classname="([^"]*)"[^>]*?(?:\/>|>([^]*?)<\/testcase>)/g,
  )].map(([, name, file, body = ""]) => ({ name: decode(name), file: decode(file), body }));
  const names = new Set(found.map(({ file, name }) => `${file} ${name}`));
  const isStep = ({ file, name }: { file: string; name: string }) => {
    for (let at = name.indexOf(" > "); at >= 0; at = name.indexOf(" > ", at + 1)) {
      if (names.has(`${file} ${name.slice(0, at)}`)) return true;
    }
    return false;
  };
  return found.filter((one) => !isStep(one)).map(({ file, name, body }) => {
    const outcome = /<(failure|error)\b/.test(body)
      ? "failed"
      : /<skipped\b/.test(body)
      ? "skipped"
      : "passed";
    const reason = REASON.exec(name);
    return {
      name: `${file} ${reason ? name.slice(0, reason.index) : name}`,
      outcome,
      ...(outcome === "skipped" && reason ? { reason: reason[1] } : {}),
    };
  });
}

/** A run: its report, undefined where it left none, and its exit status. */
export interface Run {
  readonly tests: readonly Test[] | undefined;
  readonly status: number;
}

/** The closing lines of all runs together, and whether all is well. */
export function summarize(
  runs: readonly Run[],
): { readonly lines: string[]; readonly ok: boolean } {
  const rank: readonly Outcome[] = ["skipped", "passed", "failed"];
  const tests = new Map<string, Test>();
  const lines: string[] = [];
  let broken = 0;
  for (const { tests: ofRun = [], status } of runs) {
    for (const test of ofRun) {
      const before = tests.get(test.name);
      const worse = !before || rank.indexOf(test.outcome) > rank.indexOf(before.outcome);
      if (worse) tests.set(test.name, test);
    }
    // A file that cannot be loaded, or a crash, is no test of any report.
    if (status !== 0 && !ofRun.some(({ outcome }) => outcome === "failed")) {
      broken++;
      lines.push(`A run ended with status ${status}, and no failed test says why: see its output.`);
    } else if (ofRun.length === 0) {
      broken++;
      lines.push("A run had no tests.");
    }
  }
  const all = [...tests.values()];
  const skipped = all.filter(({ outcome }) => outcome === "skipped");
  for (const { name } of all.filter(({ outcome }) => outcome === "failed")) {
    lines.push(`Failed: ${name}`);
  }
  for (const [reason, of] of Map.groupBy(skipped, ({ reason }) => reason)) {
    lines.push(`Skipped, ${reason ?? "for no reason that its name tells, which is a failure"}:`);
    lines.push(...of.map(({ name }) => `  ${name}`));
  }
  const unexplained = skipped.filter(({ reason }) => reason === undefined).length;
  const passed = all.filter(({ outcome }) => outcome === "passed").length;
  const nothing = passed === 0 && broken === 0 ? 1 : 0;
  if (nothing) lines.push("No test was run.");
  const failed = all.length - passed - skipped.length + broken + unexplained + nothing;
  const left = skipped.length - unexplained;
  lines.push(`${passed} passed, ${failed} failed` + (left > 0 ? `, ${left} skipped` : ""));
  return { lines, ok: failed === 0 };
}

function read(path: string): readonly Test[] | undefined {
  try {
    return testsOf(Deno.readTextFileSync(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

if (import.meta.main) {
  const runs: Run[] = [];
  for (let i = 0; i < Deno.args.length; i += 2) {
    runs.push({ tests: read(Deno.args[i]), status: Number(Deno.args[i + 1]) });
  }
  const { lines, ok } = summarize(runs);
  console.log(lines.join("\n"));
  Deno.exit(ok ? 0 : 1);
}
