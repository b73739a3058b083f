/** `GET /`, the page's files, and `GET /v1/status`, without a browser. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { NO_LOAD } from "../../src/engine/load_figures.ts";
import { createApp } from "../../src/server/app.ts";
import { FakeEngine } from "./fake_engine.ts";
import { until } from "./fake_server.ts";
import { chatInit } from "./malformed.ts";

const HTML = { headers: { accept: "text/html,application/xhtml+xml,*/*;q=0.8" } };

Deno.test("browsers get the page, others the sentence that ollama's clients look for", async () => {
  const app = createApp(new FakeEngine());
  const page = await app.request("/", HTML);
  assertEquals(page.headers.get("content-type"), "text/html; charset=utf-8");
  assertMatch(
    page.headers.get("content-security-policy")!,
    /^default-src 'none'; script-src 'self'/,
  );
  assertMatch(page.headers.get("vary")!, /Accept\b/);
  assertMatch(await page.text(), /^<!doctype html>/i);
  for (const init of [undefined, { headers: { accept: "*/*" } }]) {
    assertEquals(await (await app.request("/", init)).text(), "Ollama is running");
  }
});

Deno.test("every file that the page names is served, without types, and once", async () => {
  const app = createApp(new FakeEngine());
  const waiting = ["index.html"];
  const seen = new Set<string>();
  for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    const response = await app.request(`/page/${name}`);
    assertEquals(response.status, 200, name);
    const text = await response.text();
    if (/\.(ts|js)$/.test(name)) {
      assertEquals(response.headers.get("content-type"), "text/javascript; charset=utf-8");
      assert(!/^(export )?(interface|type) /m.test(text), `${name} has types`);
    }
    const etag = response.headers.get("etag")!;
    const again = await app.request(`/page/${name}`, { headers: { "if-none-match": etag } });
    assertEquals([again.status, await again.text()], [304, ""]);
    const named = text.matchAll(/(?:(?:src|href)="page\/|(?:from|import\() ?"\.\/)([\w.]+)"/g);
    waiting.push(...Array.from(named, ([, file]) => file));
  }
  assert(seen.has("page.css") && seen.has("lit_html.js") && seen.has("trace.ts"));
  const own = [...Deno.readDirSync(new URL("../../src/server/page/", import.meta.url))]
    .map(({ name }) => name).filter((name) => name !== "browser.json");
  // Of context.ts the page needs the types alone.
  assertEquals(own.filter((name) => !seen.has(name) && name !== "context.ts"), []);
  assertEquals((await app.request("/page/none.ts")).status, 404);
  assertEquals((await app.request("/page/constructor")).status, 404);
});

Deno.test("a file is sent as gzip to who takes it", async () => {
  const app = createApp(new FakeEngine());
  const plain = await (await app.request("/page/page.css")).text();
  const response = await app.request("/page/page.css", {
    headers: { "accept-encoding": "gzip, br" },
  });
  assertEquals(response.headers.get("content-encoding"), "gzip");
  const expanded = response.body!.pipeThrough(new DecompressionStream("gzip"));
  assertEquals(await new Response(expanded).text(), plain);
});

Deno.test("the page is open where keys are asked for, what it asks for is not", async () => {
  const app = createApp(new FakeEngine(), { apiKeys: ["secret"] });
  assertEquals((await app.request("/", HTML)).status, 200);
  assertEquals((await app.request("/page/page.ts")).status, 200);
  assertEquals((await app.request("/v1/status")).status, 401);
  assertEquals((await app.request("/page/../v1/status")).status, 401);
});

Deno.test("what a page asks for by itself is not logged, unless it fails", async () => {
  const paths: string[] = [];
  const app = createApp(new FakeEngine(), { log: ({ path }) => void paths.push(path) });
  for (const path of ["/", "/page/page.ts", "/page/none.ts", "/v1/status", "/v1/models"]) {
    await (await app.request(path)).text();
  }
  assertEquals(paths, ["/", "/page/none.ts", "/v1/models"]);
});

Deno.test("the status tells of model, device, memory and queue, and of no text", async () => {
  const answer = Promise.withResolvers<void>();
  const engine = Object.assign(new FakeEngine({ mayStep: answer.promise }), {
    load: { ...NO_LOAD, running: 1, passes: 2, passRequests: 5, mostRequests: 4 },
    device: { adapter: "a GPU", plannedBytes: 3, memoryBytes: 8 },
  });
  const app = createApp(engine);
  const status = async () => await (await app.request("/v1/status")).json();
  const idle = await status();
  assertEquals(idle.model, "fake-llada");
  assertEquals(idle.device, "a GPU");
  assertEquals(idle.memory, { planned: 3, total: 8 });
  assertEquals([idle.load.running, idle.load.waiting], [0, 0]);
  const asked = [1, 2].map(() =>
    app.request(
      "/v1/chat/completions",
      chatInit({ max_tokens: 8, messages: [{ role: "user", content: "my secret" }] }),
    )
  );
  await until(() => engine.running === 2);
  const busy = await status();
  assertEquals([busy.load.running, busy.load.waiting, busy.load.requests_per_pass], [1, 1, 2.5]);
  answer.resolve();
  for (const response of await Promise.all(asked)) await response.text();
  const after = await status();
  assertEquals([after.answers, after.load.running], [2, 0]);
  assert(!JSON.stringify([busy, after]).includes("secret"));
});

Deno.test("the status says why there is no model", async () => {
  const loading =
    await (await createApp(new FakeEngine({ state: "loading" })).request("/v1/status")).json();
  assertEquals([loading.state, loading.model, loading.device], ["loading", null, null]);
  const failed = await (await createApp(new FakeEngine({ state: "failed" })).request("/v1/status"))
    .json();
  assertEquals([failed.state, failed.reason], ["failed", "no GPU adapter was found"]);
});
