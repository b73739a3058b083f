/** How a server ends, over real connections and a fake engine. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { createApp } from "../../src/server/app.ts";
import { Drain } from "../../src/server/drain.ts";
import { listen } from "../../src/server/http_server.ts";
import { FakeEngine, type FakeOptions } from "./fake_engine.ts";
import { until } from "./fake_server.ts";
import { chatInit } from "./malformed.ts";

interface Draining {
  readonly drain: Drain;
  readonly engine: FakeEngine;
  readonly reported: unknown[];
  readonly port: number;
  readonly stop: () => Promise<void>;
  readonly ask: (path: string, body?: Record<string, unknown>) => Promise<Response>;
}

async function withDrain(options: FakeOptions, body: (server: Draining) => Promise<void>) {
  const engine = new FakeEngine(options);
  const drain = new Drain();
  const reported: unknown[] = [];
  const app = createApp(engine, {
    drain,
    onError: (error) => reported.push(error),
  });
  const server = await listen(app.fetch, { hostname: "127.0.0.1", port: 0 });
  const ask = (path: string, body?: Record<string, unknown>) =>
    fetch(
      `http://127.0.0.1:${server.port}${path}`,
      body && { ...chatInit({}), body: JSON.stringify(body) },
    );
  try {
    const { port, stop } = server;
    await body({ drain, engine, reported, port, stop, ask });
  } finally {
    server.cut();
    await server.stop();
  }
}

const messages = [{ role: "user", content: "Say hello." }];
const CHAT = "/v1/chat/completions";

async function statusOf(response: Promise<Response>): Promise<number> {
  const { status, body } = await response;
  await body?.cancel();
  return status;
}

Deno.test("a server that leaves says so, works on, and closes connections behind answers", async () => {
  await withDrain({}, async ({ drain, ask }) => {
    assertEquals(await (await ask("/ready")).json(), { status: "ok" });
    drain.leave();
    const ready = await ask("/ready");
    assertEquals([ready.status, await ready.json()], [503, { status: "leaving" }]);
    assertEquals(await statusOf(ask("/health")), 200);
    const answer = await ask(CHAT, { messages });
    await answer.text();
    assertEquals([answer.status, answer.headers.get("connection")], [200, "close"]);
    assertEquals(drain.work, 0);
  });
});

Deno.test("answers under way end whole, new ones are refused, and how it is can be asked", async () => {
  const answers = Promise.withResolvers<void>();
  await withDrain({ mayStep: answers.promise }, async ({ drain, ask, engine, port }) => {
    const streams = await Promise.all(
      [1, 2, 3].map(() => ask(CHAT, { messages, stream: true, max_tokens: 24 })),
    );
    const whole = ask(CHAT, { messages, max_tokens: 24 });
    await until(() => engine.running === 4);
    let isDone = false;
    const done = drain.refuse().then(() => isDone = true);
    const refused = await ask(CHAT, { messages });
    assertEquals([refused.status, refused.headers.get("connection")], [503, "close"]);
    assertEquals((await refused.json()).error.code, "shutting_down");
    const anthropic = await ask("/v1/messages", { model: "m", max_tokens: 8, messages });
    assertEquals((await anthropic.json()).error.type, "overloaded_error");
    assertEquals(await statusOf(ask("/health")), 200);
    assertEquals(await statusOf(ask("/metrics")), 200);
    // A client that kept its connection is refused on it, and the connection ends.
    using kept = await Deno.connect({ hostname: "127.0.0.1", port });
    const body = JSON.stringify({ messages });
    await kept.write(
      new TextEncoder().encode(
        `POST ${CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${body.length}\r\n\r\n${body}`,
      ),
    );
    assertMatch(await new Response(kept.readable).text(), /^HTTP\/1\.1 503 [^]*shutting_down/);
    assertEquals([drain.work, isDone], [4, false]);
    answers.resolve();
    for (const stream of streams) assertMatch(await stream.text(), /data: \[DONE\]\n\n$/);
    assertEquals((await (await whole).json()).choices[0].finish_reason, "length");
    await done;
    assertEquals(engine.requests.length, 4);
  });
});

Deno.test("answers that take too long end with an error that says why, in each API's shape", async () => {
  await withDrain({ stepDelay: 200 }, async ({ drain, ask, engine, reported, stop }) => {
    const chat = { model: "m", max_tokens: 64, messages, stream: true };
    const bodies = {
      [CHAT]: chat,
      "/v1/messages": chat,
      "/v1/responses": { model: "m", input: "a", stream: true },
      "/api/chat": chat,
      "/v1/infill": { text: "a ___", stream: true },
    };
    const paths = Object.keys(bodies);
    const streams = await Promise.all(
      Object.entries(bodies).map(([path, body]) => ask(path, body)),
    );
    assertEquals(streams.map(({ status }) => status), paths.map(() => 200));
    await until(() => engine.running === streams.length);
    const done = drain.refuse();
    drain.end();
    await done;
    const texts = await Promise.all(streams.map((stream) => stream.text()));
    texts.forEach((text, i) => {
      assertMatch(text, /shutting down, and the answer was not done/, `${paths[i]}: ${text}`);
      assert(!text.includes("[DONE]"), paths[i]);
    });
    await until(() => engine.running === 0);
    assertEquals(engine.aborted, streams.length);
    assertEquals(reported.length > 0, true);
    // None begins any more, whatever asks for it.
    assertEquals(await statusOf(ask(CHAT, { messages })), 503);
    await stop();
  });
});

Deno.test("an answer that is not begun gets the error as its status", async () => {
  const slow = { startDelay: 10_000 };
  await withDrain(slow, async ({ drain, ask, engine }) => {
    const response = ask(CHAT, { messages, stream: true });
    await until(() => engine.running === 1);
    drain.end();
    const { status, headers } = await response;
    assertEquals([status, headers.get("connection")], [503, "close"]);
  });
});
