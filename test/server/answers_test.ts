import { assert, assertEquals } from "@std/assert";
import { BusyError } from "../../src/engine/request.ts";
import { createApp } from "../../src/server/app.ts";
import { ANSWER, ask, PATH } from "./ask.ts";
import { FakeEngine } from "./fake_engine.ts";
import { chatInit } from "./malformed.ts";
import { parseChunks } from "./sse.ts";

/** Requests for three answers: routes and bodies. */
const SEVERAL: readonly (readonly [string, Record<string, unknown>])[] = [
  [PATH, { messages: [{ role: "user", content: "a" }], n: 3 }],
  ["/v1/completions", { prompt: ["a", "b", "c"] }],
  ["/completion", { prompt: ["a", "b", "c"] }],
];

const seedsOf = (engine: FakeEngine) => engine.requests.map(({ seed }) => seed);

Deno.test("n answers have n seeds in a row, one prompt, and figures that add up", async () => {
  const fields = { max_tokens: 40, block_length: 20, steps: 10, include_diffusion: true };
  const { response, engine } = await ask({ ...fields, n: 3, seed: 5 });
  const { choices, usage } = await response.json();
  assertEquals(
    choices.map((choice: { index: number; message: { content: string } }) => [
      choice.index,
      choice.message.content,
    ]),
    [[0, ANSWER], [1, ANSWER], [2, ANSWER]],
  );
  assertEquals(seedsOf(engine), [5, 6, 7]);
  const { diffusion, ...counts } = usage;
  assertEquals(counts, { prompt_tokens: 14, completion_tokens: 90, total_tokens: 104 });
  assertEquals([diffusion.seed, diffusion.forwards, diffusion.seconds], [5, 30, 3]);
});

Deno.test("seeds go on behind the largest, and are drawn where none is sent", async () => {
  const largest = await ask({ n: 3, seed: 2 ** 53 - 2 });
  assertEquals(seedsOf(largest.engine), [2 ** 53 - 2, 2 ** 53 - 1, 0]);
  const drawn = await ask({ n: 2, seed: -1 });
  const [first, second] = seedsOf(drawn.engine);
  assertEquals(second, first! + 1);
  const one = await ask({ n: 1 });
  assertEquals(seedsOf(one.engine), [undefined]);
});

Deno.test("the engine is told of the first answer that others come, so that they join its passes", async () => {
  for (const [path, body] of SEVERAL) {
    const engine = new FakeEngine();
    const app = createApp(engine);
    const told = async (fields: Record<string, unknown>) => {
      engine.requests.length = 0;
      await (await app.request(path, chatInit({ max_tokens: 4, ...fields }))).text();
      return engine.requests.map(({ answerOf }) => answerOf?.hasOthers ?? false);
    };
    assertEquals(await told(body), [true, false, false], path);
    assertEquals(await told("prompt" in body ? { prompt: "a" } : { ...body, n: 1 }), [false], path);
  }
});

Deno.test("a stream of n answers has the index of each, whole, in every chunk", async () => {
  const { response } = await ask({
    n: 2,
    stream: true,
    stream_options: { include_usage: true },
    max_tokens: 40,
  }, { unshown: 3 });
  const chunks = parseChunks(await response.text());
  const usage = chunks.pop()?.usage;
  assertEquals([usage?.completion_tokens, usage?.diffusion], [60, undefined]);
  for (const index of [0, 1]) {
    const own = chunks.map(({ choices }) => choices[0]).filter((choice) => choice.index === index);
    assertEquals(own[0].delta, { role: "assistant", content: "" });
    assertEquals(own.map(({ delta }) => delta.content ?? "").join(""), ANSWER);
    assertEquals(own.map(({ finish_reason }) => finish_reason).filter(Boolean), ["stop"]);
    assertEquals(own.at(-1)?.finish_reason, "stop");
  }
});

Deno.test("the figures come in a stream's usage even if only they are asked for", async () => {
  const { response } = await ask({ stream: true, include_diffusion: true, seed: 3 });
  const last = parseChunks(await response.text()).at(-1);
  assertEquals(last?.choices, []);
  assertEquals(last?.usage?.diffusion?.seed, 3);
});

