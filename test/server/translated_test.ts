/** What holds for all APIs that are translated to the chat route: errors, headers, endings. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createApp } from "../../src/server/app.ts";
import { UnavailableError } from "../../src/engine/request.ts";
import { ANSWER } from "./ask.ts";
import { FakeEngine, type FakeOptions } from "./fake_engine.ts";
import { parseEvents } from "./sse.ts";

const MESSAGES = [{ role: "user", content: "Say hello." }];

/** Each API's route, and a body that it answers. */
const ROUTES = {
  "/v1/completions": { prompt: "Say hello." },
  "/v1/responses": { input: "Say hello." },
  "/v1/messages": { messages: MESSAGES },
  "/api/chat": { model: "any", messages: MESSAGES, stream: false },
  "/api/generate": { model: "any", prompt: "Say hello.", stream: false },
  "/completion": { prompt: "Say hello." },
} as const;
type Path = keyof typeof ROUTES;
const PATHS = Object.keys(ROUTES) as Path[];

/** The message of an error, where each API has it. */
// deno-lint-ignore no-explicit-any
const errorText = (path: string, body: any): string =>
  path.startsWith("/api/") ? body.error : body.error.message;

function init(body: unknown): RequestInit {
  const headers = { "Content-Type": "application/json" };
  return { method: "POST", headers, body: JSON.stringify(body) };
}

function ask(path: Path, fields: object = {}, options: FakeOptions = {}) {
  const engine = new FakeEngine(options);
  const reported: unknown[] = [];
  const app = createApp(engine, { onError: (error) => reported.push(error), beginSeconds: 0.1 });
  const response = app.request(path, init({ ...ROUTES[path], ...fields }));
  return { engine, reported, response: Promise.resolve(response) };
}

Deno.test("every API gives the engine's answer", async () => {
  for (const path of PATHS) {
    const { response, engine } = ask(path);
    const body = JSON.stringify(await (await response).json());
    assert(body.includes(JSON.stringify(ANSWER)), `${path}: ${body}`);
    const [{ prompt, messages }] = engine.requests;
    const raw = path === "/v1/completions" || path === "/completion";
    assertEquals([prompt, messages], raw ? ["Say hello.", undefined] : [undefined, MESSAGES], path);
  }
});

Deno.test("the answers of one completions request are bounded", async () => {
  const statusOf = async (prompts: number, n: number) => {
    const { response, engine } = ask("/v1/completions", { prompt: Array(prompts).fill("a"), n });
    const answer = await response;
    const { error } = await answer.json();
    if (!answer.ok) assertEquals([error.param, engine.requests.length], ["n", 0]);
    return answer.status;
  };
  assertEquals([await statusOf(16, 8), await statusOf(17, 8)], [200, 400]);
});

Deno.test("fields of a chat completion pass; unknown ones are named in the header", async () => {
  for (const path of PATHS) {
    const { response, engine } = ask(path, { steps: 32, seed: 5, max_tokens: 32, unknown_one: 1 });
    const { headers, status } = await response;
    assertEquals(status, 200, path);
    assertEquals(headers.get("x-unmask-ignored"), "unknown_one", path);
    assertMatch(headers.get("x-request-id") ?? "", /^req_/);
    assertEquals([engine.requests[0].steps, engine.requests[0].seed], [32, 5], path);
  }
});

Deno.test("fields that mean nothing here are named, by the API's own names", async () => {
  for (
    const [path, fields, named] of [
      ["/v1/responses", { store: true, reasoning: { effort: "low" } }, "reasoning, store"],
      ["/v1/messages", { metadata: { user_id: "1" } }, "metadata"],
      ["/api/chat", { options: { num_ctx: 4096 }, think: false }, "think, options.num_ctx"],
    ] as const
  ) {
    const { headers } = await ask(path, fields).response;
    assertEquals(headers.get("x-unmask-ignored"), named, path);
  }
});

