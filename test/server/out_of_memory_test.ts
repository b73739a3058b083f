/** The real server runs out of GPU memory: that answer ends with an error, the others do not notice. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import OpenAI, { APIError } from "openai";
import { failingUnmask, knownAnswer } from "../cli/command.ts";
import { parseEvents } from "./sse.ts";

const { prompt, answer } = knownAnswer("2026-006");
const messages = [{ role: "user" as const, content: prompt }];
/** Needs larger buffers than the known answer. */
const LARGE = { max_tokens: 256, block_length: 256, steps: 2 };

function checkError({ type, code, param, message }: Record<string, string | null>): void {
  assertEquals([type, code, param], ["server_error", "out_of_memory", null]);
  assertMatch(message!, /too little memory for this request/);
}

Deno.test("a server that runs out of GPU memory says so, and goes on answering", async (t) => {
  // Where requests share passes, some are timed after loading, for which all memory is there.
  await using server = failingUnmask(["serve", "--port", "0", "--max-running", "1"]);
  const [, url] = await server.stdout.match(/^Listening on (http:\S+)$/m);
  await server.stdout.match(/Ctrl-C stops/);
  const ask = (more: Record<string, unknown> = {}) =>
    fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      // By auto's choice the next answer might need more than this one had.
      body: JSON.stringify({ messages, strategy: "plain", ...more }),
    });
  const text = async () => (await (await ask()).json()).choices[0].message.content;
  assertEquals(await text(), answer);
  server.kill("SIGUSR1");
  await server.stderr.match(/^starving\n/m);

  await t.step("a whole answer for which there is none", async () => {
    const response = await ask(LARGE);
    assertEquals(response.status, 503);
    assertEquals(response.headers.get("content-type"), "application/json");
    assertEquals(response.headers.get("x-should-retry"), "false");
    assertEquals(response.headers.get("retry-after"), null);
    checkError((await response.json()).error);
    assertEquals(await text(), answer, "a request that fits is answered");
  });

  await t.step("a stream for which there is none has begun, and ends with the error", async () => {
    const response = await ask({ ...LARGE, stream: true });
    assertEquals(response.status, 200);
    assertMatch(response.headers.get("content-type")!, /^text\/event-stream\b/);
    const stream = await response.text();
    assert(!stream.includes("[DONE]"), stream);
    checkError(JSON.parse(parseEvents(stream).at(-1)!.data).error);
    assertEquals(await text(), answer, "a request that fits is answered");
  });

  await t.step("OpenAI's client tells it, and does not ask again", async () => {
    const from = server.stderr.text.length;
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
    const error = await assertRejects(
      () => client.chat.completions.create({ model: "tiny-target", messages, ...LARGE }),
      APIError,
    );
    assertEquals([error.status, error.code], [503, "out_of_memory"]);
    assertEquals(server.stderr.text.slice(from).match(/^answering$/gm)?.length, 1);
  });

  await t.step("it stays healthy, and with memory again it answers", async () => {
    const health = await fetch(`${url}/health`);
    assertEquals([health.status, (await health.json()).status], [200, "ok"]);
    server.kill("SIGUSR1");
    await server.stderr.match(/^fed\n/m);
    const response = await ask(LARGE);
    assertEquals(response.status, 200);
    await response.body?.cancel();
    assertEquals(await text(), answer);
  });

  assertMatch(server.stderr.text, /^unmask: a request failed: .*out of memory/m);
  server.kill("SIGINT");
  assertEquals(await server.end(), 0);
});
