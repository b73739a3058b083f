import { assert, assertEquals, assertMatch, assertNotEquals } from "@std/assert";
import { createApp } from "../../src/server/app.ts";
import { requestLine } from "../../src/server/request_line.ts";
import type { LoggedRequest } from "../../src/server/request_record.ts";
import { FakeEngine, type FakeOptions } from "./fake_engine.ts";
import { chatInit } from "./malformed.ts";

const PATH = "/v1/chat/completions";

function logged(options: FakeOptions = {}) {
  const records: LoggedRequest[] = [];
  const engine = new FakeEngine(options);
  const app = createApp(engine, { log: (record) => records.push(record) });
  return { app, engine, records };
}

Deno.test("the log has method, path and status, and nothing that a prompt can write", async () => {
  const { app, records } = logged();
  const secret = "my secret prompt";
  const init = chatInit({ messages: [{ role: "user", content: secret }], user: secret });
  await app.request(PATH, init);
  await app.request(PATH, chatInit({ messages: secret }));
  await app.request("/v1/models?q=my%20secret%20prompt");
  await app.request("/forged%0AGET%20/health%20200");
  await app.request(`/${"x".repeat(5000)}`);
  assertEquals(records.map(({ method, path, status }) => `${method} ${path} ${status}`), [
    "POST /v1/chat/completions 200",
    "POST /v1/chat/completions 400",
    "GET /v1/models 200",
    "GET /forged%0AGET%20/health%20200 404",
    `GET /${"x".repeat(199)} 404`,
  ]);
  const lines = records.flatMap((one) => [requestLine(one, "text"), requestLine(one, "json")]);
  for (const line of lines) assert(!line.includes("secret") && !line.includes("\n"), line);
});

