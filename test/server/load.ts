/**
 * Everything that clients do to a server, at once: many that stream, some that hang up, connections
 * that say nothing, conversations that are always refused, and a log that cannot be written.
 *
 * `deno run -A test/server/load.ts 60` does so for 60 s and prints what came of it.
 */
import { fileURLToPath } from "node:url";
import { OWN_CACHE } from "../cli/own_cache.ts";
import { parseEvents } from "./sse.ts";

/** How much of each. */
export interface Load {
  readonly seconds: number;
  /** Clients that stream one answer after another. */
  readonly streams: number;
  /** Requests whose client hangs up before the answer is there, all together. */
  readonly aborts: number;
  /** Connections that send nothing; one that is closed is replaced. */
  readonly idle: number;
  /** Clients that send one conversation after another that is much too long. */
  readonly starving: number;
}

/** What the tester asked of the project. */
export const FULL: Load = { seconds: 60, streams: 64, aborts: 200, idle: 300, starving: 16 };

/** What came of it. */
export interface Outcome {
  /** Streamed answers that were the same as without load. */
  readonly right: number;
  /** What the others were. */
  readonly wrong: readonly string[];
  readonly aborted: number;
  readonly idleOpened: number;
  /** Refused conversations, by status. */
  readonly refused: Readonly<Record<string, number>>;
  /** Milliseconds until `/health` answered, sorted. */
  readonly health: readonly number[];
  /** Megabytes of the server before, and the samples of each second. */
  readonly memory: readonly number[];
  readonly exitCode: number;
}

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const PROMPTS: readonly string[] = [
  "What is 7 times 8?",
  "What is 3 plus 4?",
  "What is 9 times 6?",
  "What is 12 plus 30?",
  "What is 8 minus 5?",
  "What is 5 times 5?",
];
const TOO_LONG = JSON.stringify({ messages: [{ role: "user", content: "a b ".repeat(244_000) }] });

export const sleep = (milliseconds: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, milliseconds));

function bodyOf(prompt: string): string {
  const messages = [{ role: "user", content: prompt }];
  return JSON.stringify({ messages, stream: true, strategy: "threshold", max_tokens: 32, seed: 1 });
}

/** Starts a server whose two streams end on a full disk. */
export async function start(port: number, maxWaiting = 400): Promise<Deno.ChildProcess> {
  const command = `exec "$DENO" task -q unmask serve --port ${port} ` +
    `--max-waiting ${maxWaiting} > /dev/full 2> /dev/full`;
  const server = new Deno.Command("sh", {
    args: ["-c", command],
    cwd: ROOT,
    env: { NO_COLOR: "1", DENO: Deno.execPath(), INIT_CWD: ROOT, ...OWN_CACHE },
    stdin: "null",
  }).spawn();
  for (let tries = 0; tries < 600; tries++) {
    const response = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.ok) return server;
    await sleep(100);
  }
  server.kill("SIGKILL");
  throw new Error("the server did not get ready in 60 s");
}

export function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Resident megabytes of the process that serves: the one below the task's. */
export async function memoryOf(port: number): Promise<number> {
  const { stdout } = await new Deno.Command("ps", { args: ["-A", "-o", "rss=,args="] }).output();
  const lines = new TextDecoder().decode(stdout).split("\n");
  const line = lines.find((one) => one.includes("main.ts") && one.includes(`--port ${port}`));
  return Number(line?.trim().split(" ")[0]) / 1024;
}

async function answer(url: string, prompt: string): Promise<string> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: bodyOf(prompt),
  });
  const text = await response.text();
  if (!response.ok) return `status ${response.status}: ${text.slice(0, 200)}`;
  const events = parseEvents(text);
  if (events.at(-1)?.data !== "[DONE]") return `cut: ${text.slice(-200)}`;
  return events.slice(0, -1).map(({ data }) => JSON.parse(data).choices[0]?.delta?.content ?? "")
    .join("");
}

