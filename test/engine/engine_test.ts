/** The engine in this thread: what a Worker would hide. */
import { assertEquals, assertRejects } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";

/** Of the tiny target: eight layers of eight, embedding, listing, norm, head, merge and commit. */
const DISPATCHES_PER_STEP = 8 * 8 + 6;

const request = {
  messages: [{ role: "user", content: "Tell me a story about a young cat." }],
  maxTokens: 128,
  stopAtEnd: false,
};

Deno.test("an abort runs no step beyond the chunk that was under way", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const abort = new AbortController();
  let steps = 0;
  const before = engine.model.recorder.counts.dispatches;
  await assertRejects(
    async () => {
      for await (const event of engine.generate(request, abort.signal)) {
        if (event.type === "step" && ++steps === 3) abort.abort(new Error("enough"));
      }
    },
    Error,
    "enough",
  );
  const aborted = engine.model.recorder.counts.dispatches - before;
  assertEquals(aborted, 4 * DISPATCHES_PER_STEP);
});

Deno.test("slow steps are submitted one by one, and an abort takes effect between two", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  // Nothing is known of the pace before the first run, so its steps count as slow.
  const abort = new AbortController();
  const { recorder } = engine.model;
  const iterator = engine.generate(request, abort.signal)[Symbol.asyncIterator]();
  await iterator.next(); // the start event
  const before = recorder.counts.dispatches;
  const first = iterator.next();
  setTimeout(() => abort.abort(new Error("at once")), 0);
  await assertRejects(() => first, Error, "at once");
  assertEquals(recorder.counts.dispatches - before, DISPATCHES_PER_STEP);
});

Deno.test("chained steps: one submit and one readback in four", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const run = async () => {
    const { recorder, readback } = engine.model;
    const before = { submits: recorder.counts.submits, readbacks: readback.count };
    let forwards = 0;
    for await (const event of engine.generate({ ...request, steps: 32 })) {
      if (event.type === "end") forwards = event.stats.forwards;
    }
    assertEquals(forwards, 32);
    return {
      submits: recorder.counts.submits - before.submits,
      readbacks: readback.count - before.readbacks,
    };
  };
  assertEquals((await run()).readbacks, 8);
  // The destruction of the canvas submits nothing.
  assertEquals(await run(), { submits: 8, readbacks: 8 });
});
