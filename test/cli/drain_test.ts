/** How a server process ends: real signals, with answers under way. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { knownAnswer, Running, taskCommand } from "./command.ts";

const { prompt } = knownAnswer("2026-006");
const CHAT = "/v1/chat/completions";
const messages = [{ role: "user", content: prompt }];
/** Decided in no order, in one block: it cannot end early. */
const LONG = { block_length: 448, max_tokens: 448, remasking: "random", stream: true };

/** Starts a server on a free port; over when it is ready. */
async function serve(args: readonly string[], task = "unmask") {
  const words = task === "unmask" ? ["serve"] : [];
  const server = new Running(taskCommand(task, [...words, "--port", "0", ...args]));
  const [, url] = await server.stdout.match(/^Listening on (http:\S+)$/m);
  await server.stdout.match(/^Model tiny-target is ready on /m);
  const ask = (path: string, body?: Record<string, unknown>) =>
    fetch(url + path, body && { method: "POST", headers: HEADERS, body: JSON.stringify(body) });
  const status = async (path: string, body?: Record<string, unknown>) => {
    const response = await ask(path, body);
    await response.body?.cancel();
    return response.status;
  };
  return { server, ask, status };
}

const HEADERS = { "Content-Type": "application/json" };

Deno.test("SIGTERM: not ready at once, then no new work, and what runs ends whole", async () => {
  const { server, ask, status } = await serve(["--drain-delay", "2"]);
  await using running = server;
  // For so long, on whatever machine.
  const stream = await ask(CHAT, { messages, ...LONG, n: 3, deadline_ms: 8000 });
  assertEquals(await status("/ready"), 200);
  running.kill("SIGTERM");
  // The process may take a moment to be told.
  while (await status("/ready") !== 503);
  assertEquals(await status("/health"), 200);
  const text = stream.text();
  const late = await ask(CHAT, { messages, max_tokens: 1 });
  assertEquals([late.status, late.headers.get("connection")], [200, "close"]);
  assertEquals((await late.json()).usage.completion_tokens, 1);
  let refused = await ask(CHAT, { messages, max_tokens: 1 });
  while (refused.status === 200) {
    await refused.text();
    refused = await ask(CHAT, { messages, max_tokens: 1 });
  }
  assertEquals([refused.status, (await refused.json()).error.code], [503, "shutting_down"]);
  assertEquals([await status("/ready"), await status("/health")], [503, 200]);
  assertMatch(await text, /data: \[DONE\]\n\n$/);
  assertEquals(await running.end(), 0);
  await assertRejects(() => status("/health"));
  assert(!running.stderr.text.includes("unmask:"), running.stderr.text);
});

Deno.test("SIGINT: what is not over within --drain-seconds says so, and the exit code is 0", async () => {
  const { server, ask } = await serve(["--drain-seconds", "1"], "serve");
  await using running = server;
  const chat = { model: "m", messages, ...LONG };
  const streams = await Promise.all(
    [CHAT, "/v1/messages", "/api/chat", CHAT].map((path) => ask(path, chat)),
  );
  const whole = ask(CHAT, { ...chat, stream: false }).then((response) => response.text());
  const begun = performance.now();
  running.kill("SIGINT");
  for (const text of await Promise.all(streams.map((stream) => stream.text()))) {
    assertMatch(text, /shutting down, and the answer was not done/);
  }
  // Its status was sent already if it took longer to begin; then it breaks off.
  assertMatch(await whole.catch(() => "shutting_down"), /shutting_down/);
  assertEquals(await running.end(), 0);
  const seconds = (performance.now() - begun) / 1000;
  assert(seconds > 0.9, `${seconds} s`);
});

Deno.test("a second signal ends the process at once", async () => {
  const { server, ask, status } = await serve([]);
  await using running = server;
  // So much that it surely is under way when the second signal comes.
  const stream = await ask(CHAT, { messages, ...LONG, n: 8 });
  running.kill("SIGTERM");
  while (await status("/ready") !== 503);
  // Two within a second are one press of Ctrl-C that came twice.
  await new Promise((resolve) => setTimeout(resolve, 1100));
  running.kill("SIGTERM");
  assertEquals(await running.end(), 143);
  await stream.text().catch(() => {});
});
