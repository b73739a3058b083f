/** A server in a process of its own, started with the README's task. */
import { fileURLToPath } from "node:url";
import { OWN_CACHE } from "../cli/own_cache.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const LISTENING = /Listening on (http:\/\/\S+)/;
/** Milliseconds that a server may take to load: the first start type-checks and compiles. */
const PATIENCE = 120_000;

/** A server that runs. */
export interface TaskServer {
  /** Without a path. */
  readonly url: string;
  /** What it has printed so far, both streams. */
  output(): string;
  /** Asks it to end, as Ctrl-C does, and waits until it has. @returns its exit code */
  stop(): Promise<number>;
}

/**
 * Runs `deno task serve --port 0` and waits until it is healthy.
 * @throws {Error} with its output, when it ends or does not get there in time
 */
export async function startServer(...flags: string[]): Promise<TaskServer> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "serve", "--port", "0", ...flags],
    cwd: ROOT,
    env: { NO_COLOR: "1", ...OWN_CACHE },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let output = "";
  const collect = async (stream: ReadableStream<Uint8Array>) => {
    const decoder = new TextDecoder();
    for await (const chunk of stream) output += decoder.decode(chunk, { stream: true });
  };
  const collected = Promise.all([collect(child.stdout), collect(child.stderr)]);
  let ended = false;
  const status = child.status.finally(() => ended = true);
  const stop = async () => {
    if (!ended) child.kill("SIGINT");
    const { code } = await status;
    await collected;
    return code;
  };
  const deadline = performance.now() + PATIENCE;
  for (;;) {
    const url = LISTENING.exec(output)?.[1];
    if (url && await isHealthy(url)) return { url, output: () => output, stop };
    if (ended || performance.now() > deadline) {
      await stop();
      throw new Error(`the server did not get ready:\n${output}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`);
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}