Deno.test("chunks of answers come among each other, those of each in their order", async () => {
  const { response, engine } = await ask({
    n: 3,
    stream: true,
    stream_events: true,
    max_tokens: 40,
    block_length: 20,
    steps: 10,
  }, { stepDelay: 2 });
  const chunks = parseChunks(await response.text());
  assertEquals([
    engine.requests.length,
    new Set(engine.requests.map((one) => one.answerOf?.request)).size,
  ], [3, 1]);
  assertEquals(engine.requests.map(({ answerOf }) => answerOf?.index), [0, 1, 2]);
  const finishOf = (index: number) =>
    chunks.findIndex(({ choices: [one] }) => one?.index === index && one.finish_reason !== null);
  const opens = chunks.findIndex(({ choices: [one] }) => one?.index === 2);
  assert(opens < finishOf(0) && opens < finishOf(1), `${opens}`);
  for (const index of [0, 1, 2]) {
    const own = chunks.flatMap(({ choices }) => choices).filter((one) => one.index === index);
    assertEquals(own[0].delta.role, "assistant");
    assertEquals(own.map(({ delta }) => delta.content ?? "").join(""), ANSWER);
    assertEquals(own.at(-1)?.finish_reason, "stop");
    // Typed events say of which choice they are.
    const typed = chunks.flatMap(({ diffusion }) => diffusion?.index === index ? diffusion : []);
    const steps = typed.flatMap((one) => one.type === "unmask" ? one.step : []);
    assertEquals([typed[0].type, steps], ["start", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]]);
  }
});

