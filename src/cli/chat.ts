/** `unmask chat`: a conversation, turn by turn. */

import process from "node:process";
import { createInterface, type Interface } from "node:readline";
import { Command } from "commander";
import type { ChatMessage, TextEngine } from "../engine/request.ts";
import { addGenerationOptions, engineOptionsOf, messageFor } from "./options.ts";
import { addSamplingOptions, sampledRequest, type SamplingFlags } from "./sampling_options.ts";
import { startEngine } from "./terminal/progress.ts";
import { onStop } from "./terminal/signals.ts";
import { totalsText } from "./terminal/stats_view.ts";
import { harmless, write } from "./terminal/terminal.ts";

const COMMANDS = "/reset forgets the conversation, /stats shows what the answers cost, " +
  "/exit or Ctrl-D leaves, Ctrl-C stops an answer";

/** `unmask chat` */
export function chatCommand(): Command {
  const command = new Command("chat");
  return addSamplingOptions(addGenerationOptions(command))
    .addHelpText(
      "after",
      `
In the conversation: ${COMMANDS}.

Examples:
  unmask chat
  unmask chat --system "You are a terse assistant." --temperature 0.5
  printf 'What is 7 times 8?\\nAnd 8 times 8?\\n' | unmask chat`,
    )
    .action(run);
}

async function run(flags: SamplingFlags): Promise<void> {
  const terminal = Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
  const { engine, report } = startEngine(flags.model, engineOptionsOf(flags));
  using loading = onStop((exitCode) => {
    report.stop();
    void engine.close();
    Deno.exit(exitCode);
  });
  let exitCode: number | undefined;
  try {
    await engine.ready;
    if (terminal) console.log(`${engine.model!.id}: ${COMMANDS}.`);
    loading[Symbol.dispose]();
    exitCode = await converse(engine, flags, terminal);
  } finally {
    await engine.close({ exiting: true });
  }
  // A pipe that is still open must not keep the program alive.
  Deno.exit(exitCode);
}

/** A line that was entered, with the controller that stops its answer. */
interface Turn {
  readonly text: string;
  readonly stop: AbortController;
}

/** Answers turn after turn. @returns the exit code if the conversation was stopped or failed */
async function converse(
  engine: TextEngine,
  flags: SamplingFlags,
  terminal: boolean,
): Promise<number | undefined> {
  const lines = createInterface({
    input: process.stdin,
    output: terminal ? process.stdout : undefined,
    terminal,
    prompt: "> ",
    crlfDelay: Infinity,
  });
  const turns = new Turns(lines);
  let failed = false;
  let stopped: number | undefined;
  // A terminal is in raw mode, where Ctrl-C arrives as a key and not as a signal.
  lines.on("SIGINT", () => turns.stopAll() || lines.close());
  using _stop = onStop((exitCode) => {
    stopped = exitCode;
    turns.stopAll();
    lines.close();
  });

  let conversation: ChatMessage[] = [];
  for (;;) {
    const turn = await turns.next();
    if (turn === undefined || turn.text === "/exit" || stopped !== undefined) break;
    const { text, stop: { signal } } = turn;
    if (text === "/reset") {
      conversation = [];
      if (terminal) console.log("The conversation is forgotten.");
      continue;
    }
    if (text === "/stats") {
      console.error(totalsText(engine.totals));
      continue;
    }
    try {
      const asked = [...conversation, { role: "user", content: text }];
      const content = await answer(engine, asked, flags, signal, terminal);
      conversation = [...asked, { role: "assistant", content }];
    } catch (error) {
      if (engine.state === "failed") throw error;
      if (signal.aborted) {
        console.error("\nStopped; this turn is not kept.");
      } else {
        console.error(`unmask: ${messageFor(error)}`);
        failed = true;
      }
    }
  }
  lines.close();
  if (terminal) write("\n");
  // A person at the terminal has seen the error; a script sees only the exit code.
  return stopped ?? (failed && !terminal ? 1 : undefined);
}

/** The queue of entered lines, in order, without blank ones. */
class Turns {
  readonly #lines: Interface;
  readonly #entered: Turn[] = [];
  #current: Turn | undefined;
  #open = true;
  #wake = () => {};

  constructor(lines: Interface) {
    this.#lines = lines;
    lines.on("line", (line) => {
      const text = line.trim();
      if (text === "") this.#prompt();
      else this.#entered.push({ text, stop: new AbortController() });
      this.#wake();
    });
    lines.on("close", () => {
      this.#open = false;
      this.#wake();
    });
  }

  /** Marks the current turn as done and waits for the next; undefined when the input has ended. */
  async next(): Promise<Turn | undefined> {
    this.#current = undefined;
    this.#prompt();
    while (this.#entered.length === 0 && this.#open) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    return this.#current = this.#entered.shift();
  }

  #prompt(): void {
    const idle = this.#current === undefined && this.#entered.length === 0;
    if (this.#lines.terminal && this.#open && idle) this.#lines.prompt();
  }

  /** Stops the current turn and those that wait. @returns whether there was a turn to stop */
  stopAll(): boolean {
    const turns = [...this.#current ? [this.#current] : [], ...this.#entered];
    for (const { stop } of turns) stop.abort();
    return turns.length > 0;
  }
}

/** Prints an answer while it is generated. @returns the whole answer */
async function answer(
  engine: TextEngine,
  messages: readonly ChatMessage[],
  flags: SamplingFlags,
  signal: AbortSignal,
  terminal: boolean,
): Promise<string> {
  const show = (text: string) => write(terminal ? harmless(text) : text);
  let shown = 0;
  let text = "";
  for await (const event of engine.generate(sampledRequest(messages, freely(flags)), signal)) {
    if (event.type === "step") {
      show(event.delta);
      shown += event.delta.length;
    } else if (event.type === "end") {
      text = event.text;
      show(`${text.slice(shown)}\n`);
    }
  }
  return text;
}

/** A conversation's answers are as long as the model finds right, unless the canvas is fixed. */
function freely(flags: SamplingFlags): SamplingFlags {
  return { ...flags, length: flags.length ?? (flags.steps === undefined ? "auto" : "fixed") };
}
