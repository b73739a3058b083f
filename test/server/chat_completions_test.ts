import { assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { BusyError, RequestError } from "../../src/engine/request.ts";
import { createApp } from "../../src/server/app.ts";
import { ApiError } from "../../src/server/errors.ts";
import { ANSWER, ask, PATH } from "./ask.ts";
import { FakeEngine } from "./fake_engine.ts";
import { chatInit } from "./malformed.ts";
import { deltaText, parseChunks, parseEvents } from "./sse.ts";

Deno.test("an answer has OpenAI's shape, with the diffusion's figures where they are asked for", async () => {
  const before = Math.floor(Date.now() / 1000);
  const fields = { max_tokens: 40, block_length: 20, steps: 10, seed: 3 };
  const lean = await (await ask(fields)).response.json();
  assertEquals(lean.usage, { prompt_tokens: 14, completion_tokens: 30, total_tokens: 44 });
  const { response } = await ask({ ...fields, include_diffusion: true });
  assertEquals(response.status, 200);
  const { id, created, system_fingerprint, ...rest } = await response.json();
  assertMatch(id, /^chatcmpl-[0-9a-f]{32}$/);
  assertMatch(system_fingerprint, /^fp_[0-9a-f]{10}$/);
  assertEquals(created >= before && created <= Date.now() / 1000, true);
  assertEquals(rest, {
    object: "chat.completion",
    model: "fake-llada",
    choices: [{
      index: 0,
      message: { role: "assistant", content: ANSWER, refusal: null },
      logprobs: null,
      finish_reason: "stop",
    }],
    usage: {
      prompt_tokens: 14,
      completion_tokens: 30,
      total_tokens: 44,
      diffusion: {
        seed: 3,
        strategy: "plain",
        cache: "none",
        forwards: 10,
        target_states: 10,
        draft_forwards: 0,
        idle_forwards: 0,
        cache_refreshes: 0,
        proposed: 0,
        accepted: 0,
        accepted_lengths: [],
        tokens_per_forward: 3,
        readbacks: 3,
        target_seconds: 0.75,
        draft_seconds: 0,
        readback_seconds: 0.5,
        seconds: 1,
      },
    },
  });
});

Deno.test("ids differ, the fingerprint is the model's", async () => {
  const app = createApp(new FakeEngine());
  const [one, two] = await Promise.all([1, 2].map(async () => {
    return await (await app.request(PATH, chatInit())).json();
  }));
  assertNotEquals(one.id, two.id);
  assertEquals(one.system_fingerprint, two.system_fingerprint);
  const other = await ask({}, { model: { id: "another" } });
  assertNotEquals((await other.response.json()).system_fingerprint, one.system_fingerprint);
});

Deno.test("max_tokens and stop end an answer for their own reasons", async () => {
  const short = await (await ask({ max_tokens: 5 })).response.json();
  assertEquals(short.choices[0].message.content, "Masks");
  assertEquals(short.choices[0].finish_reason, "length");
  const stopped = await (await ask({ stop: ["order", " away"] })).response.json();
  assertEquals(stopped.choices[0].message.content, "Masks fall");
  assertEquals(stopped.choices[0].finish_reason, "stop");
});

for (const stream of [false, true]) {
  const kind = stream ? "a stream" : "an answer";

  Deno.test(`${kind} that the engine refuses is a 400 with the API's names`, async () => {
    const refuse = (field: string, message: string) => new RequestError(field, message);
    const first = await ask({ stream, max_completion_tokens: 8 }, {
      startError: refuse("maxTokens", "maxTokens 8 (genLength 9) does not fit blockLength 3"),
    });
    assertEquals(first.response.status, 400);
    assertEquals((await first.response.json()).error, {
      message: "max_completion_tokens 8 (gen_length 9) does not fit block_length 3",
      type: "invalid_request_error",
      param: "max_completion_tokens",
      code: "invalid_value",
    });
    const second = await ask({ stream, max_tokens: 8 }, {
      startError: refuse("maxTokens", "too many"),
    });
    assertEquals((await second.response.json()).error.param, "max_tokens");
    const third = await ask({ stream }, { startError: refuse("messages[0].role", "no") });
    assertEquals((await third.response.json()).error.param, "messages[0].role");
    assertEquals([...first.reported, ...second.reported, ...third.reported], []);
  });

  Deno.test(`${kind} too long for the context is context_length_exceeded`, async () => {
    const { response } = await ask({
      stream,
      messages: [{ role: "user", content: "x".repeat(252) }],
    });
    assertEquals(response.status, 400);
    const { error } = await response.json();
    assertEquals([error.code, error.param], ["context_length_exceeded", "messages"]);
  });

  Deno.test(`${kind} of a busy engine is a 429 with Retry-After`, async () => {
    const { response, reported } = await ask({ stream }, {
      startError: new BusyError("8 requests are waiting", 1.2),
    });
    assertEquals([response.status, response.headers.get("retry-after")], [429, "2"]);
    assertEquals((await response.json()).error, {
      message: "8 requests are waiting",
      type: "rate_limit_error",
      param: null,
      code: "rate_limit_exceeded",
    });
    assertEquals(reported, []);
  });

  Deno.test(`${kind} of a failing engine is a 500 that keeps the cause from the client`, async () => {
    const startError = new Error("template failed on 'Say hello.'");
    const { response, reported } = await ask({ stream }, { startError });
    assertEquals(response.status, 500);
    const { error } = await response.json();
    assertEquals([error.type, error.code, error.param], ["server_error", "internal_error", null]);
    assertEquals(error.message.includes("hello"), false);
    assertEquals(reported, [startError]);
  });

  Deno.test(`${kind} stops the engine when its client leaves before it begins`, async () => {
    const engine = new FakeEngine({ startDelay: 60_000 });
    const reported: unknown[] = [];
    const statuses: number[] = [];
    const app = createApp(engine, {
      onError: (error) => reported.push(error),
      log: ({ status }) => statuses.push(status),
    });
    const client = new AbortController();
    const pending = app.request(PATH, { ...chatInit({ stream }), signal: client.signal });
    while (engine.running === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    client.abort();
    await (await pending).body?.cancel();
    assertEquals([engine.running, engine.aborted, reported], [0, 1, []]);
    assertEquals(statuses, [499]);
  });
}

Deno.test("an engine that fails without stream part-way is a 500", async () => {
  const stepError = { step: 3, error: new Error("device lost") };
  const { response, reported, engine } = await ask({}, { stepError });
  assertEquals([response.status, reported, engine.running], [500, [stepError.error], 0]);
});

Deno.test("a client that leaves in mid-stream stops the engine", async () => {
  const engine = new FakeEngine({ stepDelay: 5 });
  const reported: unknown[] = [];
  const app = createApp(engine, { onError: (error) => reported.push(error) });
  const response = await app.request(PATH, chatInit({ stream: true }));
  const reader = response.body!.getReader();
  await reader.read();
  await reader.read();
  assertEquals(engine.running, 1);
  await reader.cancel();
  while (engine.running > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals([engine.aborted, reported], [1, []]);
});

Deno.test("an engine that ends too early is a failure, not an empty answer", async () => {
  const engine = new FakeEngine();
  engine.generate = async function* () {};
  const app = createApp(engine);
  assertEquals((await app.request(PATH, chatInit())).status, 500);
  const stream = await app.request(PATH, chatInit({ stream: true }));
  const events = parseEvents(await stream.text());
  assertEquals(JSON.parse(events.at(-1)?.data ?? "").error.code, "internal_error");
});

Deno.test("streamed and whole answers are the same text, whatever is asked", async () => {
  const texts = ["", "a", "two\nlines\r\n\n", "data: [DONE]\n\n", "héllo ✓ \u2028", "x".repeat(90)];
  for (const answer of texts) {
    for (const fields of [{}, { steps: 2 }, { block_length: 8, steps: 16 }, { max_tokens: 3 }]) {
      const whole = await (await ask(fields, { answer })).response.json();
      const events = await ask({ ...fields, stream: true, stream_events: true }, { answer });
      const chunks = parseChunks(await events.response.text());
      assertEquals(deltaText(chunks), whole.choices[0].message.content);
      assertEquals(chunks.at(-1)?.choices[0].finish_reason, whole.choices[0].finish_reason);
    }
  }
});

Deno.test("a whole answer that takes long begins early, with spaces before its JSON", async () => {
  const engine = new FakeEngine({ stepDelay: 2 });
  const app = createApp(engine, { beginSeconds: 0.01, pingSeconds: 0.01 });
  const response = await app.request(PATH, chatInit());
  assertEquals(response.status, 200);
  assertEquals(response.headers.get("content-type"), "application/json");
  assertEquals(engine.running, 1);
  const body = await response.text();
  assertMatch(body, /^ {2,}\{/);
  assertEquals(JSON.parse(body).choices[0].message.content, ANSWER);
});

Deno.test("a client that leaves a whole answer that has begun stops the engine", async () => {
  const engine = new FakeEngine({ stepDelay: 5 });
  const reported: unknown[] = [];
  const app = createApp(engine, { beginSeconds: 0.01, onError: (error) => reported.push(error) });
  const response = await app.request(PATH, chatInit());
  assertEquals(engine.running, 1);
  await response.body?.cancel();
  while (engine.running > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals([engine.aborted, reported], [1, []]);
});

Deno.test("an error in a whole answer that has begun breaks it off", async () => {
  const stepError = { step: 20, error: new Error("device lost near 'Say hello.'") };
  const engine = new FakeEngine({ stepDelay: 2, stepError });
  const reported: unknown[] = [];
  const app = createApp(engine, { beginSeconds: 0.01, onError: (error) => reported.push(error) });
  const response = await app.request(PATH, chatInit());
  assertEquals(response.status, 200);
  const error = await assertRejects(() => response.text(), ApiError);
  assertEquals(error.message.includes("hello"), false);
  assertEquals(reported, [stepError.error]);
});
