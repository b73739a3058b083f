/** Requests that have several answers, deadlines or priorities, with the embedded model. */
import { assert, assertEquals } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { WorkerEngine } from "../../src/engine/worker_engine.ts";
import { keyDigest } from "../../src/server/api_keys.ts";
import { createApp } from "../../src/server/app.ts";
import { parseChunks } from "./sse.ts";

// Two run at once, and one more request may wait.
const engine = new WorkerEngine(EMBEDDED_TARGET, { maxRunning: 2, maxWaiting: 1 });
await engine.ready;
const key = (name: string, priority: number) => ({ digest: keyDigest(name), name, priority });
const app = createApp(engine, {
  apiKeys: [key("high", 2), key("low", -3), "middle"],
  // However slow the machine is, nothing has begun when it is to be told.
  beginSeconds: 60,
});

const messages = [{ role: "user", content: "Tell me of a cat." }];

function post(body: object, { key = "middle", path = "/v1/chat/completions" } = {}) {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${key}` };
  return app.request(path, { method: "POST", headers, body: JSON.stringify(body) });
}

/** The choices of a whole answer. */
async function choices(body: object, path?: string) {
  const response = await post(body, { path });
  const answer = await response.json();
  assertEquals(response.status, 200, JSON.stringify(answer));
  return { ...answer, ended: engine.totals.answers };
}

/** Waits for a state of the engine. */
async function until(condition: () => boolean): Promise<void> {
  const begun = performance.now();
  while (!condition()) {
    assert(performance.now() - begun < 20_000, JSON.stringify(engine.load));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** Fields of answers that take long. */
const LONG = { messages, strategy: "plain", max_tokens: 448, gen_length: 448, ignore_eos: true };

/** Holds all places, until it is called. */
async function busy(): Promise<() => Promise<void>> {
  const response = await post({ ...LONG, n: 2, stream: true });
  assertEquals(response.status, 200);
  await until(() => engine.load.running === 2);
  return async () => {
    await response.body!.cancel();
    await until(() => engine.load.running + engine.load.waiting === 0);
  };
}

Deno.test("n answers at once have the bits of n requests with their seeds, whole and streamed", async () => {
  const shared = { messages, max_tokens: 12, block_length: 4, logprobs: true };
  for (
    const fields of [
      { strategy: "plain", temperature: 0.9, steps: 6 },
      { strategy: "threshold", cache: "dual", temperature: 0.7 },
      { strategy: "plain", choice: ["yes", "no"] },
    ]
  ) {
    const asked = { ...shared, ...fields };
    const alone = [];
    let spent = 0;
    for (const seed of [7, 8, 9]) {
      const { choices: [one], usage } = await choices({ ...asked, seed });
      alone.push(one);
      spent += usage.completion_tokens;
    }
    const together = await choices({ ...asked, n: 3, seed: 7 });
    assertEquals(together.choices, alone.map((one, index) => ({ ...one, index })));
    assertEquals(together.usage.completion_tokens, spent);
    const stream = await post({ ...asked, n: 3, seed: 7, stream: true });
    const chunks = parseChunks(await stream.text());
    for (const [index, { message, logprobs, finish_reason }] of alone.entries()) {
      const own = chunks.flatMap(({ choices }) => choices).filter((one) => one.index === index);
      const text = own.map(({ delta }) => delta.content ?? "").join("");
      assertEquals([text, own.at(-1)?.finish_reason], [message.content, finish_reason]);
      const tokens = own.flatMap(({ logprobs }) => logprobs?.content ?? []);
      assertEquals(tokens as unknown, logprobs.content);
    }
  }
});

Deno.test("answers to one request share passes", async () => {
  // However slow the machine is, the first answer is under way when the second one comes.
  const end = await busy();
  await until(() => engine.load.mostRequests === 2);
  await end();
});

Deno.test("several prompts with n answers each are those alone", async () => {
  const fields = { max_tokens: 8, temperature: 0.8, seed: 3 };
  const path = "/v1/completions";
  const prompt = ["Once upon", "The cat", "Two and two"];
  const alone: string[] = [];
  for (const one of prompt) {
    for (const seed of [3, 4]) {
      alone.push((await choices({ ...fields, prompt: one, seed }, path)).choices[0].text);
    }
  }
  const { choices: found } = await choices({ ...fields, prompt, n: 2 }, path);
  assertEquals(found.map(({ text }: { text: string }) => text), alone);
  assertEquals(found.map(({ index }: { index: number }) => index), [0, 1, 2, 3, 4, 5]);
});

Deno.test("the answers of a request that wait are one that waits, and are not refused", async () => {
  const response = await post({ ...LONG, n: 6, stream: true });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  // The others were asked for together.
  for (let text = ""; !text.includes('"index":1');) text += (await reader.read()).value;
  const { error } = await (await post({ messages, max_tokens: 4 })).json();
  assertEquals(
    error.message,
    "1 requests are waiting already and no more can wait: try again later",
  );
  await reader.cancel();
  await until(() => engine.load.running + engine.load.waiting === 0);
});

Deno.test("whose deadline comes while it waits is told 429 then, whole or streamed", async () => {
  const free = await busy();
  for (const stream of [false, true]) {
    const began = performance.now();
    const response = await post({ messages, max_tokens: 8, deadline_ms: 60, stream });
    const { error } = await response.json();
    assertEquals([response.status, error.code], [429, "rate_limit_exceeded"]);
    assert(error.message.startsWith("The deadline came before"), error.message);
    assert(Number(response.headers.get("retry-after")) >= 1);
    assert(performance.now() - began > 55, "too early");
  }
  await free();
  // One that has not to wait is answered, however short its time is.
  const { choices: [one] } = await choices({ messages, max_tokens: 8, deadline_ms: 1 });
  assertEquals(one.finish_reason, "length");
});

Deno.test("a higher priority finds room in a full queue: the lower one gets its 429, and no stream", async () => {
  const free = await busy();
  const low = post({ messages, max_tokens: 4, stream: true }, { key: "low" });
  await until(() => engine.load.waiting === 1);
  assertEquals((await post({ messages, max_tokens: 4 }, { key: "low" })).status, 429);
  const high = post({ messages, max_tokens: 4, stream: true }, { key: "high" });
  const told = await low;
  assertEquals([told.status, told.headers.has("retry-after")], [429, true]);
  assert((await told.json()).error.message.includes("one of higher priority has come"));
  const middle = await post({ messages, max_tokens: 4 });
  assertEquals(middle.status, 429);
  assert((await middle.json()).error.message.startsWith("1 requests are waiting"));
  await free();
  const answer = await high;
  assertEquals(answer.status, 200);
  await answer.text();
  const figures = await (await app.request("/metrics", { headers: { "X-Api-Key": "middle" } }))
    .text();
  for (const line of ['reason="gave_way"} 1', 'reason="deadline"} 2', 'key="high"} 1']) {
    assert(figures.includes(line), line);
  }
});

Deno.test("the engine closes", async () => await engine.close());
