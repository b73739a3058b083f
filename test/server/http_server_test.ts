/** What connections may take, over real ones. */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { CONNECTION_LIMITS, type ConnectionLimits } from "../../src/server/http_server.ts";
import { skipIf } from "../skip.ts";
import { until, withServer } from "./fake_server.ts";
import { headOf, requestOf } from "./faults/raw_request.ts";
import { NO_RAW_SOCKETS, RawSocket } from "./faults/raw_socket.ts";

const encoder = new TextEncoder();
const HEALTH = "GET /health HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer local-key\r\n\r\n";
/** Short enough for a test. */
const LIMITS: ConnectionLimits = {
  connections: 8,
  backlog: 128,
  headerSeconds: 1,
  requestSeconds: 2,
  keepAliveSeconds: 1,
  stallSeconds: 3,
  requestBytes: 2 ** 20,
};

/** All that a server sends to a connection that writes this and then waits until it is closed. */
async function untilClosed(port: number, sent: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(encoder.encode(sent));
  return await new Response(connection.readable).text();
}

async function isHealthy(port: number): Promise<boolean> {
  return /^HTTP\/1\.1 200 /.test(
    await untilClosed(port, HEALTH.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n")),
  );
}

Deno.test("connections that are idle, half-sent or kept alive are closed", async () => {
  await withServer({}, async ({ port }) => {
    const [idle, header, body, kept] = await Promise.all([
      untilClosed(port, ""),
      untilClosed(port, "GET /health HTTP/1.1\r\nHost: loc"),
      untilClosed(
        port,
        HEALTH.replace("GET /health", "POST /v1/chat/completions").replace(
          "\r\n\r\n",
          "\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{",
        ),
      ),
      untilClosed(port, HEALTH),
    ]);
    assertMatch(idle, /^HTTP\/1\.1 408 |^$/);
    assertMatch(header, /^HTTP\/1\.1 408 /);
    assertMatch(body, /^HTTP\/1\.1 (400|408) /);
    assertMatch(kept, /^HTTP\/1\.1 200 [^]*"status":"ok"/);
  }, LIMITS);
});

Deno.test("connections beyond the most are closed at once, and there is room again afterwards", async () => {
  await withServer({}, async ({ port }) => {
    const idle = await Promise.all(
      Array.from(
        { length: LIMITS.connections },
        () => Deno.connect({ hostname: "127.0.0.1", port }),
      ),
    );
    assertEquals(await untilClosed(port, HEALTH).catch(() => ""), "");
    for (const connection of idle) connection.close();
    while (!await isHealthy(port).catch(() => false));
  }, { ...CONNECTION_LIMITS, connections: LIMITS.connections });
});

Deno.test("hundreds of idle connections leave room for those who ask", async () => {
  await withServer({}, async ({ port }) => {
    const idle = await Promise.all(
      Array.from({ length: 300 }, () => Deno.connect({ hostname: "127.0.0.1", port })),
    );
    assert(await isHealthy(port));
    for (const connection of idle) connection.close();
  });
});

Deno.test("behind too many connections it listens anew, on the same port, and keeps those it has", async () => {
  await withServer({}, async ({ port }) => {
    const kept = await Deno.connect({ hostname: "127.0.0.1", port });
    const many = await Promise.all(
      Array.from({ length: 40 }, () => Deno.connect({ hostname: "127.0.0.1", port })),
    );
    await new Promise((resolve) => setTimeout(resolve, 2500));
    for (const connection of many) connection.close();
    while (!await isHealthy(port).catch(() => false));
    await kept.write(encoder.encode(HEALTH));
    const answer = new Uint8Array(12);
    await kept.read(answer);
    assertEquals(new TextDecoder().decode(answer), "HTTP/1.1 200");
    kept.close();
  }, { ...CONNECTION_LIMITS, connections: LIMITS.connections });
});

Deno.test("a connection is kept for the next request", async () => {
  await withServer({}, async ({ port }) => {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const reader = connection.readable.pipeThrough(new TextDecoderStream()).getReader();
    for (let i = 0; i < 3; i++) {
      await connection.write(encoder.encode(HEALTH));
      let answer = "";
      while (!answer.endsWith("}")) answer += (await reader.read()).value ?? "cut}";
      assertMatch(answer, /^HTTP\/1\.1 200 [^]*"status":"ok"/);
    }
  });
});

const KEY = { Authorization: "Bearer local-key" };
const CHAT = "/v1/chat/completions";

Deno.test({
  ...skipIf(
    NO_RAW_SOCKETS,
    "a client that reads nothing of its answer is cut, and the engine is not held",
  ),
  async fn() {
    const model = { contextLength: 60_000 };
    await withServer({ answer: "x".repeat(20_000), model }, async ({ port, engine }) => {
      const body = JSON.stringify({
        messages: [{ role: "user", content: "hi" }],
        stream: true,
        stream_events: true,
        max_tokens: 20_000,
        steps: 20_000,
        block_length: 50,
      });
      // A system may keep as much as the whole answer for a client that leaves it the choice.
      using connection = await RawSocket.connect(port, 65_536);
      await connection.sendAll(requestOf(CHAT, body, KEY));
      await until(() => engine.requests.length === 1 && engine.running === 0);
      // It is being handed to the system for some seconds more; then nothing goes for too long, and
      // there is room for another.
      const late = performance.now() + 60_000;
      while (!await isHealthy(port).catch(() => false)) {
        assert(performance.now() < late, "it keeps its place");
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
      // What the system had taken comes; then the end, long before the answer's.
      assert(await connection.readToEnd(60_000), "it is still open");
      assert(!connection.text.includes("[DONE]"));
    }, { ...LIMITS, connections: 1 });
  },
});

Deno.test("an answer that takes longer than a client may read nothing is not cut", async () => {
  await withServer({ startDelay: 5000 }, async ({ port }) => {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const body = JSON.stringify({ messages: [{ role: "user", content: "hi" }], stream: true });
    await connection.write(encoder.encode(requestOf(CHAT, body, KEY)));
    const answer = await new Response(connection.readable).text();
    assertMatch(answer, /^HTTP\/1\.1 200 [^]*: ping[^]*\[DONE\]/);
  }, LIMITS);
});

Deno.test({
  ...skipIf(NO_RAW_SOCKETS, "names of chunks and headers behind them that never end are cut"),
  async fn() {
    await withServer({}, async ({ port }) => {
      for (const start of ["1;", "1\r\n1\r\n0\r\n"]) {
        using connection = await RawSocket.connect(port);
        await connection.sendAll(headOf(CHAT, { ...KEY, "Transfer-Encoding": "chunked" }) + start);
        const endless = start.endsWith(";") ? "x".repeat(65_536) : "X-Many: 1\r\n".repeat(5000);
        const end = performance.now() + 60_000;
        while (!connection.ended && performance.now() < end) {
          connection.send(endless);
          connection.read(4096);
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
        assert(connection.ended, "it is still open");
      }
    }, { ...LIMITS, requestSeconds: 60 });
  },
});
