/** What the server keeps in memory when answers are over: nothing, of those nor of refused bodies. */

import { assert, assertEquals } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { RecoveringEngine } from "../../src/engine/recovering_engine.ts";
import type { TextEngine } from "../../src/engine/request.ts";
import { createApp } from "../../src/server/app.ts";
import { listen } from "../../src/server/http_server.ts";
import { DeviceWatch } from "../gpu/device.ts";
import { heapInUse } from "../heap.ts";

const ANSWERS = 48;
const BODIES = 24;
const MEBIBYTE = 2 ** 20;

/** What each answer made of its own: its request, its signal and its events. */
class Made {
  readonly #answers: WeakRef<object>[][] = [];

  /** Notes what all later answers of an engine make. */
  constructor(engine: TextEngine) {
    const { generate } = engine;
    const answers = this.#answers;
    engine.generate = async function* (request, signal) {
      const made = [request, signal!].map((object) => new WeakRef<object>(object));
      answers.push(made);
      for await (const event of generate.call(engine, request, signal)) {
        made.push(new WeakRef<object>(event));
        yield event;
      }
    };
  }

  /** Numbers of the answers of which something is still reached. */
  get alive(): number[] {
    return [...this.#answers.keys()].filter((answer) =>
      this.#answers[answer].some((made) => made.deref() !== undefined)
    );
  }
}

/** Refused after it was read as JSON: by a field, and by the length of its messages. */
const LONG = "x".repeat(MEBIBYTE - 200);
const REFUSED = [{ seed: LONG }, { messages: [{ role: "user", content: LONG }] }];

Deno.test("answers of all lengths and refused bodies leave nothing in memory", async (t) => {
  // In this thread, so that one heap shows it all.
  const engine = new RecoveringEngine(EMBEDDED_TARGET);
  await engine.ready;
  const app = createApp(engine);
  const server = await listen(app.fetch, { hostname: "127.0.0.1", port: 0 });
  const made = new Made(engine);
  const watch = new DeviceWatch(engine.engine!.model.gpu);
  const send = async (fields: Record<string, unknown>) => {
    const response = await fetch(`http://127.0.0.1:${server.port}/v1/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ messages: [{ role: "user", content: "Hi" }], ...fields }),
    });
    return { status: response.status, text: await response.text() };
  };
  const answer = async (words: number, stream = false) => {
    const before = watch.bindGroups;
    const content = " please".repeat(words);
    const { status } = await send({
      messages: [{ role: "user", content }],
      strategy: "threshold",
      max_tokens: 16,
      stream,
    });
    assertEquals(status, 200);
    return watch.bindGroups - before;
  };
  try {
    // The longest makes all scratch buffers as large as they get.
    for (const words of [ANSWERS, 1, 2, 3]) for (const s of [false, true]) await answer(words, s);
    const usual = await answer(1);
    const [buffers, heap] = [watch.alive.size, await heapInUse()];

    await t.step(`${ANSWERS} answers`, async () => {
      for (let words = 1; words <= ANSWERS; words++) {
        const groups = await answer(words, words % 2 === 0);
        assert(groups <= usual, `${groups} bind groups for ${words} words, ${usual} for one`);
      }
      assertEquals(watch.alive.size, buffers, "GPU buffers");
      // About half of it is what V8 learns about code that runs for the first times.
      const kept = await heapInUse() - heap;
      assert(kept < ANSWERS * 20_000, `${kept} bytes after ${ANSWERS} answers`);
      assertEquals(made.alive, []);
    });

    await t.step(`${BODIES} bodies of almost 1 MiB`, async () => {
      const before = await heapInUse();
      for (let i = 0; i < BODIES; i++) {
        assertEquals((await send(REFUSED[i % REFUSED.length])).status, 400);
      }
      // The last one stays, until the next one comes.
      const kept = await heapInUse() - before;
      assert(kept < 4 * MEBIBYTE, `${kept} bytes after ${BODIES} bodies`);
    });
  } finally {
    watch[Symbol.dispose]();
    server.cut();
    await server.stop();
    await engine.close();
  }
});
