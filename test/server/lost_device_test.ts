/** The real server loses its device: the client is told, the model is loaded again, the next is answered. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import OpenAI, { APIError } from "openai";
import { failingUnmask, knownAnswer } from "../cli/command.ts";

const { prompt, answer } = knownAnswer("2026-006");
const messages = [{ role: "user" as const, content: prompt }];
/** Decided in no order, in one block: it cannot end early. */
const LONG = { max_tokens: 448, block_length: 448, remasking: "random" };

function ask(url: string, more: Record<string, unknown> = {}): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ messages, ...more }),
  });
}

/** Milliseconds that a busy machine may take to load. */
const PATIENCE = 120_000;

/** Until `GET /health` has this status. @returns its last body */
async function healthOf(url: string, status: number): Promise<Record<string, string>> {
  for (const deadline = performance.now() + PATIENCE; performance.now() < deadline;) {
    const response = await fetch(`${url}/health`);
    const body = await response.json();
    if (response.status === status) return body;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error(`/health did not become ${status}`);
}

/** A server on a port of its own, that is ready to answer, and its URL. */
async function start() {
  await using started = new AsyncDisposableStack();
  const server = started.use(failingUnmask(["serve", "--port", "0"]));
  const [, url] = await server.stdout.match(/^Listening on (http:\S+)$/m);
  await server.stdout.match(/Ctrl-C stops/);
  const running = started.move();
  return { server, url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

/** What a server answers whose device is gone and whose four tries to get another one failed. */
async function isLostForGood({ server, url }: Awaited<ReturnType<typeof start>>): Promise<void> {
  await server.stderr.match(/^unmask: .* could not be acquired again in 4 tries/m);
  const reason =
    /^the GPU device failed \(.*lost \(destroyed\).*\) .* in 4 tries\. .* start again\. The last try: No GPU adapter/;

  const health = await fetch(`${url}/health`);
  assertEquals([health.status, health.headers.get("retry-after")], [503, null]);
  const { status, reason: told } = await health.json();
  assertEquals(status, "failed");
  assertMatch(told, reason);

  for (const stream of [false, true]) {
    const response = await ask(url, { stream });
    assertEquals(response.status, 503);
    assertEquals(response.headers.get("content-type"), "application/json");
    assertEquals(response.headers.get("x-should-retry"), "false");
    assertEquals(response.headers.get("retry-after"), null);
    const { error } = await response.json();
    assertEquals([error.type, error.code, error.param], ["server_error", "model_failed", null]);
    assertStringIncludes(error.message, told);
  }
  const { length } = server.stdout.text;
  const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
  const error = await assertRejects(
    () => client.chat.completions.create({ model: "tiny-target", messages: [...messages] }),
    APIError,
  );
  assertEquals([error.status, error.code], [503, "model_failed"]);
  await server.stdout.match(/completions 503 .*\n/, length);

  server.kill("SIGINT");
  assertEquals(await server.end(), 0);
  // Nothing was tried again, by the client or by the server.
  assertEquals(server.stdout.text.slice(length).match(/completions/g)?.length, 1);
  assertEquals(server.stderr.text.match(/^unmask: .*tries/gm)?.length, 1);
}

Deno.test("a server whose device is lost answers with an error, loads again and goes on", async (t) => {
  await using started = await start();
  const { server, url } = started;
  // It waits between its tries, while this test goes on.
  await using unplugged = await start();
  unplugged.server.kill("SIGHUP");

  await t.step("while it streams", async () => {
    const response = await ask(url, { ...LONG, stream: true });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = (await reader.read()).value ?? "";
    await server.stderr.match(/^answering\n/m);
    server.kill("SIGUSR2");
    const unhealthy = await healthOf(url, 503);
    assertEquals(unhealthy.status, "loading");
    assertStringIncludes(unhealthy.reason, "loaded again");
    for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value;
    const error = JSON.parse(text.trim().split("\n\n").at(-1)!.replace(/^data: /, "")).error;
    assertEquals([error.type, error.code], ["server_error", "device_lost"]);
    assert(!text.includes("[DONE]"));
    server.kill("SIGCONT");
    await healthOf(url, 200);
    const next = await ask(url);
    assertEquals((await next.json()).choices[0].message.content, answer);
  });

  await t.step("while one whole answer is made and another waits", async () => {
    const { length } = server.stderr.text;
    // Within five seconds the response has no status yet.
    const asked = [ask(url, LONG), ask(url, LONG)];
    await server.stderr.match(/(answering\n){2}/, length);
    server.kill("SIGUSR2");
    for (const response of await Promise.all(asked)) {
      const { error } = await response.json();
      assertEquals([response.status, error.code], [503, "device_lost"]);
      assert(Number(response.headers.get("retry-after")) > 0);
    }
    server.kill("SIGCONT");
    await healthOf(url, 200);
    assertEquals((await (await ask(url)).json()).choices[0].message.content, answer);
  });

  await t.step("while nobody asks", async () => {
    server.kill("SIGUSR2");
    await healthOf(url, 503);
    const refused = await ask(url);
    assertEquals([refused.status, (await refused.json()).error.code], [503, "model_loading"]);
    server.kill("SIGCONT");
    await healthOf(url, 200);
    assertEquals((await (await ask(url)).json()).choices[0].message.content, answer);
  });

  await server.stdout.match(/(Model tiny-target is ready again\.\n[^]*){3}/);
  assertMatch(
    server.stderr.text,
    /^unmask: the GPU device failed and the model is loaded again: /m,
  );
  assertMatch(server.stderr.text, /^unmask: a request failed: the device was lost/m);
  assert(!server.stderr.text.includes(prompt));
  server.kill("SIGINT");
  assertEquals(await server.end(), 0);

  await t.step("one that gets no device again says so for good", () => isLostForGood(unplugged));
});
