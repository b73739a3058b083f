import { assert, assertEquals } from "@std/assert";
import { skipIf } from "../skip.ts";
import { describe, FULL, runLoad } from "./load.ts";

/** Megabytes that a server may grow by, from its first answers to the end of the load. */
const MOST_GROWTH = 300;
const NOT_HERE = Deno.build.os === "linux" ? undefined : "it needs /dev/full and ps";

Deno.test({
  ...skipIf(NOT_HERE, "clients of every kind and a full log disk at once: every answer is right"),
  async fn() {
    const load = { ...FULL, seconds: 8, aborts: 60 };
    const outcome = await runLoad(load);
    console.log(describe(outcome));
    assertEquals(outcome.wrong, []);
    assert(outcome.right >= load.streams, `${outcome.right} answers`);
    assertEquals(outcome.aborted, load.aborts);
    assert(outcome.idleOpened >= load.idle, `${outcome.idleOpened} silent connections`);
    // Each of them was refused for its length, and none cut.
    assertEquals(Object.keys(outcome.refused), ["400"]);
    assert(outcome.health.length > 0);
    const [before] = outcome.memory;
    assert(Math.max(...outcome.memory) < before + MOST_GROWTH, `${outcome.memory} MB`);
    assertEquals(outcome.exitCode, 0);
  },
});
