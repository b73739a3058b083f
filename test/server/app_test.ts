import { assertEquals, assertMatch } from "@std/assert";
import { createApp } from "../../src/server/app.ts";
import { FakeEngine } from "./fake_engine.ts";
import { chatInit } from "./malformed.ts";

const MODEL = {
  id: "fake-llada",
  object: "model",
  created: 1_700_000_000,
  owned_by: "unmask",
  context_length: 256,
  max_model_len: 256,
  meta: { n_ctx_train: 256 },
  aliases: [],
  tags: [],
  default_max_tokens: 256,
  default_block_length: 32,
};

Deno.test("health says ok, loading or failed", async () => {
  const engine = new FakeEngine();
  const app = createApp(engine);
  const ok = await app.request("/health");
  assertEquals([ok.status, await ok.json()], [200, { status: "ok" }]);

  engine.state = "loading";
  const loading = await app.request("/health");
  assertEquals([loading.status, await loading.json()], [503, { status: "loading" }]);
  assertMatch(loading.headers.get("retry-after") ?? "", /^[1-9]\d*$/);

  const failed = await createApp(new FakeEngine({ state: "failed" })).request("/health");
  assertEquals([failed.status, await failed.json()], [503, {
    status: "failed",
    reason: "no GPU adapter was found",
  }]);
  assertEquals(failed.headers.get("retry-after"), null);
});

Deno.test("why the engine failed is told without the places of files", async () => {
  const engine = new FakeEngine({ state: "failed" });
  const app = createApp(engine);
  for (
    const [failure, told] of [
      [
        "/home/me/models/a b/config.json: n_layers is 0, expected an integer from 1.",
        "[path] [path]: n_layers is 0, expected an integer from 1.",
      ],
      [
        "it threw: NotFound at file:///srv/unmask/worker.ts:3:1",
        "it threw: NotFound at [path]:3:1",
      ],
      ["C:\\models\\x.json: size is 0", "[path]: size is 0"],
    ]
  ) {
    engine.failure = failure;
    const health = await (await app.request("/health")).json();
    assertEquals(health.reason, told);
    const answer = await (await app.request("/v1/models")).json();
    const text = `The model is not available: ${told.replace(/\.$/, "")}. Restart the server.`;
    assertEquals(answer.error.message, text);
  }
});

Deno.test("while the model loads, its routes answer 503 with Retry-After; then they work", async () => {
  const engine = new FakeEngine({ state: "loading" });
  const app = createApp(engine);
  const ask = () =>
    Promise.all([
      app.request("/v1/chat/completions", chatInit()),
      app.request("/v1/models"),
      app.request("/v1/models/fake-llada"),
    ]);
  for (const response of await ask()) {
    assertEquals(response.status, 503);
    assertMatch(response.headers.get("retry-after") ?? "", /^[1-9]\d*$/);
    assertEquals(await response.json(), {
      error: {
        message: "The model is still loading. Try again shortly.",
        type: "server_error",
        param: null,
        code: "model_loading",
      },
    });
  }
  engine.state = "ready";
  for (const response of await ask()) {
    assertEquals(response.status, 200);
    await response.body?.cancel();
  }
});

Deno.test("after a failed load, completions say why", async () => {
  const app = createApp(new FakeEngine({ state: "failed" }));
  const response = await app.request("/v1/chat/completions", chatInit());
  assertEquals([response.status, response.headers.get("x-should-retry")], [503, "false"]);
  const { error } = await response.json();
  assertEquals(error.code, "model_failed");
  assertMatch(error.message, /no GPU adapter was found/);
});

Deno.test("models are listed and retrieved", async () => {
  const app = createApp(new FakeEngine());
  const list = await app.request("/v1/models");
  assertEquals(await list.json(), { object: "list", data: [MODEL] });
  const one = await app.request("/v1/models/fake-llada");
  assertEquals(await one.json(), MODEL);
});

Deno.test("a model id may hold any character", async () => {
  const id = "org/Ma ske%d ?";
  const app = createApp(new FakeEngine({ model: { id } }));
  const one = await app.request(`/v1/models/${encodeURIComponent(id)}`);
  assertEquals((await one.json()).id, id);
});

Deno.test("a path that is not valid percent-encoding is a 404, not a failure", async () => {
  const response = await createApp(new FakeEngine()).request("/v1/models/%E0%A4%A");
  assertEquals(response.status, 404);
  assertEquals((await response.json()).error.code, "model_not_found");
});

Deno.test("405 names the methods that work", async () => {
  const app = createApp(new FakeEngine());
  for (
    const [path, method, allow] of [
      ["/health", "POST", "GET, HEAD"],
      ["/ready", "POST", "GET, HEAD"],
      ["/version", "DELETE", "GET, HEAD"],
      ["/models/", "PUT", "GET, HEAD"],
      ["/v1/models", "PUT", "GET, HEAD"],
      ["/v1/models/fake-llada", "DELETE", "GET, HEAD"],
      ["/v1/stats", "POST", "GET, HEAD"],
      ["/docs", "POST", "GET, HEAD"],
      ["/openapi.json", "OPTIONS", "GET, HEAD"],
      ["/v1/chat/completions", "GET", "POST"],
      ["/v1/chat/completions", "OPTIONS", "POST"],
    ]
  ) {
    const response = await app.request(path, { method });
    assertEquals([response.status, response.headers.get("allow")], [405, allow]);
    assertEquals((await response.json()).error.code, "method_not_allowed");
  }
});

Deno.test("HEAD works where GET does", async () => {
  const response = await createApp(new FakeEngine()).request("/health", { method: "HEAD" });
  assertEquals([response.status, await response.text()], [200, ""]);
});

Deno.test("no answer is readable to another origin, and none is sniffed", async () => {
  const app = createApp(new FakeEngine());
  for (const path of ["/health", "/v1/models", "/nothing"]) {
    const response = await app.request(path, { headers: { Origin: "http://localhost:3000" } });
    assertEquals(response.headers.get("access-control-allow-origin"), null);
    assertEquals(response.headers.get("x-content-type-options"), "nosniff");
    await response.body?.cancel();
  }
});

Deno.test("an unexpected error in a route is a 500 with OpenAI's body, and is reported", async () => {
  const reported: unknown[] = [];
  const engine = new FakeEngine();
  const broken = new Error("device lost");
  Object.defineProperty(engine, "model", {
    get() {
      throw broken;
    },
  });
  const app = createApp(engine, { onError: (error) => reported.push(error) });
  const response = await app.request("/v1/models");
  assertEquals(response.status, 500);
  assertEquals((await response.json()).error.code, "internal_error");
  assertEquals(reported, [broken]);
});