Deno.test("a limit ends an answer in each API's words", async () => {
  for (
    const [path, fields, ending] of [
      ["/v1/completions", { max_tokens: 4 }, '"finish_reason":"length"'],
      ["/v1/responses", { max_output_tokens: 4 }, '"reason":"max_output_tokens"'],
      ["/v1/messages", { max_tokens: 4 }, '"stop_reason":"max_tokens"'],
      ["/api/chat", { options: { num_predict: 4 } }, '"done_reason":"length"'],
      ["/api/generate", { options: { num_predict: 4 } }, '"done_reason":"length"'],
      ["/completion", { n_predict: 4 }, '"stop_type":"limit"'],
    ] as const
  ) {
    const body = await (await ask(path, fields).response).text();
    assert(body.includes(ending), `${path}: ${body}`);
  }
});

Deno.test("a stop string ends an answer in each API's words, whole and streamed", async () => {
  for (
    const [path, fields, ending] of [
      ["/v1/completions", { stop: ["away"] }, '"finish_reason":"stop"'],
      ["/v1/responses", { stop: ["away"] }, '"status":"completed"'],
      ["/v1/messages", { stop_sequences: ["away"] }, '"stop_sequence":"away"'],
      ["/api/chat", { options: { stop: "away" } }, '"done_reason":"stop"'],
      ["/api/generate", { options: { stop: ["away"] } }, '"done_reason":"stop"'],
      ["/completion", { stop: ["away"] }, '"stop_type":"word","stopping_word":"away"'],
    ] as const
  ) {
    for (const stream of [false, true]) {
      const body = await (await ask(path, { ...fields, stream }).response).text();
      assert(body.includes(ending), `${path}: ${body}`);
      assert(!body.includes(" in any order"), path);
    }
  }
  const message = await (await ask("/v1/messages", { stop_sequences: ["away"] }).response).json();
  assertEquals([message.stop_reason, message.content[0].text], ["stop_sequence", "Masks fall "]);
});

Deno.test("errors have each API's body: of a field, a key, a path, a model that loads", async () => {
  for (const path of PATHS) {
    const wrong = await ask(path, { temperature: "hot", options: { temperature: "hot" } }).response;
    assertEquals(wrong.status, 400, path);
    assertMatch(errorText(path, await wrong.json()), /temperature/, path);

    const keyed = createApp(new FakeEngine(), { apiKeys: ["k"] });
    const locked = await keyed.request(path, init(ROUTES[path]));
    assertEquals(locked.status, 401);
    assertMatch(errorText(path, await locked.json()), /API key/);

    const loading = await createApp(new FakeEngine({ state: "loading" }))
      .request(path, init(ROUTES[path]));
    assertEquals([loading.status, loading.headers.has("retry-after")], [503, true]);
    assertMatch(errorText(path, await loading.json()), /still loading/);

    const got = await createApp(new FakeEngine()).request(path);
    assertEquals([got.status, got.headers.get("allow")], [405, "POST"]);
    assertMatch(errorText(path, await got.json()), /use POST/);
  }
  const { type, error } = await (await createApp(new FakeEngine()).request("/v1/messages")).json();
  assertEquals([type, error.type], ["error", "invalid_request_error"]);
});

