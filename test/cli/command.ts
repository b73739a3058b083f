/** Runs the commands as a user does: `deno task`, with the permissions that the tasks give. */

import { assert } from "@std/assert";
import { fileURLToPath } from "node:url";
import { OWN_CACHE } from "./own_cache.ts";

const root = new URL("../../", import.meta.url);
const config = fileURLToPath(new URL("deno.json", root));

/** What a finished command left behind. */
export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a command is run. */
export interface RunOptions {
  /** Folder that it is run in; default the repository. */
  readonly cwd?: string;
  /** Written to standard input, which is closed then. */
  readonly input?: string | Uint8Array<ArrayBuffer>;
  readonly env?: Readonly<Record<string, string>>;
}

/** A task as a command that is ready to be spawned. */
export function taskCommand(
  task: string,
  args: readonly string[],
  options: Omit<RunOptions, "input"> = {},
): Deno.Command {
  const cwd = options.cwd ?? fileURLToPath(root);
  return new Deno.Command(Deno.execPath(), {
    args: ["task", "--config", config, task, ...args],
    cwd,
    // A task that runs the tests has set it for them.
    env: { NO_COLOR: "1", INIT_CWD: cwd, ...OWN_CACHE, ...options.env },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    // A group of its own: the task and what it runs can be ended together.
    detached: true,
  });
}

/** `deno task TASK ARGS`, until it ends. */
export async function runTask(
  task: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  const child = taskCommand(task, args, options).spawn();
  const { input = "" } = options;
  const writer = child.stdin.getWriter();
  // A command that does not read its input may end first.
  const written = writer.write(typeof input === "string" ? new TextEncoder().encode(input) : input)
    .then(() => writer.close()).catch(() => {});
  const { code, stdout, stderr } = await child.output();
  await written;
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: withoutTaskLines(text(stderr)) };
}

/** `deno task unmask ARGS`, until it ends. */
export function unmask(args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  return runTask("unmask", args, options);
}

/** Standard error without what `deno task` says of itself. */
function withoutTaskLines(text: string): string {
  return text.split("\n").filter((line) => !/^(Task|Download) /.test(line)).join("\n");
}

