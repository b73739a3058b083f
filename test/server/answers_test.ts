import { assert, assertEquals } from "@std/assert";
import { BusyError } from "../../src/engine/request.ts";
import { createApp } from "../../src/server/app.ts";
import { ANSWER, ask, PATH } from "./ask.ts";
import { FakeEngine } from "./fake_engine.ts";
import { chatInit } from "./malformed.ts";
import { parseChunks } from "./sse.ts";

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

Deno.test("a client that leaves after its first answer gets no second", async () => {
  const engine = new FakeEngine({ stepDelay: 2 });
  const app = createApp(engine);
  const response = await app.request(PATH, chatInit({ n: 8, stream: true, max_tokens: 8 }));
  const reader = response.body!.getReader();
  while (engine.requests.length < 2) await reader.read();
  await reader.cancel();
  while (engine.running > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals([engine.requests.length, engine.aborted], [2, 1]);
});

Deno.test("an error in a later answer is the request's", async () => {
  const engine = new FakeEngine();
  const generate = engine.generate.bind(engine);
  engine.generate = (request, signal) => {
    if (engine.requests.length === 1) throw new Error("device lost");
    return generate(request, signal);
  };
  const response = await createApp(engine).request(PATH, chatInit({ n: 2 }));
  assertEquals([response.status, (await response.json()).error.code], [500, "internal_error"]);
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
    assert(second < 60_000 && third < second, `${second} ${third}`);
  }
});

/** An engine whose queue is full at some calls. */
class FullEngine extends FakeEngine {
  #calls = 0;
  constructor(readonly full: readonly number[]) {
    super();
  }
  override async *generate(...[request, signal]: Parameters<FakeEngine["generate"]>) {
    if (this.full.includes(this.#calls++)) throw new BusyError("the queue is full", 0.01);
    yield* super.generate(request, signal);
  }
}

Deno.test("a request that was let in is not refused half-way: its next answers wait", async () => {
  const bodies: readonly (readonly [string, Record<string, unknown>])[] = [
    [PATH, { messages: [{ role: "user", content: "a" }], n: 3 }],
    ["/v1/completions", { prompt: ["a", "b", "c"] }],
    ["/completion", { prompt: ["a", "b", "c"] }],
  ];
  for (const [path, body] of bodies) {
    const init = { ...chatInit({}), body: JSON.stringify({ ...body, max_tokens: 8 }) };
    const engine = new FullEngine([1, 2, 4]);
    const response = await createApp(engine).request(path, init);
    assertEquals([response.status, (await response.text()).match(/Masks fa/g)?.length], [200, 3]);
    // The first is refused, where the queue is full then.
    assertEquals((await createApp(new FullEngine([0])).request(path, init)).status, 429, path);
  }
});