Deno.test("a client that leaves ends all answers; before the first has begun no other is asked for", async () => {
  for (const [startDelay, asked] of [[0, 8], [60_000, 1]] as const) {
    const engine = new FakeEngine({ stepDelay: 2, startDelay });
    const app = createApp(engine, { beginSeconds: 0.02 });
    const response = await app.request(PATH, chatInit({ n: 8, stream: true, max_tokens: 8 }));
    const reader = response.body!.getReader();
    while (engine.requests.length < asked) await reader.read();
    await reader.cancel();
    while (engine.running > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    assertEquals([engine.requests.length, engine.aborted], [asked, asked]);
  }
});

/** An engine in which an answer beside others fails. */
class FailingEngine extends FakeEngine {
  override async *generate(...[request, signal]: Parameters<FakeEngine["generate"]>) {
    for await (const event of super.generate(request, signal)) {
      if (request.answerOf?.index && event.type === "step") throw new Error("device lost");
      yield event;
    }
  }
}

Deno.test("an error in a later answer is the request's, and ends the others", async () => {
  for (const [path, body] of SEVERAL) {
    const engine = new FailingEngine({ stepDelay: 2 });
    const init = { ...chatInit({}), body: JSON.stringify({ ...body, max_tokens: 40 }) };
    const response = await createApp(engine).request(path, init);
    const { error } = await response.json();
    assertEquals([response.status, error.code], [500, "internal_error"]);
    while (engine.running > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    assertEquals(engine.totals.answers, 0);
    // In a stream it is the last thing that is told.
    const stream = JSON.stringify({ ...body, max_tokens: 40, stream: true });
    const streamed = await createApp(engine).request(path, { ...init, body: stream });
    assertEquals(
      [streamed.status, (await streamed.text()).match(/data: .*"error".*\n\n$/)?.length],
      [200, 1],
      path,
    );
  }
});

Deno.test("a deadline is one for all answers, of n and of several prompts", async () => {
  for (
    const [path, body] of [[PATH, { n: 3 }], ["/v1/completions", {
      prompt: ["a", "b", "c"],
    }]] as const
  ) {
    const engine = new FakeEngine({ stepDelay: 5 });
    const { body: sent, ...init } = chatInit({ max_tokens: 4, deadline_ms: 60_000, ...body });
    const { messages, ...fields } = JSON.parse(sent as string);
    const asked = path === PATH ? { ...fields, messages } : fields;
    const response = await createApp(engine).request(path, {
      ...init,
      body: JSON.stringify(asked),
    });
    await response.json();
    const [first, second, third] = engine.requests.map(({ deadlineMs }) => deadlineMs!);
    assertEquals([engine.requests.length, first], [3, 60_000]);
    assert(second < 60_000 && third < 60_000, `${second} ${third}`);
  }
});

/** An engine that has room for one request only, with all its answers. */
class FullEngine extends FakeEngine {
  most = 0;
  constructor(readonly isFull = false) {
    super({ stepDelay: 1 });
  }
  override async *generate(...[request, signal]: Parameters<FakeEngine["generate"]>) {
    const index = request.answerOf?.index ?? 0;
    if (index === 0 && (this.isFull || this.running > 0)) throw new BusyError("full", 1);
    const events = super.generate(request, signal);
    this.most = Math.max(this.most, this.running + 1);
    yield* events;
  }
}

Deno.test("a request is let in with all its answers, or refused before the first", async () => {
  for (const [path, body] of SEVERAL) {
    const init = { ...chatInit({}), body: JSON.stringify({ ...body, max_tokens: 8 }) };
    const engine = new FullEngine();
    const response = await createApp(engine).request(path, init);
    assertEquals([response.status, (await response.text()).match(/Masks fa/g)?.length], [200, 3]);
    assertEquals(engine.most, 3);
    const full = new FullEngine(true);
    assertEquals((await createApp(full).request(path, init)).status, 429, path);
    assertEquals(full.requests.length, 0);
  }
});

Deno.test("of many prompts some are answered at once, and each has its own place", async () => {
  class Counting extends FakeEngine {
    most = 0;
    override async *generate(...[request, signal]: Parameters<FakeEngine["generate"]>) {
      // The answer says which prompt it is for.
      const { answer } = { answer: `to ${request.prompt}` };
      const own = new FakeEngine({ answer, stepDelay: 1 + Number(request.prompt) % 3 });
      this.running++;
      this.most = Math.max(this.most, this.running);
      yield* own.generate(request, signal);
      this.running--;
    }
  }
  const prompt = Array.from({ length: 40 }, (_, i) => String(i));
  for (const stream of [false, true]) {
    const engine = new Counting();
    const body = JSON.stringify({
      prompt,
      max_tokens: 8,
      stream,
      n: 2,
      stream_options: { include_usage: true, continuous_usage_stats: true },
    });
    const response = await createApp(engine).request("/v1/completions", { ...chatInit({}), body });
    const text = await response.text();
    const parts = stream ? parseChunks(text) : [JSON.parse(text)];
    const texts: string[] = [];
    for (const { choices } of parts) {
      for (const { index, text } of choices as unknown as { index: number; text: string }[]) {
        texts[index] = (texts[index] ?? "") + text;
      }
    }
    assertEquals(texts, prompt.flatMap((one) => [`to ${one}`, `to ${one}`]));
    // Sixteen prompts with two answers each.
    assert(engine.most > 16 && engine.most <= 32, `${engine.most}`);
    const counts = parts.flatMap(({ usage }) => usage?.completion_tokens ?? []);
    assertEquals(counts, counts.toSorted((a, b) => a - b));
    assertEquals(counts.at(-1), 2 * prompt.reduce((sum, one) => sum + 4 + one.length, 0));
  }
});

Deno.test("a refusal for another request comes before the response begins, and so does a deadline's", async () => {
  const error = new BusyError("too late", 2, "deadline");
  const options = { beginSeconds: 0.05, onError: () => {} };
  for (const stream of [false, true]) {
    const engine = new FakeEngine({ startDelay: 150, startError: error });
    const app = createApp(engine, options);
    const asked = Date.now();
    const told = await app.request(PATH, chatInit({ stream, deadline_ms: 140 }));
    assertEquals([told.status, told.headers.get("retry-after")], [429, "2"]);
    // Without a deadline it has begun by then.
    const begun = await app.request(PATH, chatInit({ stream }));
    assertEquals(begun.status, 200);
    await begun.text().catch(() => {});
    const [until, before] = engine.requests.map(({ givesWayUntil }) => givesWayUntil! - asked);
    assert(until > 1000 && until < 1140, `${until} ms, and the response begins after 1140`);
    assert(before > 0 && before < until, `${before}`);
  }
});
