/** A server in a process of its own, whose open files and memory can be counted, and which can be started again. */

import { fileURLToPath } from "node:url";
import { OWN_CACHE } from "../../cli/own_cache.ts";
import { Incoming } from "../../cli/command.ts";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
/** Milliseconds that a busy machine may take to load. */
const PATIENCE = 120_000;

/** What a server is started as. */
export type ServedAs =
  /** By the task, as users start it. */
  | "task"
  /** With a GPU and a Worker that fail when they are told to: test/engine/failing_unmask.ts. */
  | "failing";

/** What the system counts of a process. */
export interface ProcessFigures {
  /** Open files, connections among them. */
  readonly files: number;
  /** Resident mebibytes. */
  readonly memory: number;
}

/** Requests that a server knows of. */
export interface Requests {
  readonly running: number;
  readonly waiting: number;
  /** Pages of keys and values that they hold. */
  readonly pages: number;
}

/** One server; its port stays the same when it is started again. */
export class ServedProcess implements AsyncDisposable {
  readonly port: number;
  readonly #as: ServedAs;
  #child!: Deno.ChildProcess;
  #pid = 0;
  /** Standard error of the process that runs. */
  stderr!: Incoming;

  private constructor(as: ServedAs, port: number) {
    this.#as = as;
    this.port = port;
  }

  /** Starts a server on a free port and waits until it is healthy. */
  static async start(as: ServedAs): Promise<ServedProcess> {
    const server = new ServedProcess(as, freePort());
    await server.restart();
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts it, after it has ended. @returns milliseconds until it was healthy */
  async restart(): Promise<number> {
    const begun = performance.now();
    const serve = ["serve", "--port", `${this.port}`, "--max-waiting", "400", "--quiet"];
    this.#child = new Deno.Command(Deno.execPath(), {
      args: this.#as === "task"
        ? ["task", "-q", "unmask", ...serve]
        : ["run", "-A", "test/engine/failing_unmask.ts", ...serve],
      cwd: ROOT,
      env: { NO_COLOR: "1", INIT_CWD: ROOT, ...OWN_CACHE },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      // A group of its own: what the task started can be ended with it.
      detached: true,
    }).spawn();
    new Incoming(this.#child.stdout);
    this.stderr = new Incoming(this.#child.stderr);
    let ended = false;
    this.#child.status.then(() => ended = true);
    const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    try {
      while (!await isHealthy(this.url, client)) {
        if (ended || performance.now() - begun > PATIENCE) {
          throw new Error(`the server did not get ready: ${this.stderr.text}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    } finally {
      client.close();
    }
    this.#pid = this.#as === "task" ? await childOf(this.#child.pid) : this.#child.pid;
    return performance.now() - begun;
  }

  /** What the system counts of the process that serves. */
  async figures(): Promise<ProcessFigures> {
    const look = `ls /proc/${this.#pid}/fd | wc -l; grep VmRSS /proc/${this.#pid}/status`;
    const { stdout } = await new Deno.Command("sh", { args: ["-c", look] }).output();
    const [files, memory] = new TextDecoder().decode(stdout).match(/\d+/g)!.map(Number);
    return { files, memory: memory / 1024 };
  }

  /** The requests that it answers, and those that wait. */
  async requests(): Promise<Requests> {
    const client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
    try {
      const response = await fetch(`${this.url}/v1/status`, { client });
      const { load, ...more } = await response.json();
      if (!load) throw new Error(`/v1/status: ${response.status} ${JSON.stringify(more)}`);
      return { running: load.running, waiting: load.waiting, pages: load.pages?.used ?? 0 };
    } finally {
      client.close();
    }
  }

  /** Sends a signal: to the task, which passes it on, unless nothing can pass that on. */
  kill(signal: Deno.Signal): void {
    if (signal === "SIGKILL") Deno.kill(this.#pid, signal);
    else this.#child.kill(signal);
  }

  /** Its exit code, once it has ended. */
  async ended(): Promise<number> {
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      Deno.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function isHealthy(url: string, client: Deno.HttpClient): Promise<boolean> {
  try {
    const response = await fetch(`${url}/health`, { client });
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** The process that a task runs. */
async function childOf(pid: number): Promise<number> {
  const { stdout } = await new Deno.Command("ps", { args: ["-A", "-o", "pid=,ppid="] }).output();
  const lines = new TextDecoder().decode(stdout).trim().split("\n").map((line) =>
    line.trim().split(/\s+/).map(Number)
  );
  const found = lines.find(([, parent]) => parent === pid);
  if (!found) throw new Error("the task runs no process");
  return found[0];
}
