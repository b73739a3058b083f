/** `unmask chat`: a conversation, turn by turn. */

import process from "node:process";
import { createInterface, type Interface } from "node:readline";
import { Command } from "commander";
import type { ChatMessage, TextEngine } from "../engine/request.ts";
import { addGenerationOptions, type GenerationFlags, messageFor, requestOf } from "./options.ts";
import { startEngine } from "./progress.ts";
import { onStop } from "./signals.ts";
import { harmless, write } from "./terminal.ts";

const COMMANDS = "/reset forgets the conversation, /exit or Ctrl-D leaves, Ctrl-C stops an answer";

/** `unmask chat` */
export function chatCommand(): Command {
  const command = new Command("chat")
    .description("Keeps a conversation on the terminal; from a pipe, one turn per line.");
  return addGenerationOptions(command)
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

async function run(flags: GenerationFlags): Promise<void> {
  const terminal = Deno.stdin.isTerminal() && Deno.stdout.isTerminal();
  const { engine, report } = startEngine(flags.model);
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
    await engine.close();
  }
  // A pipe that is still open must not keep the program alive.
  Deno.exit(exitCode);
}

/** @returns the exit code when it did not end in the ordinary way */
async function converse(
  engine: TextEngine,
  flags: GenerationFlags,
  terminal: boolean,
): Promise<number | undefined> {
  const lines = createInterface({
    input: process.stdin,
    output: terminal ? process.stdout : undefined,
    terminal,
    prompt: "> ",
    crlfDelay: Infinity,
  });
  let answering: AbortController | undefined;
  let failed = false;
  let stopped: number | undefined;
  // On a terminal, which is in raw mode, Ctrl-C comes as a key and not as a signal.
  lines.on("SIGINT", () => answering ? answering.abort() : lines.close());
  using _stop = onStop((exitCode) => {
    stopped = exitCode;
    answering?.abort();
    lines.close();
  });

  let conversation: ChatMessage[] = [];
  for await (const line of turns(lines, terminal)) {
    if (stopped !== undefined || line === "/exit") break;
    if (line === "/reset") {
      conversation = [];
      if (terminal) console.log("The conversation is forgotten.");
      continue;
    }
    const { signal } = answering = new AbortController();
    try {
      const asked = [...conversation, { role: "user", content: line }];
      const text = await answer(engine, asked, flags, signal, terminal);
      conversation = [...asked, { role: "assistant", content: text }];
    } catch (error) {
      if (engine.state === "failed") throw error;
      if (signal.aborted) {
        console.error("\nStopped; this turn is not kept.");
      } else {
        console.error(`unmask: ${messageFor(error)}`);
        failed = true;
      }
    }
    answering = undefined;
  }
  lines.close();
  if (terminal) write("\n");
  // Who types has seen the error; a script has only the code.
  return stopped ?? (failed && !terminal ? 1 : undefined);
}

/** The lines that are not blank, asked for with a prompt on a terminal. */
async function* turns(lines: Interface, terminal: boolean): AsyncGenerator<string, void, void> {
  let open = true;
  lines.on("close", () => open = false);
  const ask = () => {
    if (terminal && open) lines.prompt();
  };
  const input = lines[Symbol.asyncIterator]();
  for (;;) {
    ask();
    const { value, done } = await input.next();
    if (done) return;
    if (value.trim() !== "") yield value.trim();
  }
}

/** Shows an answer while it is decided. @returns all of it */
async function answer(
  engine: TextEngine,
  messages: readonly ChatMessage[],
  flags: GenerationFlags,
  signal: AbortSignal,
  terminal: boolean,
): Promise<string> {
  const show = (text: string) => write(terminal ? harmless(text) : text);
  let shown = 0;
  let text = "";
  for await (const event of engine.generate(requestOf(messages, flags), signal)) {
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
