/** What only a raw connection can do to the server. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { until, withServer } from "./fake_server.ts";

const encoder = new TextEncoder();

async function connect(port: number): Promise<Deno.TcpConn> {
  return await Deno.connect({ hostname: "127.0.0.1", port });
}

function head(more: string): Uint8Array {
  return encoder.encode(
    "POST /v1/chat/completions HTTP/1.1\r\nAuthorization: Bearer local-key\r\n" +
      `Content-Type: application/json\r\n${more}\r\n\r\n`,
  );
}

const BODY = '{"stream": true, "messages": [{"role": "user", "content": "hi"}]}';
const POST = head(`Host: localhost\r\nContent-Length: ${BODY.length}`);

async function readUntil(connection: Deno.TcpConn, part: string): Promise<string> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(4096);
  let text = "";
  while (!text.includes(part)) {
    const count = await connection.read(buffer);
    assert(count !== null, `the connection closed before ${JSON.stringify(part)}: ${text}`);
    text += decoder.decode(buffer.subarray(0, count), { stream: true });
  }
  return text;
}

Deno.test("a name that was rebound to loopback is refused", async () => {
  await withServer({}, async ({ port, engine }) => {
    using connection = await connect(port);
    await connection.write(head(`Host: evil.example:${port}\r\nContent-Length: ${BODY.length}`));
    await connection.write(encoder.encode(BODY));
    assertMatch(await readUntil(connection, "}}"), /^HTTP\/1\.1 403 [^]*host_not_allowed/);
    assertEquals(engine.requests, []);
  });
});

Deno.test("a chunked body without a length is counted as it comes", async () => {
  await withServer({}, async ({ port }) => {
    using connection = await connect(port);
    await connection.write(head("Host: localhost\r\nTransfer-Encoding: chunked"));
    const chunk = encoder.encode(`10000\r\n${" ".repeat(2 ** 16)}\r\n`);
    for (let i = 0; i < 17; i++) {
      for (let sent = 0; sent < chunk.length;) sent += await connection.write(chunk.subarray(sent));
    }
    await connection.write(encoder.encode("0\r\n\r\n"));
    assertMatch(await readUntil(connection, "}}"), /^HTTP\/1\.1 413 /);
  });
});

Deno.test("a body that breaks off costs nothing and is no failure of the server's", async () => {
  await withServer({}, async ({ port, engine, reported }) => {
    for (let i = 0; i < 3; i++) {
      using connection = await connect(port);
      await connection.write(head("Host: localhost\r\nContent-Length: 1000"));
      await connection.write(encoder.encode('{"messages": ['));
    }
    using connection = await connect(port);
    await connection.write(POST);
    await connection.write(encoder.encode(BODY));
    assertMatch(await readUntil(connection, "[DONE]"), /^HTTP\/1\.1 200 /);
    assertEquals([engine.requests.length, reported], [1, []]);
  });
});

Deno.test("a connection that closes in mid-stream stops the engine", async () => {
  await withServer({ stepDelay: 20 }, async ({ port, engine, reported }) => {
    const connection = await connect(port);
    await connection.write(POST);
    await connection.write(encoder.encode(BODY));
    await readUntil(connection, '"assistant"');
    assertEquals(engine.running, 1);
    connection.close();
    await until(() => engine.running === 0);
    assertEquals([engine.aborted, reported], [1, []]);
  });
});

for (const pause of [0, 20]) {
  Deno.test(`a connection that closes on a whole answer stops the engine (${pause} ms)`, async () => {
    await withServer({ stepDelay: 50 }, async ({ port, engine, reported }) => {
      const body = BODY.replace('"stream": true, ', "");
      const connection = await connect(port);
      await connection.write(head(`Host: localhost\r\nContent-Length: ${body.length}`));
      if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
      await connection.write(encoder.encode(body));
      await until(() => engine.running === 1);
      connection.close();
      await until(() => engine.running === 0);
      assertEquals([engine.aborted, reported], [1, []]);
    });
  });
}

Deno.test("a client that never reads does not hold the engine", async () => {
  // The answer with its events is longer than what the sockets of both sides hold by themselves.
  const model = { contextLength: 60_000 };
  await withServer({ answer: "x".repeat(50_000), model }, async ({ port, engine }) => {
    const body = JSON.stringify({
      ...JSON.parse(BODY),
      stream_events: true,
      max_tokens: 50_000,
      steps: 50_000,
      block_length: 50,
    });
    using connection = await connect(port);
    await connection.write(head(`Host: localhost\r\nContent-Length: ${body.length}`));
    await connection.write(encoder.encode(body));
    await until(() => engine.requests.length === 1 && engine.running === 0);
    assertEquals(engine.aborted, 0);
  });
});
