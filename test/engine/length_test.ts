/** Answers whose length is the model's business, and answers of which part is given. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { Engine } from "../../src/engine/engine.ts";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";
import {
  type GenerateEvent,
  type GenerateRequest,
  RequestError,
  STRATEGY_NAMES,
} from "../../src/engine/request.ts";

type Event<Type> = Extract<GenerateEvent, { type: Type }>;

const ASKED = [{ role: "user", content: "What is 7 times 8?" }];
const STORY = [{
  role: "user",
  content: "Tell me a short story about brave Ben the owl who finds a ring.",
}];

async function run(engine: Engine, request: Partial<GenerateRequest>) {
  const steps: Event<"step">[] = [];
  let start: Event<"start"> | undefined;
  let end: Event<"end"> | undefined;
  for await (const event of engine.generate({ messages: ASKED, seed: 1, ...request })) {
    if (event.type === "start") start = event;
    else if (event.type === "step") steps.push(event);
    else end = event;
  }
  return { start: start!, steps, end: end!, deltas: steps.map(({ delta }) => delta).join("") };
}

Deno.test("a short answer costs the same under any limit, and its text comes early", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const ways: readonly Partial<GenerateRequest>[] = [
    { strategy: "plain" },
    { strategy: "threshold" },
    { strategy: "factor" },
    { strategy: "threshold", cache: "dual" },
    { strategy: "auto" },
  ];
  for (const way of ways) {
    const rows = async (maxTokens?: number) => {
      const { start, end, steps, deltas } = await run(engine, {
        length: "auto",
        ...way,
        maxTokens,
      });
      assertEquals(end.finishReason, "stop");
      assertEquals(deltas, end.text);
      const first = steps.findIndex(({ delta }) => delta !== "");
      assert(first < 8, `text at step ${first}`);
      const length = steps.findLast(({ grown }) => grown)?.grown ?? start.generationLength;
      // What drafts save is auto's choice, by measured times: steps are the same whoever makes them.
      const passes = Math.max(end.stats.forwards, steps.length);
      return passes * (start.promptTokens + length);
    };
    const least = await rows(64);
    for (const maxTokens of [448, 4096, undefined]) {
      const spent = await rows(maxTokens);
      assert(spent <= 1.1 * least, `${JSON.stringify(way)}, ${maxTokens}: ${spent}, not ${least}`);
    }
  }
});

Deno.test("the first text of 128 tokens comes within 40% of the rows", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  for (const strategy of ["plain", "threshold"] as const) {
    const { start, steps, end } = await run(engine, {
      length: "auto",
      strategy,
      messages: STORY,
      maxTokens: 128,
      ignoreEos: true,
    });
    assertEquals(end.usage.completionTokens, 128);
    let length = start.generationLength;
    let passes = 0;
    let rows = 0;
    let first = 0;
    for (const { nfe, grown, delta } of steps) {
      length = grown ?? length;
      rows += (nfe - passes) * (start.promptTokens + length);
      passes = nfe;
      if (delta !== "") first ||= rows;
    }
    assert(first > 0 && first <= 0.4 * rows, `${strategy}: ${first} of ${rows} rows`);
  }
});

Deno.test("the cap cuts an answer, and no room for one is said", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const { end } = await run(engine, { messages: STORY, length: "auto", maxTokens: 10 });
  assertEquals(end.finishReason, "length");
  assertEquals(end.usage.completionTokens, 10);
  const words = (count: number) => [{ role: "user", content: "cat ".repeat(count) }];
  const room = 512 - engine.encodeChat(words(400)).length;
  assert(room > 0);
  const most = await run(engine, { messages: words(400 + room - 5), length: "auto" });
  assert(most.end.ids.length <= 5, `${most.end.ids.length} positions in 5`);
  const error = await assertRejects(
    () => run(engine, { messages: words(400 + room), length: "auto" }),
    RequestError,
  );
  assertEquals(error.code, "context_length_exceeded");
});

Deno.test("what is of a fixed canvas is refused with length auto", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  for (
    const [field, more] of Object.entries({
      steps: { steps: 64 },
      genLength: { genLength: 64 },
      fixed: { fixed: [{ position: 0, token: 5 }] },
      length: { length: "long" as "auto" },
    })
  ) {
    const error = await assertRejects(() => run(engine, { length: "auto", ...more }), RequestError);
    assertEquals(error.field, field);
  }
});

Deno.test("a generation length fixes the canvas: the paper's sampler, whatever the limit", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const old = await run(engine, { maxTokens: 64, strategy: "plain" });
  const fixed = await run(engine, { genLength: 64, strategy: "plain" });
  assertEquals(fixed.end.ids, old.end.ids);
  assertEquals(fixed.end.stats.forwards, old.end.stats.forwards);
  const cut = await run(engine, { genLength: 64, maxTokens: 5, strategy: "plain" });
  assertEquals([cut.start.generationLength, cut.end.usage.completionTokens], [64, 5]);
});

Deno.test("an answer goes on behind its given beginning", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const whole = await run(engine, { length: "auto" });
  const beginning = "7 * 8 =";
  assert(whole.end.text.startsWith(beginning), whole.end.text);
  for (const length of ["auto", "fixed"] as const) {
    const { end, start } = await run(engine, { length, prefill: beginning });
    assertEquals(beginning + end.text, whole.end.text, length);
    assert(start.promptTokens > whole.start.promptTokens);
  }
  const guided = await run(engine, { length: "auto", prefill: beginning, cfgScale: 0.5 });
  assertEquals(guided.end.finishReason, "stop");
});

Deno.test("given tokens stand in every strategy's answer from its start, and cost no step", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET, { draft: "models/tiny-draft" });
  const whole = await run(engine, { maxTokens: 32, strategy: "plain", stopAtEnd: false });
  const fixed = [0, 1, 2, 3, 9, 30].map((position) => ({
    position,
    token: whole.end.ids[position],
  }));
  let plain: readonly number[] = [];
  for (const strategy of STRATEGY_NAMES) {
    const { start, steps, end } = await run(engine, {
      maxTokens: 32,
      strategy,
      stopAtEnd: false,
      fixed,
    });
    assertEquals(start.given, fixed);
    for (const { position, token } of fixed) assertEquals(end.ids[position], token);
    const commits = steps.flatMap(({ commits }) => commits.map(({ position }) => position));
    assertEquals(commits.toSorted((a, b) => a - b).length, 32 - fixed.length);
    assertEquals(fixed.some(({ position }) => commits.includes(position)), false);
    if (strategy === "plain") {
      plain = end.ids;
      assertEquals(end.stats.forwards, 32 - fixed.length);
    } else if (["lossless", "self", "auto"].includes(strategy)) assertEquals(end.ids, plain);
  }
  for (const wrong of [{ position: 32, token: 5 }, { position: 0, token: 2037 }]) {
    const error = await assertRejects(
      () => run(engine, { maxTokens: 32, fixed: [wrong] }),
      RequestError,
    );
    assertEquals(error.field, "fixed");
  }
});

Deno.test("a deadline gives the best text so far, marked", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const whole = await run(engine, { length: "auto" });
  const early = await run(engine, { length: "auto", deadlineMs: 1, strategy: "plain" });
  const last = early.steps.at(-1)!;
  assertEquals([last.provisional, early.end.finishReason], [true, "length"]);
  assertEquals(early.steps.filter(({ provisional }) => provisional).length, 1);
  assert(last.commits.every(({ confidence }) => confidence > 0 && confidence <= 1));
  assertEquals(early.deltas, early.end.text);
  const tokens = early.end.deadline!;
  assertEquals(tokens.length, early.end.usage.completionTokens);
  assertEquals(tokens.map(({ text }) => text).join("").startsWith(early.end.text), true);
  assert(tokens.some(({ provisional }) => provisional));
  assert(early.end.text !== "");
  assert(early.end.stats.forwards < whole.end.stats.forwards);
  const late = await run(engine, { length: "auto", deadlineMs: 600_000 });
  assertEquals([late.end.text, late.end.finishReason], [whole.end.text, "stop"]);
  assertEquals(late.steps.some(({ provisional }) => provisional), false);
  const error = await assertRejects(() => run(engine, { deadlineMs: 0 }), RequestError);
  assertEquals(error.field, "deadlineMs");
});
