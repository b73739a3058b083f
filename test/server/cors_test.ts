import { assertEquals, assertMatch } from "@std/assert";
import { createApp } from "../../src/server/app.ts";
import { PATH } from "./ask.ts";
import { FakeEngine } from "./fake_engine.ts";
import { chatInit } from "./malformed.ts";

const PAGE = "https://chat.example";

function preflight(origin: string, more: Record<string, string> = {}) {
  return {
    method: "OPTIONS",
    headers: {
      Origin: origin,
      "Access-Control-Request-Method": "POST",
      "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
      ...more,
    },
  };
}

const allow = (response: Response, what: string) => response.headers.get(`access-control-${what}`);

Deno.test("a preflight of an allowed page is answered without a key, of another one refused", async () => {
  const app = createApp(new FakeEngine(), { cors: [PAGE], apiKeys: ["key"] });
  for (const path of [PATH, "/chat/completions/", "/v1/models"]) {
    const yes = await app.request(path, preflight(PAGE));
    assertEquals([yes.status, await yes.text()], [200, ""]);
    assertEquals(allow(yes, "allow-credentials"), "true");
    assertEquals(allow(yes, "allow-origin"), PAGE);
    assertEquals(allow(yes, "allow-methods"), "GET, POST");
    assertEquals(allow(yes, "allow-headers"), "authorization,content-type,x-stainless-os");
    assertEquals(allow(yes, "allow-private-network"), null);
    assertEquals(yes.headers.get("vary"), "Origin, Access-Control-Request-Headers");
  }
  const fromNet = preflight(PAGE, { "Access-Control-Request-Private-Network": "true" });
  assertEquals(allow(await app.request(PATH, fromNet), "allow-private-network"), "true");
  for (const origin of ["https://evil.example", `${PAGE}.evil.example`, `${PAGE}:81`, "null"]) {
    const no = await app.request(PATH, preflight(origin));
    assertEquals([no.status, allow(no, "allow-origin")], [403, null], origin);
  }
});

Deno.test("an allowed page reads answers and errors, with their ids; another gets neither", async () => {
  const engine = new FakeEngine();
  const app = createApp(engine, { cors: [PAGE], apiKeys: ["key"] });
  const ask = (origin: string, key: string, fields = {}) => {
    const { method, headers, body } = chatInit(fields);
    return app.request(PATH, {
      method,
      headers: { ...headers, Origin: origin, Authorization: `Bearer ${key}` },
      body,
    });
  };
  for (
    const [key, fields, status] of [
      ["key", {}, 200],
      ["key", { stream: true }, 200],
      ["key", { temperature: 9 }, 400],
      ["other", {}, 401],
    ] as const
  ) {
    const response = await ask(PAGE, key, fields);
    assertEquals([response.status, allow(response, "allow-origin")], [status, PAGE]);
    assertMatch(
      allow(response, "expose-headers") ?? "",
      /X-Request-Id, X-Unmask-Ignored, X-Unmask-Schema/,
    );
    assertEquals(response.headers.get("vary"), "Origin");
    await response.body?.cancel();
  }
  const before = engine.requests.length;
  const refused = await ask("https://evil.example", "key");
  assertEquals([refused.status, allow(refused, "allow-origin")], [403, null]);
  assertEquals(engine.requests.length, before);
  const noPage = await app.request("/health");
  assertEquals([noPage.status, noPage.headers.get("vary")], [200, "Origin"]);
});

Deno.test("pages of apps, files and any origin can be let in", async () => {
  const apps = ["app://obsidian.md", "vscode-webview://abc", "chrome-extension://abc", "null"];
  const named = createApp(new FakeEngine(), { cors: apps });
  const any = createApp(new FakeEngine(), { cors: ["*"] });
  for (const origin of apps) {
    const one = await named.request("/v1/models", { headers: { Origin: origin } });
    assertEquals([one.status, allow(one, "allow-origin")], [200, origin]);
    const other = await any.request("/v1/models", { headers: { Origin: origin } });
    assertEquals([other.status, allow(other, "allow-origin")], [200, "*"]);
    assertEquals(allow(other, "allow-credentials"), null);
    assertEquals((await any.request(PATH, preflight(origin))).status, 200);
  }
  const rebound = { Host: "rebound.example", Origin: "http://rebound.example" };
  assertEquals((await any.request("/v1/models", { headers: rebound })).status, 403);
});

Deno.test("a host's name lets in its pages over http and https, at any port", async () => {
  const app = createApp(new FakeEngine(), { cors: ["localhost", "web.example"] });
  const read = async (origin: string) =>
    allow(await app.request("/v1/models", { headers: { Origin: origin } }), "allow-origin");
  for (
    const origin of [
      "http://localhost",
      "http://localhost:3000",
      "https://localhost:8443",
      "https://web.example",
    ]
  ) {
    assertEquals(await read(origin), origin);
  }
  const others = ["https://localhost.example", "app://localhost", "https://a.web.example", "null"];
  for (const origin of others) assertEquals(await read(origin), null, origin);
});

Deno.test("without the option there is no CORS, for pages of this machine neither", async () => {
  const app = createApp(new FakeEngine());
  const origin = "http://localhost:3000";
  const refused = await app.request(PATH, preflight(origin));
  assertEquals([refused.status, allow(refused, "allow-origin")], [405, null]);
  const read = await app.request("/v1/models", { headers: { Origin: origin } });
  assertEquals([read.status, allow(read, "allow-origin")], [200, null]);
  const other = createApp(new FakeEngine(), { cors: [origin] });
  assertEquals((await other.request(PATH, preflight(origin))).status, 200);
});
