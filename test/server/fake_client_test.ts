/** The real `openai` client against the server over loopback, with a fake engine behind it. */
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import OpenAI, { APIError, AuthenticationError } from "openai";
import { ANSWER } from "./ask.ts";
import { CLIENT_CASES } from "./client_cases.ts";
import { until, withServer } from "./fake_server.ts";
import { chatInit, MALFORMED } from "./malformed.ts";

for (const [name, run] of CLIENT_CASES) {
  Deno.test(`openai client: ${name}`, async () => {
    await withServer({ stepDelay: 1 }, async ({ target, engine, reported }) => {
      await run(target);
      await until(() => engine.running === 0);
      assertEquals(reported, []);
    });
  });
}

Deno.test("openai client: an abort stops the engine, streamed or not", async () => {
  await withServer({ stepDelay: 20 }, async ({ target, engine }) => {
    const { chat } = new OpenAI({ ...target, maxRetries: 0 });
    const { model, messages } = target;
    const stream = await chat.completions.create({ model, messages, stream: true });
    for await (const _ of stream) break;
    await until(() => engine.running === 0);
    assertEquals(engine.aborted, 1);

    const cut = new AbortController();
    const pending = chat.completions.create({ model, messages }, { signal: cut.signal });
    const rejected = assertRejects(() => pending, APIError, "aborted");
    await until(() => engine.running === 1);
    cut.abort();
    await rejected;
    await until(() => engine.running === 0);
    assertEquals(engine.aborted, 2);
  });
});

Deno.test("openai client: an error in mid-stream is thrown, not swallowed", async () => {
  const stepError = { step: 30, error: new Error("device lost") };
  await withServer({ stepError }, async ({ target, reported }) => {
    const { model, messages } = target;
    const stream = await new OpenAI({ ...target, maxRetries: 0 }).chat.completions.create(
      { model, messages, stream: true },
    );
    const error = await assertRejects(() => Array.fromAsync(stream), APIError);
    assertEquals([error.type, error.code], ["server_error", "internal_error"]);
    assertEquals(reported, [stepError.error]);
  });
});

Deno.test("openai client: busy and loading are waited out by the client's own retries", async () => {
  await withServer({}, async ({ target, engine }) => {
    const { model, messages } = target;
    engine.state = "loading";
    const pending = new OpenAI({ ...target, maxRetries: 1 }).chat.completions.create(
      { model, messages },
    );
    setTimeout(() => engine.state = "ready", 50);
    assertEquals((await pending).choices[0].message.content, ANSWER);
  });
});

Deno.test("openai client: a wrong key is an AuthenticationError", async () => {
  await withServer({}, async ({ target }) => {
    const { models } = new OpenAI({ ...target, apiKey: "wrong", maxRetries: 0 });
    await assertRejects(() => models.list(), AuthenticationError);
  });
});

Deno.test("malformed requests over HTTP are refused, and the next good one is answered", async () => {
  await withServer({}, async ({ target, engine, reported }) => {
    const headers = { Authorization: `Bearer ${target.apiKey}` };
    for (const { name, path = "/v1/chat/completions", init, status, message } of MALFORMED) {
      const send = (path: string, init: RequestInit) =>
        fetch(new URL(path, target.baseURL), { ...init, headers: { ...init.headers, ...headers } });
      const refused = await send(path, init);
      assertEquals(refused.status, status, name);
      assertMatch((await refused.json()).error.message, message, name);
      const good = await send("/v1/chat/completions", chatInit());
      assertEquals((await good.json()).choices[0].message.content, ANSWER, name);
    }
    assertEquals([engine.running, reported], [0, []]);
  });
});
