/** The engine in its Worker, with the embedded model on a real adapter. */
import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { BusyError, type GenerateEvent, RequestError } from "../../src/engine/request.ts";
import { WorkerEngine } from "../../src/engine/worker_engine.ts";

interface Item {
  readonly prompt: string;
  readonly expected: string;
  readonly reference?: readonly { readonly steps: number; readonly output_ids: number[] }[];
}
const items: Item[] = JSON.parse(
  Deno.readTextFileSync(new URL("../../models/eval-public.json", import.meta.url)),
).items;
const known = items.find((item) => item.reference)!;
const ask = (content: string) => ({ messages: [{ role: "user", content }] });
/** So long that it surely is under way whenever it is left. */
const long = {
  ...ask("Hello!"),
  strategy: "plain" as const,
  maxTokens: 448,
  ignoreEos: true,
};

type End = GenerateEvent & { type: "end" };

async function all(events: AsyncIterable<GenerateEvent>): Promise<GenerateEvent[]> {
  return await Array.fromAsync(events);
}

async function end(events: AsyncIterable<GenerateEvent>): Promise<End> {
  return (await all(events)).at(-1) as End;
}

Deno.test("the engine in a Worker", async (t) => {
  const progress: [number, number][] = [];
  const engine = new WorkerEngine(EMBEDDED_TARGET, {
    maxRunning: 1,
    maxWaiting: 2,
    onProgress: (done, total) => progress.push([done, total]),
  });
  try {
    assertEquals(engine.state, "loading");
    await engine.ready;

    await t.step("tells what it loaded, and told its progress", () => {
      assertEquals(engine.state, "ready");
      assertEquals(engine.model?.id, "tiny-target");
      assertEquals(engine.model?.contextLength, 512);
      assertEquals(progress.at(-1)?.[0], progress.at(-1)?.[1]);
    });

    await t.step("answers with the recorded ids, in steps that add up", async () => {
      const reference = known.reference!.find((entry) => entry.steps === 16)!;
      const request = {
        ...ask(known.prompt),
        maxTokens: 64,
        steps: 16,
        strategy: "plain" as const,
        stopAtEnd: false,
      };
      const events = await all(engine.generate(request));
      const last = events.at(-1) as End;
      assertEquals(last.ids, reference.output_ids);
      assertEquals(last.text, known.expected);
      assertEquals(last.finishReason, "stop");
      assertEquals(events[0].type, "start");
      const steps = events.filter((event) => event.type === "step");
      assertEquals(steps.length, 16);
      assertEquals(steps.map((event) => event.delta).join(""), last.text);
      const positions = steps.flatMap((event) => event.commits.map((commit) => commit.position));
      assertEquals(positions.sort((a, b) => a - b), Array.from({ length: 64 }, (_, i) => i));
      assertEquals(last.stats.forwards, 16);
    });

    await t.step("chains steps, unless they have been slow", async () => {
      // Another process may make them slow now and then.
      let readbacks = Infinity;
      for (let attempt = 0; attempt < 5 && readbacks > 4; attempt++) {
        const request = { ...long, maxTokens: 64, steps: 16 };
        readbacks = (await end(engine.generate(request))).stats.readbacks;
      }
      assert(readbacks <= 4, `${readbacks} readbacks in 16 steps`);
    });

    await t.step("totals hold an answer once its end has come, and one that was left", async () => {
      const before = engine.totals;
      const { answers, unfinished } = before;
      assertEquals([answers > 0, unfinished], [true, 0]);
      const last = await end(engine.generate({ ...ask(known.prompt), strategy: "self" }));
      assertEquals(engine.totals.answers, answers + 1);
      assertEquals(engine.totals.forwards, before.forwards + last.stats.forwards);
      assertEquals(engine.totals.strategies, { plain: answers, self: 1 });
      for await (const event of engine.generate(long)) if (event.type === "step") break;
      await end(engine.generate({ ...ask(known.prompt), maxTokens: 2 }));
      assertEquals([engine.totals.answers, engine.totals.unfinished], [answers + 2, 1]);
    });

    await t.step("stops once the answer is decided", async () => {
      const last = await end(engine.generate({ ...ask(known.prompt), maxTokens: 256 }));
      assertEquals(last.text, known.expected);
      assert(last.stats.forwards < 128, `${last.stats.forwards} forwards`);
    });

    await t.step("same seed, same text; whatever ran in between", async () => {
      const request = { ...ask("Zebra, zebra?"), temperature: 3, maxTokens: 32 };
      const first = await end(engine.generate({ ...request, seed: 7 }));
      const other = await end(engine.generate({ ...request, seed: 8 }));
      const again = await end(engine.generate({ ...request, seed: 7 }));
      assertEquals(again.ids, first.ids);
      assert(other.ids.join() !== first.ids.join(), "two seeds gave the same ids");
    });

    await t.step("a stop string and the token limit cut the answer", async () => {
      const stopped = await end(engine.generate({ ...ask(known.prompt), stop: ["return"] }));
      assertEquals(stopped.text, known.expected.slice(0, known.expected.indexOf("return")));
      assertEquals(stopped.finishReason, "stop");
      const short = await end(engine.generate({ ...ask(known.prompt), maxTokens: 3 }));
      assertEquals(short.finishReason, "length");
      assertEquals(short.usage.completionTokens, 3);
    });

    await t.step(
      "a request that does not fit is refused by name, and the next one works",
      async () => {
        const error = await assertRejects(
          () => all(engine.generate({ ...ask("hi"), steps: 7, maxTokens: 64 })),
          RequestError,
        );
        assertEquals(error.field, "steps");
        assertEquals((await end(engine.generate(ask(known.prompt)))).text, known.expected);
      },
    );

    await t.step(
      "an abort ends the iteration with its reason, and the next one works",
      async () => {
        const abort = new AbortController();
        let steps = 0;
        await assertRejects(
          async () => {
            const request = { ...ask("Tell me a story."), maxTokens: 256, stopAtEnd: false };
            for await (const event of engine.generate(request, abort.signal)) {
              if (event.type === "step" && ++steps === 3) abort.abort(new Error("enough"));
            }
          },
          Error,
          "enough",
        );
        assertEquals(steps, 3);
        assertEquals((await end(engine.generate(ask(known.prompt)))).text, known.expected);
      },
    );

    await t.step("leaving the loop early frees the engine too", async () => {
      for await (const event of engine.generate({ ...ask("Hello!"), maxTokens: 256 })) {
        if (event.type === "step") break;
      }
      assertEquals((await end(engine.generate(ask(known.prompt)))).text, known.expected);
    });

    await t.step("requests queue up, and a full queue refuses", async () => {
      const abort = new AbortController();
      const running = engine.generate(long, abort.signal);
      assertEquals((await running.next()).value?.type, "start");
      const requests = [0, 1].map(() => end(engine.generate(ask(known.prompt))));
      // The engine takes messages in order: this one finds one running and two waiting.
      await assertRejects(() => all(engine.generate(ask("one too many"))), BusyError);
      assertEquals([engine.load.running, engine.load.waiting], [1, 2]);
      abort.abort(new Error("enough"));
      await assertRejects(() => all(running), Error, "enough");
      for (const { text } of await Promise.all(requests)) assertEquals(text, known.expected);
    });

    await t.step("load figures are there when an answer is over", () => {
      const { running, waiting, places, passes, passRequests, passRows, committed } = engine.load;
      assertEquals([running, waiting, places], [0, 0, 1]);
      // With one place each pass is of one request.
      assertEquals(passRequests, passes);
      assert(passes > 0 && passRows > passes && committed > 0);
    });
  } finally {
    await engine.close();
  }
  assertEquals(engine.state, "failed");
  await assertRejects(() => all(engine.generate(ask("hello"))), Error, "closed");
});

