/** `deno task serve` as a child process: the real client, real answers, and how it starts and ends. */

import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { fileURLToPath } from "node:url";
import { keyDigest } from "../../src/server/api_keys.ts";
import { answersWhole, CLIENT_CASES, type ClientTarget } from "../server/client_cases.ts";
import { MALFORMED } from "../server/malformed.ts";
import { OWN_CACHE } from "./own_cache.ts";
import {
  failingUnmask,
  inTerminal,
  knownAnswer,
  Running,
  runTask,
  taskCommand,
  terminalLeft,
} from "./command.ts";

/** A port that nobody listens on just now. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));
const KEY = "a-key-for-the-tests";
const { prompt, answer } = knownAnswer("2026-006");

/** Starts a server on a free port. */
async function serve(args: readonly string[] = [], env: Readonly<Record<string, string>> = {}) {
  const server = new Running(taskCommand("serve", ["--port", "0", ...args], { env }));
  const [, url] = await server.stdout.match(/^Listening on (http:\S+)$/m);
  return { server, url };
}

function ask(url: string, more: Record<string, unknown> = {}, key = KEY): Promise<Response> {
  return fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` },
    body: JSON.stringify({ messages: [{ role: "user", content: prompt }], ...more }),
  });
}

Deno.test("a server that is started as users start it holds up to the real client", async (t) => {
  const { server, url } = await serve([], { UNMASK_API_KEYS: `another, ${KEY}` });
  await using running = server;
  const [ready] = await running.stdout.match(/^Model tiny-target is ready on .+[^]*Ctrl-C stops/m);
  assertStringIncludes(ready, `curl ${url}/v1/chat/completions`);
  assertStringIncludes(ready, "-H 'Authorization: Bearer YOUR_KEY'");
  const target: ClientTarget = {
    baseURL: `${url}/v1`,
    model: "tiny-target",
    messages: [{ role: "user", content: prompt }],
    maxTokens: 16,
    blockLength: 8,
    apiKey: KEY,
  };
  await t.step(
    "the recorded answer, with the folder's settings",
    () => answersWhole({ ...target, maxTokens: 64, blockLength: 32, text: answer }),
  );
  for (const [name, run] of CLIENT_CASES) {
    assert(await t.step(`openai client: ${name}`, () => run(target)));
  }

  await t.step("malformed requests are refused, and the next good one is answered", async () => {
    const headers = { Authorization: `Bearer ${KEY}` };
    for (const { name, path = "/v1/chat/completions", init, status } of MALFORMED) {
      const refused = await fetch(new URL(path, url), {
        ...init,
        headers: { ...init.headers, ...headers },
      });
      assertEquals(refused.status, status, name);
      await refused.body?.cancel();
      const good = await ask(url, { max_tokens: 1 });
      assertEquals((await good.json()).usage.completion_tokens, 1, name);
    }
  });

  await t.step("only with a key, and only under its own name", async () => {
    const refused = await ask(url, {}, "wrong");
    assertEquals([refused.status, (await refused.json()).error.code], [401, "invalid_api_key"]);
    const { port } = new URL(url);
    using connection = await Deno.connect({ hostname: "127.0.0.1", port: Number(port) });
    await connection.write(new TextEncoder().encode(
      `GET /health HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n`,
    ));
    assertMatch(await new Response(connection.readable).text(), /^HTTP\/1\.1 403 /);
  });

  await t.step("SIGTERM lets an answer under way end, then the server", async () => {
    const response = await ask(url, { stream: true });
    running.kill("SIGTERM");
    const text = await response.text();
    assert(!text.includes('"error"') && text.includes("data: [DONE]"), text);
    assertEquals(await running.end(), 0);
    await assertRejects(() => ask(url));
    assertMatch(running.stdout.text, /^\d+ answers \(\d+ auto/m);
  });

  const log = running.stdout.text;
  assertMatch(
    log,
    /^\d{4}-\d\d-\d\dT[\d:.]+Z POST \/v1\/chat\/completions 200 [\d.]+ ms, \d+ \+ \d+ tokens$/m,
  );
  for (const secret of [prompt, answer, KEY]) {
    assert(!log.includes(secret) && !running.stderr.text.includes(secret), secret);
  }
  assert(!running.stderr.text.includes("unmask:"), running.stderr.text);
});

Deno.test("a log that cannot be written changes no answer", async () => {
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const task = `"${Deno.execPath()}" task --config "${CONFIG}" serve --port ${port}`;
  const command = new Deno.Command("bash", {
    args: ["-c", `exec ${task} > /dev/full`],
    env: { NO_COLOR: "1", INIT_CWD: Deno.cwd(), ...OWN_CACHE },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    detached: true,
  });
  await using running = new Running(command);
  await running.stderr.match(/loading tiny-target: 100 %/);
  while (
    !(await fetch(`${url}/health`).then((health) => health.text()).catch(() => "")).includes("ok")
  );
  const expected = await (await ask(url)).json();
  assertEquals(expected.choices[0].message.content, answer);
  running.kill("SIGTERM");
  assertEquals(await running.end(), 0);
});

Deno.test("the server answers 503 while the model loads, and stops even then", async () => {
  const held = { HELD: "until SIGCONT" };
  {
    await using running = failingUnmask(["serve", "--port", "0", "--quiet"], held);
    const [, url] = await running.stdout.match(/^Listening on (http:\S+)$/m);
    for (const path of ["/health", "/v1/models"]) {
      const response = await fetch(url + path);
      assertEquals(response.status, 503, path);
      assert(Number(response.headers.get("retry-after")) > 0);
      await response.body?.cancel();
    }
    running.kill("SIGCONT");
    await running.stdout.match(/^Model .+ is ready on /m);
    const health = await fetch(`${url}/health`);
    assertEquals([health.status, await health.json()], [200, { status: "ok" }]);
    assertMatch(running.stderr.text, /^loading .+: 100 % of 5\.0 MiB$/m);
    assert(!running.stdout.text.includes("GET /health"), "--quiet");
    running.kill("SIGINT");
    assertEquals(await running.end(), 0);
  }
  await using running = failingUnmask(["serve", "--port", "0"], held);
  await running.stdout.match(/^Listening on /m);
  running.kill("SIGINT");
  assertEquals(await running.end(), 0);
});

Deno.test("a server that cannot start says why, and exits with 1", async () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const cases: readonly (readonly [string[], RegExp, Record<string, string>?])[] = [
    [
      ["--port", String(port)],
      new RegExp(`^unmask: cannot listen on 127\\.0\\.0\\.1:${port}: the port is in use\\.`, "m"),
    ],
    [["--port", "0", "--host", "0.0.0.0"], /^unmask: --host 0\.0\.0\.0 lets other machines in/m],
    [["--port", "0", "--host", "192.0.2.1", "--allow-anyone"], /^unmask: cannot listen on 192\.0/m],
    [["--port", "65536"], /--port <n>' argument '65536' is invalid/],
    [["--port", "0", "--api-key", " "], /^unmask: an API key is empty/m],
    [["--port", "0"], /^unmask: an API key is empty/m, { UNMASK_API_KEYS: "one,,two" }],
    [["--port", "0", "--api-keys", "no/file"], /^unmask: --api-keys: no\/file cannot be read/m],
    [
      ["--port", "0", "--api-keys", "test/cli/wrong_keys.txt"],
      /^unmask: --api-keys: test\/cli\/wrong_keys\.txt, line 2: priority is "high": expected a whole/m,
    ],
    [["--port", "0", "--api-keys", "/dev/null"], /^unmask: --api-keys: \/dev\/null holds no key/m],
    [
      ["--port", "0", "--cors", "https://a.example/path"],
      /--cors <origin>' argument .* is invalid/,
    ],
    [["--port", "0", "--name", "two words"], /--name <name>' argument 'two words' is invalid/],
    [["--port", "0", "--model", "no/folder"], /^unmask: no\/folder: there is no such folder here/m],
  ];
  for (const [args, message, env] of cases) {
    const { code, stderr } = await runTask("serve", args, { env });
    assertMatch(stderr, message);
    assertEquals([code, /^\s+at /m.test(stderr)], [1, false], stderr);
  }
});

Deno.test("a server takes keys from a file, a name, a page's origin, and logs JSON", async () => {
  const keys = await Deno.makeTempFile();
  await Deno.writeTextFile(
    keys,
    `# ours\n${keyDigest(KEY)} name=tests requests_per_minute=50\nplain\n`,
  );
  const isUnix = Deno.build.os !== "windows";
  if (isUnix) await Deno.chmod(keys, 0o640);
  const page = { Origin: "https://chat.example" };
  try {
    const { server, url } = await serve([
      ...["--api-keys", keys, "--name", "org/own-name", "--alias", "gpt-4o", "--strict-model"],
      ...["--cors", page.Origin, "--log-format", "json", "--log-messages", "--max-tokens", "2"],
    ]);
    await using running = server;
    await running.stdout.match(
      /^Model org\/own-name is ready on .* answers of at most 2 tokens, unless/m,
    );
    const answer = await ask(url, { model: "gpt-4o", n: 2, store: true });
    assertEquals(answer.headers.get("x-unmask-ignored"), "store");
    assertEquals(answer.headers.get("x-ratelimit-remaining-requests"), "49");
    const { model, choices, usage } = await answer.json();
    assertEquals([model, choices.length, usage.diffusion], ["org/own-name", 2, undefined]);
    assertEquals((await ask(url, { model: "gpt-4" })).status, 404);
    const headers = { ...page, "X-Api-Key": "plain", "X-Request-Id": "from-the-page" };
    const models = await fetch(`${url}/models/`, { headers });
    assertEquals(models.headers.get("access-control-allow-origin"), page.Origin);
    assertEquals((await models.json()).data.length, 2);
    const body = new Blob([JSON.stringify({ messages: [{ role: "user", content: prompt }] })]);
    const compressed = await fetch(`${url}/chat/completions`, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json", "Content-Encoding": "gzip" },
      body: await new Response(body.stream().pipeThrough(new CompressionStream("gzip"))).bytes(),
    });
    assertEquals((await compressed.json()).usage.completion_tokens, 2);
    const health = await fetch(`${url}/health`);
    assertEquals([health.status, await health.json()], [200, { status: "ok" }]);
    running.kill("SIGTERM");
    assertEquals(await running.end(), 0);
    const lines = running.stdout.text.split("\n").filter((line) => line.startsWith('{"time"'));
    const [first, second, third] = lines.map((line) => JSON.parse(line));
    assertEquals(lines.length, 5);
    assertEquals([first.path, first.status, first.ignored], ["/v1/chat/completions", 200, [
      "store",
    ]]);
    assertEquals([first.completion_tokens, second.status], [4, 404]);
    assertEquals(first.messages, [{ role: "user", content: prompt }]);
    assertMatch(running.stderr.text, /^Warning: what clients ask is written into the log/m);
    const readable = /^Warning: other users may read the keys of .* \(its mode is 0640\)/m;
    assertEquals(readable.test(running.stderr.text), isUnix);
    assertEquals([third.id, third.path], ["from-the-page", "/models/"]);
    assertEquals([first.key, third.key], ["tests", undefined]);
  } finally {
    await Deno.remove(keys);
  }
});

Deno.test("a server for other machines asks for a key and warns", async () => {
  const { server, url } = await serve(["--host", "0.0.0.0", "--api-key", "one", "--api-key", KEY]);
  await using running = server;
  const [, local] = await running.stdout.match(/curl (http:\/\/127\.0\.0\.1:\d+)\//);
  assertEquals(new URL(url).port, new URL(local).port);
  assertMatch(running.stderr.text, /^Warning: Everyone with a key who reaches this port/m);
  const statuses = [await ask(local, { max_tokens: 1 }), await ask(local, {}, "other")]
    .map(async (response) => (await response.text(), response.status));
  assertEquals(await Promise.all(statuses), [200, 401]);
});

Deno.test("Ctrl-C on a terminal stops the server cleanly", async () => {
  await using command = inTerminal(["serve", "--port", "0"]);
  await command.stdout.match(/Ctrl-C stops the server/);
  await command.type("\x03");
  await command.end();
  const left = { exitCode: 0, cursorShown: true, linewise: true, wraps: true };
  assertEquals(terminalLeft(command.stdout.text), left);
});
