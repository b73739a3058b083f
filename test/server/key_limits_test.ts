/** What a key may ask for, the headers that tell of it, and the figures. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { NO_LOAD } from "../../src/engine/load_figures.ts";
import { BusyError } from "../../src/engine/request.ts";
import { type ApiKey, keyDigest } from "../../src/server/api_keys.ts";
import { createApp } from "../../src/server/app.ts";
import type { LoggedRequest } from "../../src/server/request_record.ts";
import { FakeEngine, type FakeOptions } from "./fake_engine.ts";
import { chatInit } from "./malformed.ts";
import { StoppedClock } from "../stopped_clock.ts";

const PATH = "/v1/chat/completions";

function served(limits: Partial<ApiKey>, options: FakeOptions = {}) {
  const load = { ...NO_LOAD };
  const engine = Object.assign(new FakeEngine(options), { load });
  const records: LoggedRequest[] = [];
  const app = createApp(engine, {
    apiKeys: ["free", { digest: keyDigest("secret-of-alice"), ...limits }],
    log: (record) => records.push(record),
  });
  const ask = (
    fields: Record<string, unknown> = {},
    { path = PATH, key = "secret-of-alice", body }: {
      path?: string;
      key?: string;
      body?: Record<string, unknown>;
    } = {},
  ) => {
    const init = body ? { ...chatInit({}), body: JSON.stringify(body) } : chatInit(fields);
    return app.request(path, { ...init, headers: { ...init.headers, "X-Api-Key": key } });
  };
  const metrics = async () =>
    await (await app.request("/metrics", { headers: { "X-Api-Key": "free" } })).text();
  return { app, engine, records, ask, metrics };
}

Deno.test("requests per minute: headers as OpenAI's, then 429 with when to try again", async () => {
  using clock = new StoppedClock();
  const { ask, engine, metrics } = served({ requestsPerMinute: 2, name: "alice" });
  for (const remaining of ["1", "0"]) {
    const { status, headers } = await ask({ max_tokens: 4 });
    assertEquals(status, 200);
    assertEquals(headers.get("x-ratelimit-limit-requests"), "2");
    assertEquals(headers.get("x-ratelimit-remaining-requests"), remaining);
    assertEquals(headers.get("x-ratelimit-reset-requests"), "1m0s");
    assertEquals(headers.get("x-ratelimit-limit-tokens"), null);
  }
  clock.pass(1000);
  const refused = await ask();
  assertEquals(refused.status, 429);
  const { error } = await refused.json();
  assertEquals([error.type, error.code], ["rate_limit_error", "rate_limit_exceeded"]);
  assertEquals(
    error.message,
    "This API key may send 2 requests in 60 seconds, no more (requests_per_minute). Try again in 59 s.",
  );
  assertEquals(refused.headers.get("retry-after"), "59");
  assertEquals(refused.headers.get("retry-after-ms"), "59000");
  assertEquals(refused.headers.get("x-ratelimit-remaining-requests"), "0");
  // Other keys, and what gives no answer, are not held up; other APIs have errors of their own shape.
  assertEquals((await ask({}, { key: "free" })).headers.get("x-ratelimit-limit-requests"), null);
  assertEquals((await ask({}, { path: "/tokenize", body: { content: "a" } })).status, 200);
  const body = { model: "m", max_tokens: 4, messages: [{ role: "user", content: "a" }] };
  const anthropic = await ask({}, { path: "/v1/messages", body });
  assertEquals([anthropic.status, (await anthropic.json()).error.type], [429, "rate_limit_error"]);
  assertMatch(anthropic.headers.get("retry-after")!, /^\d+$/);
  const ollama = await ask({}, { path: "/api/chat", body });
  assertMatch((await ollama.json()).error, /requests_per_minute/);
  assertEquals(engine.requests.length, 3);
  const figures = await metrics();
  assertMatch(figures, /^unmask_refused_total\{reason="requests_per_minute"\} 3$/m);
  assertMatch(figures, /^unmask_key_requests_total\{key="alice"\} 2$/m);
  assert(!figures.includes("secret") && !figures.includes("sha256"), figures);
});

Deno.test("tokens per minute count what was read and decided, of broken answers too", async () => {
  const { ask, records, metrics } = served({ tokensPerMinute: 30, name: "alice" }, {
    stepDelay: 2,
  });
  const first = await ask({ max_tokens: 4 });
  const { usage } = await first.json();
  const left = Number((await ask({ max_tokens: 0.5 })).headers.get("x-ratelimit-remaining-tokens"));
  assertEquals(left, 30 - usage.total_tokens);
  const stream = await ask({ max_tokens: 32, stream: true });
  const reader = stream.body!.getReader();
  await reader.read();
  await reader.cancel();
  while (records.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  assertEquals([records[2].complete, records[2].key], [false, "alice"]);
  const refused = await ask();
  assertEquals(refused.status, 429);
  assertMatch(
    (await refused.json()).error.message,
    /use 30 tokens in 60 seconds.*tokens_per_minute/,
  );
  assertMatch(await metrics(), /^unmask_key_tokens_total\{key="alice"\} [1-9]\d$/m);
});

Deno.test("requests at once: the next is let in when one is over, also of streams", async () => {
  const answers = Promise.withResolvers<void>();
  const { ask, engine } = served({ concurrent: 2 }, { mayStep: answers.promise });
  // As many run as end in the time that one takes: 2 s, and one of two is over after one.
  Object.assign(engine.load, { running: 8, answersPerSecond: 4 });
  const streams = await Promise.all([1, 2].map(() => ask({ max_tokens: 8, stream: true })));
  const refused = await ask();
  assertEquals([refused.status, refused.headers.get("retry-after")], [429, "1"]);
  assertMatch((await refused.json()).error.message, /have 2 requests under way at once/);
  answers.resolve();
  await streams[0].text();
  assertEquals((await ask({ max_tokens: 1 })).status, 200);
  await streams[1].text();
  // Those that fail are over too.
  for (let i = 0; i < 5; i++) assertEquals((await ask({ max_tokens: 0 })).status, 400);
  assertEquals((await ask({ max_tokens: 1 })).status, 200);
});

Deno.test("requests at once are bounded also while the engine's figures are older than they", async () => {
  const answers = Promise.withResolvers<void>();
  const { ask, engine } = served({ concurrent: 2 }, { mayStart: answers.promise });
  // An answer has ended, and nothing was told of those that came since.
  Object.assign(engine.load, { running: 0, answersPerSecond: 4 });
  const asked = [1, 2, 3, 4].map(() => ask({ max_tokens: 1 }));
  const [first, second] = [await asked[2], await asked[3]];
  assertEquals([first.status, second.status], [429, 429]);
  assertEquals(first.headers.get("retry-after-ms"), "125");
  answers.resolve();
  for (const one of asked.slice(0, 2)) assertEquals((await one).status, 200);
});

Deno.test("a request for which the queue has no room does not count", async () => {
  const startError = new BusyError("3 requests are waiting already", 7);
  const { ask, metrics } = served({ requestsPerMinute: 2, concurrent: 1, name: "alice" }, {
    startError,
  });
  const bodies = [{}, { stream: true }, {}];
  for (const body of bodies) {
    const refused = await ask(body);
    assertEquals([refused.status, refused.headers.get("retry-after")], [429, "7"]);
    assertEquals(refused.headers.get("x-ratelimit-remaining-requests"), "2");
  }
  const figures = await metrics();
  assertMatch(figures, /^unmask_refused_total\{reason="queue_full"\} 3$/m);
  assert(!figures.includes("unmask_key_requests_total{"), figures);
});

Deno.test("a key's priority reaches the engine on every route, and a body's does not", async () => {
  const { ask, engine } = served({ priority: 3 });
  const messages = [{ role: "user", content: "a" }];
  const bodies = {
    [PATH]: { messages, priority: 9 },
    "/v1/completions": { prompt: ["a", "b"], priority: 9 },
    "/v1/responses": { model: "m", input: "a", priority: 9 },
    "/v1/messages": { model: "m", messages, max_tokens: 8, priority: 9 },
    "/api/chat": { model: "m", messages, priority: 9 },
    "/api/generate": { model: "m", prompt: "a", priority: 9 },
    "/completion": { prompt: "a", priority: 9 },
    "/infill": { input_prefix: "a", input_suffix: "b", priority: 9 },
    "/v1/infill": { text: "a ___", priority: 9 },
    "/v1/edits": { text: "a b", priority: 9 },
  };
  for (const [path, body] of Object.entries(bodies)) {
    const before = engine.requests.length;
    await (await ask({}, { path, body })).text();
    assert(engine.requests.length > before, path);
  }
  for (const { priority } of engine.requests) assertEquals(priority, 3);
  await ask({ priority: 9 }, { key: "free" });
  assertEquals(engine.requests.at(-1)!.priority, undefined);
});

Deno.test("several answers of one request are one line of the log, and one use", async () => {
  const answers = Promise.withResolvers<void>();
  const { ask, records } = served({ requestsPerMinute: 10, name: "alice", concurrent: 1 }, {
    mayStep: answers.promise,
  });
  const body = { prompt: ["a", "b", "c"], max_tokens: 4, stream: true };
  const stream = await ask({}, { path: "/v1/completions", body });
  assertEquals(stream.headers.get("x-ratelimit-remaining-requests"), "9");
  assertEquals((await ask()).status, 429);
  answers.resolve();
  assertMatch(await stream.text(), /"index":2/);
  assertEquals(records.filter(({ status }) => status === 200).length, 1);
  assertEquals((await ask({ max_tokens: 1 })).status, 200);
});