Deno.test("a folder that cannot be loaded fails with the loader's message", async () => {
  const dir = await Deno.makeTempDir();
  const engine = new WorkerEngine(dir);
  try {
    const error = await assertRejects(() => engine.ready);
    assertMatch(error.message, /config\.json/);
    assertEquals(engine.state, "failed");
    assertEquals(engine.failure, error.message);
  } finally {
    await engine.close();
    await Deno.remove(dir, { recursive: true });
  }
});

Deno.test("closed for the exit of the process, the Worker is left alone: unloading its driver may crash it", async () => {
  const { Worker } = globalThis;
  let stopped = 0;
  const workers: Worker[] = [];
  globalThis.Worker = class extends Worker {
    constructor(...args: ConstructorParameters<typeof Worker>) {
      super(...args);
      workers.push(this);
    }
    override terminate() {
      stopped++;
      super.terminate();
    }
  };
  try {
    const engine = new WorkerEngine(EMBEDDED_TARGET, { draft: false });
    await engine.ready;
    await engine.close({ exiting: true });
    assertEquals(stopped, 0);
    await assertRejects(() => all(engine.generate(ask("hello"))), Error, "closed");
    workers[0].terminate();
    await new WorkerEngine(EMBEDDED_TARGET, { draft: false }).close();
    assertEquals([workers.length, stopped], [2, 2]);
  } finally {
    globalThis.Worker = Worker;
  }
});