/** Loads a server that it starts, and tells it to end. */
export async function runLoad(load: Load, onReady?: (url: string) => void): Promise<Outcome> {
  const port = freePort();
  const url = `http://127.0.0.1:${port}`;
  const server = await start(port);
  onReady?.(url);
  const expected = new Map<string, string>();
  for (const prompt of PROMPTS) expected.set(prompt, await answer(url, prompt));

  const end = performance.now() + 1000 * load.seconds;
  const isOver = () => performance.now() > end;
  const wrong: string[] = [];
  const refused: Record<string, number> = {};
  const health: number[] = [];
  const memory = [await memoryOf(port)];
  let right = 0;
  let aborted = 0;
  let idleOpened = 0;

  async function stream(client: number): Promise<void> {
    for (let i = client; !isOver(); i++) {
      const prompt = PROMPTS[i % PROMPTS.length];
      const text = await answer(url, prompt).catch((error) => String(error));
      if (text === expected.get(prompt)) right++;
      else wrong.push(text);
    }
  }
  async function hangUp(i: number): Promise<void> {
    await sleep(i / load.aborts * 1000 * load.seconds);
    const signal = AbortSignal.timeout(20 + i * 37 % 400);
    await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: bodyOf(PROMPTS[i % PROMPTS.length]),
      signal,
    }).then((response) => response.text()).catch(() => aborted++);
  }
  async function sayNothing(): Promise<void> {
    while (!isOver()) {
      const connection = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
      if (connection === undefined) {
        await sleep(200);
        continue;
      }
      idleOpened++;
      const closed = connection.read(new Uint8Array(64)).catch(() => null);
      while (!isOver()) {
        if (await Promise.race([closed.then(() => true), sleep(500)])) break;
      }
      connection.close();
      await closed;
    }
  }
  async function starve(): Promise<void> {
    while (!isOver()) {
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: TOO_LONG,
      }).catch((error) => `${error} ${error.cause}`.replace(/[0-9.:]+/g, "N").slice(-70));
      if (typeof response !== "string") await response.body?.cancel();
      const status = typeof response === "string" ? response : response.status;
      refused[status] = (refused[status] ?? 0) + 1;
    }
  }
  async function look(): Promise<void> {
    const worker = new Worker(new URL("health_watch.ts", import.meta.url), { type: "module" });
    const told = new Promise<MessageEvent>((resolve) => worker.onmessage = resolve);
    worker.postMessage({ url, seconds: load.seconds });
    const { data } = await told;
    worker.terminate();
    health.push(...data.milliseconds);
    wrong.push(...data.wrong);
  }
  async function weigh(): Promise<void> {
    while (!isOver()) {
      await sleep(1000);
      memory.push(await memoryOf(port));
    }
  }
  const times = (count: number, body: (i: number) => Promise<void>) =>
    Array.from({ length: count }, (_, i) => body(i));
  await Promise.all([
    ...times(load.streams, stream),
    ...times(load.aborts, hangUp),
    ...times(load.idle, sayNothing),
    ...times(load.starving, starve),
    look(),
    weigh(),
  ]);
  server.kill("SIGTERM");
  const { code: exitCode } = await server.status;
  health.sort((a, b) => a - b);
  return { right, wrong, aborted, idleOpened, refused, health, memory, exitCode };
}

/** A line for each thing that came of it. */
export function describe(outcome: Outcome): string {
  const { right, wrong, aborted, idleOpened, refused, health, memory, exitCode } = outcome;
  const at = (share: number) => health[Math.floor(share * (health.length - 1))]?.toFixed(1);
  return [
    `answers: ${right} right, ${wrong.length} not ${JSON.stringify(wrong.slice(0, 3))}`,
    `hung up: ${aborted}; silent connections: ${idleOpened}; refused: ${JSON.stringify(refused)}`,
    `health: ${health.length} times, ${at(0.5)} ms median, ${at(0.95)} ms p95, ${at(1)} ms at most`,
    `memory: ${memory.map((megabytes) => megabytes.toFixed(0)).join(" ")} MB`,
    `exit code: ${exitCode}`,
  ].join("\n");
}

if (import.meta.main) {
  const seconds = Number(Deno.args[0] ?? FULL.seconds);
  console.log(describe(await runLoad({ ...FULL, seconds })));
}
