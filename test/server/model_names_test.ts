import { assertEquals } from "@std/assert";
import { type AppOptions, createApp } from "../../src/server/app.ts";
import { PATH } from "./ask.ts";
import { FakeEngine } from "./fake_engine.ts";
import { chatInit } from "./malformed.ts";

async function statusOf(options: AppOptions, model: unknown): Promise<number> {
  const response = await createApp(new FakeEngine(), options).request(PATH, chatInit({ model }));
  const body = await response.json();
  if (response.status === 200) assertEquals(body.model, "fake-llada");
  else assertEquals([body.error.code, body.error.param], ["model_not_found", "model"]);
  return response.status;
}

Deno.test("any name of a model will do, unless the server is strict", async () => {
  for (const name of ["fake-llada", "gpt-4o-mini", "", null, "x".repeat(9999)]) {
    assertEquals(await statusOf({}, name), 200);
  }
  const strict = { strictModel: true, aliases: ["llada"] };
  for (const name of ["fake-llada", "llada", "llada:latest", "", null]) {
    assertEquals(await statusOf(strict, name), 200);
  }
  for (const name of ["gpt-4o-mini", "FAKE-LLADA", " "]) {
    assertEquals(await statusOf(strict, name), 404);
  }
});

Deno.test("the routes that fill a text check the model too", async () => {
  const app = createApp(new FakeEngine(), { strictModel: true, aliases: ["llada"] });
  for (const path of ["/v1/infill", "/v1/edits"]) {
    // The body of the fake engine's answer has no filled text: it is a 500 once a name is good.
    const statusOf = async (model: string) =>
      (await app.request(path, { ...chatInit({}), body: JSON.stringify({ model, text: "a ___" }) }))
        .status;
    assertEquals([await statusOf("gpt-4o-mini"), await statusOf("llada")], [404, 500], path);
  }
});

Deno.test("aliases are listed and retrieved beside the model's own name", async () => {
  const app = createApp(new FakeEngine(), { aliases: ["org/llada", "fake-llada"], maxTokens: 99 });
  const { data } = await (await app.request("/v1/models")).json();
  assertEquals(data.map(({ id }: { id: string }) => id), ["fake-llada", "org/llada"]);
  const one = await (await app.request("/v1/models/org/llada")).json();
  assertEquals([one.id, one.default_max_tokens], ["org/llada", 99]);
  // The name that ollama's /api/tags lists.
  assertEquals((await app.request("/v1/models/fake-llada:latest")).status, 200);
  assertEquals((await app.request("/v1/models/other")).status, 404);
  assertEquals((await app.request("/v1/models/other:latest")).status, 404);
});

Deno.test("a server may say how long an answer is where the request does not", async () => {
  const limitOf = async (options: AppOptions, fields: Record<string, unknown>) => {
    const engine = new FakeEngine();
    await createApp(engine, options).request(PATH, chatInit(fields));
    return engine.requests[0].maxTokens;
  };
  assertEquals(await limitOf({}, {}), undefined);
  assertEquals(await limitOf({ maxTokens: 40 }, {}), 40);
  assertEquals(await limitOf({ maxTokens: 40 }, { max_tokens: null }), 40);
  assertEquals(await limitOf({ maxTokens: 40 }, { max_tokens: 50 }), 50);
  assertEquals(await limitOf({ maxTokens: 40 }, { max_tokens: -1 }), 256);
  assertEquals(await limitOf({ maxTokens: 4000 }, {}), 256);
});