Deno.test("an error in a stream is each API's last word", async () => {
  const failing = { stepError: { step: 8, error: new Error("a secret") }, stepDelay: 1 };
  for (
    const [path, pattern] of [
      ["/v1/completions", /data: \{"error":\{"message":"The engine failed/],
      ["/v1/responses", /event: error\ndata: .*The engine failed.*\n\nevent: response\.failed\n/],
      ["/v1/messages", /event: error\ndata: \{"type":"error","error":\{"type":"api_error"/],
      ["/api/chat", /\{"error":"The engine failed/],
      ["/api/generate", /\{"error":"The engine failed/],
      ["/completion", /data: \{"error":\{"code":500,"message":"The engine failed/],
    ] as const
  ) {
    const { response, reported } = ask(path, { stream: true }, failing);
    const text = await (await response).text();
    assertMatch(text, pattern, path);
    assert(!text.includes("secret") && !text.includes("[DONE]"), path);
    assertEquals(reported.length, 1, path);
    // The device may be lost after text was sent.
    const error = new UnavailableError("The GPU was lost.", "device_lost", "of the driver");
    const lost = ask(path, { stream: true }, { stepError: { step: 8, error }, stepDelay: 1 });
    const end = await (await lost.response).text();
    assertMatch(end, /error.*The GPU was lost\.[^]*$/, path);
    assert(!end.includes("[DONE]"), path);
  }
});

Deno.test("when a client leaves, the engine stops", async () => {
  for (const path of PATHS) {
    const { engine, response } = ask(path, { stream: true }, { stepDelay: 5 });
    const reader = (await response).body!.getReader();
    await reader.read();
    await reader.cancel();
    while (engine.running > 0) await new Promise((resolve) => setTimeout(resolve, 1));
    assertEquals(engine.aborted, 1, path);
  }
});

Deno.test("a late answer begins in time, and is whole JSON", async () => {
  for (const path of PATHS) {
    const response = await ask(path, {}, { startDelay: 400 }).response;
    assertEquals(response.status, 200);
    assert(JSON.stringify(await response.json()).includes(JSON.stringify(ANSWER)), path);
  }
});

Deno.test("several prompts and several answers are numbered through, whole and streamed", async () => {
  const fields = { prompt: ["One", "Two"], n: 2, echo: true, max_tokens: 8 };
  const whole = await (await ask("/v1/completions", fields).response).json();
  assertEquals(whole.choices.map(({ index }: { index: number }) => index), [0, 1, 2, 3]);
  const texts = ["One", "One", "Two", "Two"].map((prompt) => prompt + ANSWER.slice(0, 8));
  assertEquals(whole.choices.map(({ text }: { text: string }) => text), texts);

  const stream = await ask("/v1/completions", {
    ...fields,
    stream: true,
    stream_options: { include_usage: true },
  }).response;
  const events = parseEvents(await stream.text()).map(({ data }) => data);
  assertEquals(events.pop(), "[DONE]");
  const chunks = events.map((data) => JSON.parse(data));
  const streamed = ["", "", "", ""];
  for (const { choices: [choice] } of chunks) if (choice) streamed[choice.index] += choice.text;
  assertEquals(streamed, texts);
  assertEquals(chunks.at(-1).usage.completion_tokens, whole.usage.completion_tokens);
  assertEquals(new Set(chunks.map(({ id }) => id)).size, 1);
});

Deno.test("log-probabilities of a chat become a completion's", async () => {
  const { completionLogprobs } = await import("../../src/server/completions/completion.ts");
  const token = (token: string, logprob: number, top: [string, number][]) => ({
    token,
    logprob,
    bytes: null,
    top_logprobs: top.map(([token, logprob]) => ({ token, logprob, bytes: null })),
  });
  const content = [token("He", -1, [["Ha", -0.5]]), token("llo", -0.1, [["llo", -0.1]])];
  assertEquals(completionLogprobs({ content }, 5), {
    tokens: ["He", "llo"],
    token_logprobs: [-1, -0.1],
    top_logprobs: [{ Ha: -0.5, He: -1 }, { llo: -0.1 }],
    text_offset: [5, 7],
  });
  assertEquals(completionLogprobs(null, 0), null);
});

Deno.test("ollama's clients may send JSON under any name, as curl does", async () => {
  const headers = { "Content-Type": "application/x-www-form-urlencoded" };
  const body = JSON.stringify(ROUTES["/api/chat"]);
  const app = createApp(new FakeEngine());
  const response = await app.request("/api/chat", { method: "POST", headers, body });
  assertEquals((await response.json()).message.content, ANSWER);
  // But not from a page of somebody else's.
  const foreign = { ...headers, Origin: "https://example.com" };
  const refused = await app.request("/api/chat", { method: "POST", headers: foreign, body });
  assertEquals(refused.status, 403);
});