Deno.test("a line in words and one in JSON tell of the same request", () => {
  const request: LoggedRequest = {
    id: "req_1",
    method: "POST",
    path: PATH,
    status: 200,
    milliseconds: 12.345,
    tokens: { prompt: 14, completion: 30 },
    ignored: ["store", "messages[].name"],
    complete: true,
  };
  assertMatch(
    requestLine(request, "text"),
    /^\d{4}-\d\d-\d\dT[\d:.]+Z POST \/v1\/chat\/completions 200 12\.3 ms, 14 \+ 30 tokens, ignored store messages\[\]\.name$/,
  );
  const { time, ...rest } = JSON.parse(requestLine(request, "json"));
  assertMatch(time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assertEquals(rest, {
    id: "req_1",
    method: "POST",
    path: PATH,
    status: 200,
    ms: 12.3,
    prompt_tokens: 14,
    completion_tokens: 30,
    ignored: ["store", "messages[].name"],
  });
  const named = { ...request, key: "alice" };
  assertMatch(requestLine(named, "text"), / 12\.3 ms, key alice, 14 \+ 30 tokens/);
  assertEquals(JSON.parse(requestLine(named, "json")).key, "alice");
  const plain = { ...request, tokens: undefined, ignored: [], complete: false };
  assertMatch(requestLine(plain, "text"), / 200 12\.3 ms, broken off$/);
  assertEquals(JSON.parse(requestLine(plain, "json")).complete, false);
});

Deno.test("a conversation is logged only where that is asked for, on one line", async () => {
  const { app, records } = logged();
  const content = "my secret\nPOST /forged 200";
  await app.request(PATH, chatInit({ messages: [{ role: "user", content }] }));
  for (const format of ["text", "json"] as const) {
    assert(!requestLine(records[0], format).includes("secret"));
    const line = requestLine(records[0], format, true);
    assert(line.includes("my secret") && !line.includes("\n"), line);
  }
  const { messages } = JSON.parse(requestLine(records[0], "json", true));
  assertEquals(messages, [{ role: "user", content }]);
});

Deno.test("a request is logged when its answer is over, with its tokens", async () => {
  const { app, records } = logged({ stepDelay: 1 });
  const stream = await app.request(PATH, chatInit({ stream: true, max_tokens: 40, store: true }));
  assertEquals(records, []);
  await stream.text();
  assertEquals(records.length, 1);
  assertEquals(records[0].tokens, { prompt: 14, completion: 30 });
  assertEquals([records[0].complete, records[0].ignored], [true, ["store"]]);
  assert(records[0].milliseconds >= 40);
  await (await app.request(PATH, chatInit({ max_tokens: 40 }))).text();
  assertEquals(records[1].tokens, { prompt: 14, completion: 30 });
  // Answers to one prompt share it.
  const several = { ...chatInit({}), body: JSON.stringify({ prompt: ["one", "two"], n: 3 }) };
  const { usage } = await (await app.request("/v1/completions", several)).json();
  const { prompt_tokens: prompt, completion_tokens: completion } = usage;
  assertEquals([records[2].tokens, completion], [{ prompt, completion }, 6 * 30]);
});

Deno.test("an answer that is not ended is logged as broken off", async () => {
  const left = logged({ stepDelay: 2 });
  const stream = await left.app.request(PATH, chatInit({ stream: true }));
  const reader = stream.body!.getReader();
  await reader.read();
  await reader.cancel();
  while (left.records.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals([left.records[0].complete, left.records[0].tokens], [false, undefined]);

  const failing = logged({ stepError: { step: 3, error: new Error("device lost") } });
  const broken = await failing.app.request(PATH, chatInit({ stream: true }));
  await broken.text();
  assertEquals(failing.records[0].complete, false);
  // An error with a status of its own says so itself.
  await failing.app.request(PATH, chatInit());
  assertEquals([failing.records[1].status, failing.records[1].complete], [500, true]);
});

Deno.test("a log that throws changes no answer", async () => {
  const app = createApp(new FakeEngine(), {
    log() {
      throw new Error("disk full");
    },
  });
  for (const stream of [false, true]) {
    const response = await app.request(PATH, chatInit({ stream }));
    assertEquals(response.status, 200);
    assert((await response.text()).length > 0);
  }
});

Deno.test("ignored fields are named in a header, safely and not without end", async () => {
  const { app, records } = logged();
  const ignoredBy = async (fields: Record<string, unknown>) => {
    const response = await app.request(PATH, chatInit(fields));
    assertEquals(response.status, 200);
    await response.body?.cancel();
    return response.headers.get("x-unmask-ignored");
  };
  assertEquals(await ignoredBy({}), null);
  assertEquals(await ignoredBy({ temperature: 0, user: "someone" }), null);
  assertEquals(await ignoredBy({ store: true, cache_prompt: true }), "store, cache_prompt");
  const message = { role: "user", content: "hi", name: "bob" };
  assertEquals(await ignoredBy({ messages: [message, message] }), "messages[].name");
  assertEquals(await ignoredBy({ "a\r\nSet-Cookie: b=c, d€": 1 }), "a??Set-Cookie??b?c??d?");
  const many = Object.fromEntries(
    Array.from({ length: 500 }, (_, i) => [`${"x".repeat(99)}${i}`, 1]),
  );
  const value = await ignoredBy(many) ?? "";
  assertMatch(value, /^x{64}\.\.\., .*, and 480 more$/);
  assert(value.length < 1500);
  assert(records.every(({ ignored }) => ignored.join(", ").length < 1500));
});

Deno.test("a request's id is its client's, or is made", async () => {
  const { app, records } = logged();
  const idOf = async (id?: string, path = "/health") => {
    const headers = id === undefined ? undefined : { "X-Request-Id": id };
    return (await app.request(path, { headers })).headers.get("x-request-id") ?? "";
  };
  assertEquals(await idOf("trace-7:a/b"), "trace-7:a/b");
  assertEquals(await idOf("trace-8", "/nothing"), "trace-8");
  assertEquals(records.map(({ id }) => id), ["trace-7:a/b", "trace-8"]);
  const made = [await idOf(), await idOf(), await idOf("with space"), await idOf("x".repeat(129))];
  for (const id of made) assertMatch(id, /^req_[0-9a-f]{32}$/);
  assertNotEquals(made[0], made[1]);
});
