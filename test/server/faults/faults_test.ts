/** Faults of every kind, a few of each, while clients stream: `run.ts` makes many of each. */

import { assert, assertEquals } from "@std/assert";
import { skipIf } from "../../skip.ts";
import type { Outcome } from "./fault.ts";
import { NO_RAW_SOCKETS } from "./raw_socket.ts";
import { FAULTS, inflictAll } from "./run.ts";

/** Mebibytes that a server may have more after a fault: what its first answers of a kind make stays. */
const MOST_GROWTH = 200;

function check({ kind, wrong, load, memory: [before, , after], outcomes }: Outcome): void {
  assertEquals([...wrong], [], kind);
  assert(load.right > 0, `${kind}: nobody was answered beside it`);
  assert(Object.keys(outcomes).length > 0, kind);
  assert(after < before + MOST_GROWTH, `${kind}: ${before} MiB before, ${after} after`);
}

/** Waits most of the time, so that others use the machine. */
const WAITS = "half-open connections";

for (const server of ["task", "failing"] as const) {
  Deno.test({
    ...skipIf(
      NO_RAW_SOCKETS,
      `a server outlives what ${
        server === "task" ? "clients and signals" : "its GPU"
      } may do to it`,
    ),
    async fn() {
      const here = FAULTS.filter((fault) => fault.server === server);
      const runs = [
        here.filter(({ kind }) => kind !== WAITS),
        here.filter(({ kind }) => kind === WAITS),
      ];
      const outcomes = await Promise.all(runs.map((faults) => inflictAll(faults, "short", 1)));
      assertEquals(outcomes.flat().length, here.length);
      for (const outcome of outcomes.flat()) check(outcome);
    },
  });
}