/** Text that comes in piece by piece, and can be waited for. */
export class Incoming {
  /** All that came so far. */
  text = "";
  readonly #ended: Promise<void>;
  #open = true;
  #wake = () => {};

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#ended = this.#read(stream);
  }

  async #read(stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> {
    for await (const piece of stream.pipeThrough(new TextDecoderStream())) {
      this.text += piece;
      this.#wake();
    }
    this.#open = false;
    this.#wake();
  }

  /** The first match from `from` on. @throws when the stream ends without one */
  async match(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    for (;;) {
      const found = pattern.exec(this.text.slice(from));
      if (found) return found;
      assert(this.#open, `${pattern} never came; all that came: ${this.text}`);
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
  }

  /** All of it. */
  async whole(): Promise<string> {
    await this.#ended;
    return this.text;
  }
}

/** A command that goes on until it is told to stop. */
export class Running implements AsyncDisposable {
  readonly stdout: Incoming;
  readonly stderr: Incoming;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array<ArrayBuffer>>;
  /** Whether it has ended. */
  isOver = false;

  constructor(command: Deno.Command) {
    this.#child = command.spawn();
    this.#child.status.then(() => this.isOver = true);
    this.#input = this.#child.stdin.getWriter();
    this.stdout = new Incoming(this.#child.stdout);
    this.stderr = new Incoming(this.#child.stderr);
  }

  /** Types on its standard input. */
  async type(keys: string): Promise<void> {
    await this.#input.write(new TextEncoder().encode(keys));
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** Its exit code, once it has ended and all output is there. */
  async end(): Promise<number> {
    const { code } = await this.#child.status;
    await Promise.all([this.stdout.whole(), this.stderr.whole()]);
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      Deno.kill(-this.#child.pid, "SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#input.close().catch(() => {});
    await this.end();
  }
}

/** `unmask ARGS` whose GPU fails on signals: see test/engine/failing_unmask.ts. */
export function failingUnmask(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Running {
  return new Running(
    new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "test/engine/failing_unmask.ts", ...args],
      cwd: fileURLToPath(root),
      env: { NO_COLOR: "1", ...OWN_CACHE, ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }),
  );
}

/** What `inTerminal` prints when the command is over: its exit code and the terminal's settings. */
const AFTERWARDS = 'echo "exit code $?"; stty -a';

/** A terminal. */
export interface TerminalOptions {
  readonly columns?: number;
  readonly rows?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Columns that it gets once a file is there. */
  readonly resized?: { readonly file: string; readonly columns: number };
}

/**
 * A command in a terminal of its own, by util-linux's `script`. Its output also
 * holds what is echoed, and the terminal's settings afterwards.
 */
export function inTerminal(
  args: readonly string[],
  { columns = 80, rows = 24, env, resized }: TerminalOptions = {},
): Running {
  const quoted = [Deno.execPath(), "task", "--config", config, "unmask", ...args]
    .map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(" ");
  // The shell must outlive a Ctrl-C, which every process of the terminal gets.
  const resizing = resized
    ? `(while [ ! -e '${resized.file}' ]; do sleep 0.1; done; stty cols ${resized.columns} < /dev/tty) & `
    : "";
  const script =
    `trap : INT; ${resizing} stty cols ${columns} rows ${rows}; ${quoted}; ${AFTERWARDS}`;
  return new Running(
    new Deno.Command("script", {
      args: ["-qc", `sh -c "$SCRIPT"`, "/dev/null"],
      env: {
        SCRIPT: script,
        TERM: "xterm",
        INIT_CWD: fileURLToPath(root),
        SHELL: "/bin/sh",
        ...OWN_CACHE,
        ...env,
      },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }),
  );
}

/** What a terminal was left like. */
export function terminalLeft(output: string): {
  readonly exitCode: number;
  readonly cursorShown: boolean;
  /** Input comes line by line, and is echoed: not raw. */
  readonly linewise: boolean;
  readonly wraps: boolean;
} {
  const lastOf = (on: string, off: string) => output.lastIndexOf(on) >= output.lastIndexOf(off);
  const [, code] = /exit code (\d+)/.exec(output) ?? [];
  assert(code !== undefined, `the command did not end: ${output}`);
  const settings = output.slice(output.indexOf("exit code"));
  return {
    exitCode: Number(code),
    cursorShown: lastOf("\x1b[?25h", "\x1b[?25l"),
    linewise: /(?<!-)\bicanon\b/.test(settings) && /(?<!-)\becho\b/.test(settings),
    wraps: lastOf("\x1b[?7h", "\x1b[?7l"),
  };
}

/** A prompt of the evaluation file whose greedy answer is recorded. */
export interface KnownAnswer {
  readonly prompt: string;
  readonly answer: string;
  /** All ids of the generation. */
  readonly ids: readonly number[];
}

/** One with a recorded answer of 64 tokens in 64 steps and blocks of 32, the folder's defaults. */
export function knownAnswer(id: string): KnownAnswer {
  interface Item {
    readonly id: string;
    readonly prompt: string;
    readonly expected: string;
    readonly reference: readonly {
      readonly gen_length: number;
      readonly block_length: number;
      readonly steps: number;
      readonly output_ids: readonly number[];
    }[];
  }
  const { items } = JSON.parse(
    Deno.readTextFileSync(new URL("models/eval-public.json", root)),
  ) as { readonly items: readonly Item[] };
  const item = items.find((one) => one.id === id)!;
  const { output_ids: ids } = item.reference.find(({ gen_length, block_length, steps }) =>
    gen_length === 64 && block_length === 32 && steps === 64
  )!;
  return { prompt: item.prompt, answer: item.expected, ids };
}

/** Finished lines of a file that a running command writes; 0 before it is there. */
export function linesOf(file: string): number {
  try {
    return Deno.readTextFileSync(file).split("\n").length - 1;
  } catch {
    return 0;
  }
}

/** How a command is stopped while it is under way. */
export interface Midway {
  /** Resolves when it has come so far. */
  readonly until: (running: Running) => Promise<unknown>;
  /** Default SIGKILL, which what it started gets as well. */
  readonly signal?: Deno.Signal;
  /** Whether it was over before. */
  readonly isOver: (running: Running) => boolean;
  /** Removes what it leaves when it is over. */
  readonly undo: () => void;
}

/**
 * Runs `unmask ARGS` and stops it midway. Where it was over before, as this process had to wait for
 * its turn, it begins anew.
 * @returns its exit code, 0 if it was killed, and what it said
 */
export async function stoppedMidway(
  args: readonly string[],
  { until, signal = "SIGKILL", isOver, undo }: Midway,
): Promise<{ readonly code: number; readonly stderr: string }> {
  for (let attempt = 0; attempt < 5; attempt++) {
    const running = new Running(taskCommand("unmask", args));
    let code = 0;
    {
      await using _ = running;
      await until(running);
      if (signal !== "SIGKILL") {
        if (!running.isOver) running.kill(signal);
        code = await running.end();
      }
    }
    if (!isOver(running)) return { code, stderr: running.stderr.text };
    undo();
  }
  throw new Error(`${args.join(" ")} was over each time`);
}

/** Waits until a command has written so many finished lines of a file, or more. */
export async function comesToLines(file: string, lines: number, running: Running): Promise<void> {
  for (let isOver = false; linesOf(file) < lines; isOver = running.isOver) {
    // What it wrote last was there when it ended.
    if (isOver) throw new Error(`${linesOf(file)} of ${lines} lines: ${running.stderr.text}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
