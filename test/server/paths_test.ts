import { assertEquals } from "@std/assert";
import { createApp } from "../../src/server/app.ts";
import { routePath } from "../../src/server/paths.ts";
import { FakeEngine } from "./fake_engine.ts";
import { chatInit } from "./malformed.ts";

Deno.test("every route is found without and with /v1, and with slashes too many", async () => {
  const app = createApp(new FakeEngine({ model: { id: "org/name" } }));
  for (
    const path of [
      "/v1/models",
      "/models",
      "/v1/models/",
      "/models/",
      "//v1/models",
      "/v1//models",
      "/v1/models/org/name",
      "/models/org/name/",
      // A client that is told the whole address and adds its own.
      "/v1/v1/models",
      "/v1/stats",
      "/stats",
      "/health",
      "/v1/health",
      "/health/",
      "/",
      "/ready",
      "/v1/ready",
      "/version",
    ]
  ) {
    const response = await app.request(`http://localhost${path}`);
    assertEquals(response.status, 200, path);
    await response.body?.cancel();
  }
  for (const path of ["/chat/completions", "/v1/chat/completions/", "//chat//completions"]) {
    const response = await app.request(`http://localhost${path}`, chatInit());
    assertEquals(response.status, 200, path);
    await response.body?.cancel();
  }
  for (const path of ["/v1", "/v1/", "/v2/models", "/modelsx", "/v1/*"]) {
    const response = await app.request(`http://localhost${path}`);
    assertEquals(response.status, 404, path);
    await response.body?.cancel();
  }
  const wrong = await app.request("http://localhost/models/", { method: "DELETE" });
  assertEquals(wrong.status, 405);
  await wrong.body?.cancel();
});

Deno.test("a path that is a route as it stands is never another", () => {
  const routes = ["/*", "/v1/infill", "/infill", "/v1/models/:id{.+}", "/api/chat"];
  const find = routePath(() => routes.map((path) => ({ path })));
  const found = (path: string) => find(new Request(`http://localhost${path}`));
  for (const path of ["/v1/infill", "/infill", "/v1/models/a%2Fb", "/api/chat", "/nothing"]) {
    assertEquals(found(path), path);
  }
  assertEquals(found("/models/a?x=/v1/"), "/v1/models/a");
  assertEquals(found("/v1/api/chat"), "/api/chat");
});

Deno.test("the version is the package's", async () => {
  const { version } = await (await createApp(new FakeEngine()).request("/version")).json();
  const { default: config } = await import("../../deno.json", { with: { type: "json" } });
  assertEquals(version, config.version);
});
