/** The engine in this thread: what a Worker would hide. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import { EventTrace } from "../../src/cli/trace.ts";
import { parseTrace } from "../../src/denoise/trace.ts";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";
import { anyGpu, DeviceWatch } from "../gpu/device.ts";
import { StoppedClock } from "../stopped_clock.ts";

/**
 * Of the tiny target: eight layers of seven, embedding, listing, norm, head, merge and commit. A software
 * adapter norms in what adds to the rows, all but the first and the last time.
 */
const DISPATCHES_PER_STEP = 8 * 7 + 6 - (anyGpu.rowForm === "exchanged" ? 15 : 0);

const request = {
  messages: [{ role: "user", content: "Tell me a story about a young cat." }],
  maxTokens: 128,
  stopAtEnd: false,
  strategy: "plain" as const,
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
  // The chunk that was read, and the one begun behind it.
  assertEquals(aborted <= 8 * DISPATCHES_PER_STEP, true, `${aborted} dispatches`);
});

Deno.test("slow steps are submitted one by one, and an abort takes effect between two", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  // Nothing is known of the pace before the first run, so its steps count as slow.
  const abort = new AbortController();
  const { recorder } = engine.model;
  const before = recorder.counts.dispatches;
  const iterator = engine.generate(request, abort.signal)[Symbol.asyncIterator]();
  await iterator.next(); // the start event
  // While the first step runs, however long this thread then waits for its turn.
  const { submit } = recorder;
  recorder.submit = () => {
    submit.call(recorder);
    abort.abort(new Error("at once"));
  };
  await assertRejects(() => iterator.next(), Error, "at once");
  assertEquals(recorder.counts.dispatches - before, DISPATCHES_PER_STEP);
});

Deno.test("chained steps: one submit and one readback in four", async () => {
  // Steps are quick by it, also on a busy machine.
  using _clock = new StoppedClock(0.001);
  using engine = await loadEngine(EMBEDDED_TARGET);
  // A GPU else begins while the rest is recorded.
  engine.model.recorder.firstSubmit = Infinity;
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

Deno.test("a second answer makes bind groups for its own buffers only", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  using watch = new DeviceWatch(engine.model.gpu);
  const made = async () => {
    const before = watch.bindGroups;
    for await (const _ of engine.generate({ ...request, maxTokens: 32, steps: 8 }));
    return watch.bindGroups - before;
  };
  const first = await made();
  const second = await made();
  // The embedding, the eight attentions' ranges and rotations, listing, commit: what binds the canvas.
  assert(second < first / 2, `${first}, then ${second}`);
  assertEquals(await made(), second);
});

Deno.test("a reader may use the model in between, or leave: nothing hangs, nothing stays", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  using watch = new DeviceWatch(engine.model.gpu);
  const ids = engine.encodeChat(request.messages);
  const positions = Uint32Array.of(ids.length - 1);
  let tokens = 0;
  for await (const event of engine.generate({ ...request, maxTokens: 32 })) {
    if (event.type === "step" && event.step % 16 === 0) {
      tokens += (await engine.topTokens({ ids, positions }, 2))[0].length;
    }
  }
  assertEquals(tokens, 4);
  const scratch = watch.alive.size;
  for (let i = 0; i < 3; i++) {
    for await (const event of engine.generate(request)) if (event.type === "step") break;
  }
  assertEquals(watch.alive.size, scratch);
});

Deno.test("a position committed as the mask itself stays undecided until it is decided", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const { maskTokenId } = engine.model.config;
  // So hot that every token is about as likely: one of 2048 is the mask.
  const messages = [{ role: "user", content: "hi" }];
  const hot = { ...request, messages, temperature: 20, maxTokens: 64, steps: 4, blockLength: 64 };
  let drawn = 0;
  for (let seed = 0; seed < 40; seed++) {
    const decided = new Map<number, number>();
    for await (const event of engine.generate({ ...hot, seed })) {
      if (event.type === "step") {
        drawn += 16 - event.commits.length;
        for (const { position, token } of event.commits) {
          assert(token !== maskTokenId && !decided.has(position), `position ${position}`);
          decided.set(position, token);
        }
      }
      if (event.type === "end") {
        assertEquals(event.ids, event.ids.map((_, i) => decided.get(i) ?? maskTokenId));
      }
    }
  }
  assert(drawn > 0, "no mask was drawn: the test shows nothing");
});

Deno.test("a guess that is taken back is told, and neither committed nor shown", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const guessing = {
    ...request,
    maxTokens: 48,
    blockLength: 16,
    strategy: "commit_verify" as const,
    draftDepth: 4,
    draftThreshold: 0,
    targetThreshold: 1,
    backThreshold: 1,
  };
  const trace = new EventTrace();
  const decided = new Map<number, number>();
  let shown = "";
  let guesses = 0;
  let back = 0;
  for await (const event of engine.generate(guessing)) {
    trace.add(event);
    if (event.type === "step") {
      const { commits, proposed = [], accepted = [], rejected = [], remasked = [] } = event;
      for (const { position, token } of commits) {
        assert(!decided.has(position), `position ${position} was decided twice`);
        decided.set(position, token);
      }
      for (const position of remasked) assert(!decided.has(position), `${position} was decided`);
      for (const { position, token, text } of proposed) {
        assertEquals(text, engine.tokenizer.tokenText(token));
        assertEquals(decided.get(position) === token, accepted.includes(position));
      }
      assertEquals(proposed.length, accepted.length + rejected.length);
      guesses += proposed.length;
      back += remasked.length;
      shown += event.delta;
      for (let i = 0; i < event.prefixLength; i++) assert(decided.has(i));
    }
    if (event.type === "end") {
      assert(event.text.startsWith(shown));
      assertEquals(event.ids, event.ids.map((_, i) => decided.get(i)!));
      assertEquals([event.stats.strategy, event.stats.proposed], ["commit_verify", guesses]);
    }
  }
  assert(back > 0, "nothing was taken back: the test shows nothing");
  const whole = trace.soFar()!;
  assertEquals(parseTrace(JSON.parse(JSON.stringify(whole)), "run.json"), whole);
});
