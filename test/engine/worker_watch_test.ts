/** A Worker that hangs or throws is noticed and replaced; what waited gets its error or its turn. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import {
  type GenerateEvent,
  type GenerateRequest,
  UnavailableError,
} from "../../src/engine/request.ts";
import { WorkerEngine } from "../../src/engine/worker_engine.ts";
import { WorkerWatch } from "../../src/engine/worker_watch.ts";
import { StoppedClock } from "../stopped_clock.ts";

/** Starts engines whose Workers stop when they are told to. */
function stoppingWorkers(): Disposable {
  const { Worker } = globalThis;
  globalThis.Worker = class extends Worker {
    constructor(_: string | URL, options?: WorkerOptions) {
      super(new URL("./stopping_worker.ts", import.meta.url), options);
    }
  };
  return { [Symbol.dispose]: () => void (globalThis.Worker = Worker) };
}

/** On a busy machine a Worker may say nothing for a while: where none hangs, that is no sign of it. */
const PATIENCE = {
  hang: { own: 4000, gpu: 20_000, start: 60_000 },
  throw: { own: 60_000, gpu: 60_000, start: 60_000 },
};

async function textOf(events: AsyncIterable<GenerateEvent>): Promise<string> {
  let text = "";
  for await (const event of events) if (event.type === "end") text = event.text;
  return text;
}

for (
  const [how, reason] of [
    // It may be told to while it waits for the GPU.
    ["hang", /(was silent|waited for the GPU) for \d+ s/],
    ["throw", /threw: .*on purpose/],
  ] as const
) {
  Deno.test(`an engine that ${how}s is replaced, and says so meanwhile`, async () => {
    using _ = stoppingWorkers();
    const states: string[] = [];
    const engine = new WorkerEngine(EMBEDDED_TARGET, {
      draft: false,
      patience: PATIENCE[how],
      onState: () => states.push(engine.state),
    });
    try {
      await engine.ready;
      const ask = (content: string, more: Partial<GenerateRequest> = {}) =>
        engine.generate({
          messages: [{ role: "user", content }],
          seed: 1,
          strategy: "plain",
          ...more,
        });
      const expected = await textOf(ask("What is 7 times 8?"));
      const { answers, unfinished } = engine.totals;
      // So long that it surely is under way when the engine stops.
      const underWay = ask("What is 3 plus 4?", { maxTokens: 448, ignoreEos: true });
      assertEquals((await underWay.next()).value?.type, "start");
      // One under way, one that stops the engine, one behind it.
      const asked = [underWay, ask(how), ask("What is 9 times 6?")]
        .map((events) => assertRejects(() => textOf(events), UnavailableError));
      for (const error of await Promise.all(asked)) {
        assertEquals(error.code, "engine_restarted");
        assertMatch(error.reason, reason);
      }
      assertEquals(engine.state, "loading");
      assertMatch(engine.failure!, reason);
      assertEquals(engine.totals.unfinished, unfinished + 1);
      assertEquals([engine.load.running, engine.load.waiting], [0, 0]);
      // Who asks now waits for its turn.
      assertEquals(await textOf(ask("What is 7 times 8?")), expected);
      assertEquals(states, ["ready", "loading", "ready"]);
      assert(engine.totals.answers > answers, "totals are counted on");
    } finally {
      await engine.close();
    }
  });
}

Deno.test("an engine that stops again and again is given up, and tells why", async () => {
  using _ = stoppingWorkers();
  const engine = new WorkerEngine(EMBEDDED_TARGET, { draft: false, patience: PATIENCE.throw });
  try {
    for (let i = 0; i < 4; i++) {
      const messages = [{ role: "user", content: "throw" }];
      await assertRejects(() => textOf(engine.generate({ messages })), Error);
    }
    assertEquals(engine.state, "failed");
    assertMatch(engine.failure!, /^the engine stopped 4 times in a row: it threw/);
  } finally {
    await engine.close();
  }
});

Deno.test("silence while the GPU works is no silence, and a thread that slept says nothing", () => {
  using clock = new StoppedClock();
  const told: string[] = [];
  const patience = { own: 600, gpu: 2500, start: 60_000 };
  using watch = new WorkerWatch(patience, (_, kind) => told.push(kind));
  watch.heard("gpu");
  clock.pass(1500);
  assertEquals(told, []);
  watch.heard("own");
  // This thread stands still: the Worker may have spoken all the while.
  clock.stall(3500);
  clock.pass(300);
  assertEquals(told, []);
  clock.pass(1500);
  assertEquals(told, ["own"]);
});
