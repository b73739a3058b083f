/**
 * Makes faults happen to a real server that clients use, and prints what came of them:
 * `deno run -A --lock=.lock/test.lock test/server/faults/run.ts [--short] [--seed N] [--json] [PART OF A KIND'S NAME …]`.
 */

import { parseArgs } from "node:util";
import { aborts } from "./aborts.ts";
import type { Fault, Outcome } from "./fault.ts";
import { inflict, type Size } from "./fault.ts";
import { endlessBodies } from "./endless_bodies.ts";
import { fuzzedBodies } from "./fuzzed_bodies.ts";
import { halfOpen } from "./half_open.ts";
import { lostDevice } from "./lost_device.ts";
import { outOfMemory } from "./out_of_memory.ts";
import { sigkill, sigterm } from "./signals.ts";
import { slowReaders } from "./slow_readers.ts";
import { stoppedWorker } from "./stopped_worker.ts";
import { LightLoad } from "./light_load.ts";
import { type ServedAs, ServedProcess } from "./served_process.ts";
import { tableOf } from "./table.ts";

/** Every kind, those of one server behind each other. */
export const FAULTS: readonly Fault[] = [
  aborts,
  slowReaders,
  halfOpen,
  endlessBodies,
  fuzzedBodies,
  sigterm,
  sigkill,
  // Before a device is lost: to load again takes larger buffers than answers do.
  outOfMemory,
  lostDevice,
  stoppedWorker,
];

/** A server is started for the kinds that take one like it. */
export async function inflictAll(
  faults: readonly Fault[],
  size: Size,
  seed: number,
  told: (outcome: Outcome) => void = () => {},
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const as of ["task", "failing"] satisfies readonly ServedAs[]) {
    const here = faults.filter((fault) => fault.server === as);
    if (here.length === 0) continue;
    await using server = await ServedProcess.start(as);
    const expected = await LightLoad.learn(server);
    for (const fault of here) {
      const outcome = await inflict(fault, server, expected, { size, seed });
      outcomes.push(outcome);
      told(outcome);
    }
  }
  return outcomes;
}

if (import.meta.main) {
  const { values, positionals } = parseArgs({
    args: Deno.args,
    allowPositionals: true,
    options: {
      short: { type: "boolean", default: false },
      seed: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
    },
  });
  const chosen = FAULTS.filter(({ kind }) =>
    positionals.length === 0 || positionals.some((part) => kind.includes(part))
  );
  const size = values.short ? "short" : "full";
  const outcomes = await inflictAll(chosen, size, Number(values.seed), (outcome) => {
    console.error(`${outcome.kind}: ${outcome.seconds.toFixed(0)} s`);
    for (const what of outcome.wrong.slice(0, 10)) console.error(`  wrong: ${what}`);
  });
  console.log(values.json ? JSON.stringify(outcomes, null, 2) : tableOf(outcomes));
  const wrong = outcomes.flatMap((outcome) => outcome.wrong);
  Deno.exit(wrong.length > 0 ? 1 : 0);
}
