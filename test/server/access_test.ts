import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import { keyDigest } from "../../src/server/api_keys.ts";
import { type AppOptions, createApp } from "../../src/server/app.ts";
import { FakeEngine } from "./fake_engine.ts";

async function status(options: AppOptions, headers: Record<string, string>): Promise<number> {
  const app = createApp(new FakeEngine(), options);
  const response = await app.request("/health", { headers });
  if (response.status !== 200) assertMatch((await response.json()).error.message, /./);
  return response.status;
}

Deno.test("by default only loopback names are answered, on any port", async () => {
  for (const host of ["localhost", "LOCALHOST:8000", "127.0.0.1:8000", "[::1]:8000"]) {
    assertEquals(await status({}, { Host: host }), 200, host);
  }
  for (
    const host of [
      "evil.example",
      "evil.example:8000",
      "localhost.evil.example",
      "127.0.0.1.evil.example",
      "0.0.0.0:8000",
      "192.168.0.7",
      "[::2]",
      "",
      ":",
    ]
  ) {
    assertEquals(await status({}, { Host: host }), 403, host);
  }
});

Deno.test("a page may call its own server or one on an allowed host, no other", async () => {
  const host = { Host: "localhost:8000" };
  for (const origin of ["http://localhost:8000", "http://localhost:3000", "http://[::1]"]) {
    assertEquals(await status({}, { ...host, Origin: origin }), 200, origin);
  }
  for (const origin of ["https://evil.example", "null", "", "http://localhost.evil.example"]) {
    assertEquals(await status({}, { ...host, Origin: origin }), 403, origin);
  }
});

Deno.test("on any address, names are answered that were allowed, and pages of the server itself", async () => {
  const options = { allowedHosts: ["box.lan"], anyAddress: true } as const;
  for (const host of ["box.lan:8000", "192.168.0.7:8000", "[2001:db8::1]:8000"]) {
    assertEquals(await status(options, { Host: host }), 200, host);
  }
  // A name of somebody else's that leads here.
  for (const host of ["rebound.example:8000", "192.168.0.7.rebound.example", ""]) {
    assertEquals(await status(options, { Host: host }), 403, host);
  }
  const from = (origin: string) => status(options, { Host: "192.168.0.7:8000", Origin: origin });
  assertEquals(await from("http://192.168.0.7:8000"), 200);
  assertEquals(await from("http://box.lan:8000"), 200);
  assertEquals(await from("http://192.168.0.7:9000"), 403);
  assertEquals(await from("http://192.168.0.8:8000"), 403);
  assertEquals(await from("https://evil.example"), 403);
});

Deno.test("hosts can be named", async () => {
  const options = { allowedHosts: ["Box.lan"] };
  assertEquals(await status(options, { Host: "box.lan:8000" }), 200);
  assertEquals(await status(options, { Host: "localhost:8000" }), 403);
});

Deno.test("API keys cover every path but how the server is", async () => {
  const app = createApp(new FakeEngine(), { apiKeys: ["first-key", keyDigest("second-key")] });
  const paths = [
    "/v1/models",
    "/models",
    "/v1/stats",
    "/v1/chat/completions",
    "/version",
    "/nothing",
  ];
  for (const path of paths) {
    const refused = await app.request(path);
    assertEquals(refused.status, 401, path);
    assertEquals(refused.headers.get("www-authenticate"), "Bearer");
    assertEquals((await refused.json()).error.code, "invalid_api_key");
  }
  for (const path of ["/health", "/ready", "/v1/health", "/health/"]) {
    const open = await app.request(path);
    assertEquals([open.status, await open.json()], [200, { status: "ok" }], path);
  }
  const statusOf = async (headers: Record<string, string>) => {
    const response = await app.request("/v1/models", { headers });
    const text = await response.text();
    assertEquals(text.includes("first-key"), false);
    return response.status;
  };
  for (const key of ["first-key", "second-key"]) {
    assertEquals(await statusOf({ Authorization: `Bearer ${key}` }), 200);
    assertEquals(await statusOf({ "X-Api-Key": key }), 200);
    assertEquals(await statusOf({ "X-Api-Key": key, Authorization: "Bearer none" }), 200);
    assertEquals(await statusOf({ "X-Api-Key": "none", Authorization: `Bearer ${key}` }), 200);
  }
  for (
    const authorization of [
      "Bearer first-ke",
      "Bearer first-key2",
      "Bearer ",
      "Bearer first-key second-key",
      "Basic first-key",
      "first-key",
      // Who has read the file has no key.
      `Bearer ${keyDigest("second-key")}`,
    ]
  ) {
    assertEquals(await statusOf({ Authorization: authorization }), 401, authorization);
    const [, key = ""] = authorization.split("Bearer ");
    if (key) assertEquals(await statusOf({ "X-Api-Key": key }), 401, key);
  }
});

Deno.test("a digest stands in place of its key", () => {
  const digest = keyDigest("two");
  assertMatch(digest, /^sha256:[0-9a-f]{64}$/);
  assertEquals(keyDigest(digest.toUpperCase().replace("SHA", "sha")), digest);
});

Deno.test("a name that is allowed is answered, with its port or without", async () => {
  const options = { allowedHosts: ["localhost", "host.docker.internal"] };
  for (const host of ["host.docker.internal:8221", "host.docker.internal", "localhost:1"]) {
    assertEquals(await status(options, { Host: host }), 200, host);
  }
  assertEquals(await status(options, { Host: "docker.internal" }), 403);
});

Deno.test("an empty API key is refused when the server is set up", () => {
  assertThrows(
    () => createApp(new FakeEngine(), { apiKeys: ["key", " "] }),
    TypeError,
    "non-empty",
  );
});
