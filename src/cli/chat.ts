/** `unmask chat`: a conversation, turn by turn. */

import { Command } from "commander";
import type { ChatMessage, GenerateEvent, TextEngine } from "../engine/request.ts";
import { Conversation } from "./chat/conversation.ts";
import { type Input, Turns } from "./chat/turns.ts";
import { addGenerationOptions, engineOptionsOf, messageFor } from "./options.ts";
import { addSamplingOptions, sampledRequest, type SamplingFlags } from "./sampling_options.ts";
import { LiveCanvas } from "./terminal/live_canvas.ts";
import { startEngine } from "./terminal/progress.ts";
import { onStop } from "./terminal/signals.ts";
import { totalsText } from "./terminal/stats_view.ts";
import { canRedraw, harmless, write } from "./terminal/terminal.ts";

/** `unmask chat` */
export function chatCommand(): Command {
  const command = new Command("chat");
  return addSamplingOptions(addGenerationOptions(command))
    .addHelpText(
      "after",
      `
On a terminal the answer is seen resolving, its masks in any order. From a pipe, each line is a turn.
In the conversation /help lists the commands, Ctrl-C stops an answer, Ctrl-D leaves.

Examples:
  unmask chat
  unmask chat --system "You are a terse assistant." --temperature 0.5
  printf 'What is 7 times 8?\\nAnd 8 times 8?\\n' | unmask chat`,
    )
    .action(run);
}

async function run(flags: SamplingFlags): Promise<void> {
  const input = inputOf();
  const { engine, report } = startEngine(flags.model, engineOptionsOf(flags));
  using loading = onStop((exitCode) => {
    report.stop();
    void engine.close();
    Deno.exit(exitCode);
  });
  let exitCode: number | undefined;
  try {
    await engine.ready;
    if (input !== "pipe") {
      console.log(
        `${engine.model!.id}: /help lists commands, Ctrl-C stops an answer, Ctrl-D leaves.`,
      );
    }
    loading[Symbol.dispose]();
    exitCode = await converse(engine, flags, input);
  } finally {
    await engine.close({ exiting: true });
  }
  // A pipe that is still open must not keep the program alive.
  Deno.exit(exitCode);
}

function inputOf(): Input {
  if (!Deno.stdin.isTerminal() || !Deno.stdout.isTerminal()) return "pipe";
  return canRedraw() ? "terminal" : "dumb terminal";
}

/** Answers turn after turn. @returns the exit code if the conversation was stopped or failed */
async function converse(
  engine: TextEngine,
  flags: SamplingFlags,
  input: Input,
): Promise<number | undefined> {
  const stopOrLeave = () => turns.stopAll() || turns.close();
  const turns: Turns = new Turns(input, stopOrLeave);
  let failed = false;
  let stopped: number | undefined;
  using _stop = onStop((exitCode) => {
    // At a terminal that is not in raw mode, Ctrl-C is a signal and means what the key means.
    if (input === "dumb terminal" && turns.stopAll()) return;
    stopped = exitCode;
    turns.stopAll();
    turns.close();
  });

  const conversation = new Conversation(flags);
  for (;;) {
    const turn = await turns.next();
    if (turn === undefined || stopped !== undefined) break;
    const { signal } = turn.stop;
    try {
      const { says, asks, leaves, wantsStats } = conversation.react(turn.text);
      if (leaves) break;
      if (wantsStats) console.error(totalsText(engine.totals));
      // From a pipe, the output holds answers and errors only.
      if (says !== undefined && input !== "pipe") console.log(says);
      if (asks === undefined) continue;
      const messages = conversation.asking(asks);
      conversation.keep(asks, await answer(engine, messages, conversation.flags, signal, input));
    } catch (error) {
      if (engine.state === "failed") throw error;
      if (signal.aborted) {
        console.error(`${input === "terminal" ? "" : "\n"}Stopped; this turn is not kept.`);
      } else {
        console.error(`unmask: ${messageFor(error)}`);
        failed = true;
      }
    }
  }
  turns.close();
  if (input !== "pipe") write("\n");
  // A person at the terminal has seen the error; a script sees only the exit code.
  return stopped ?? (failed && input === "pipe" ? 1 : undefined);
}

/** Shows an answer while it is generated. @returns the whole answer */
async function answer(
  engine: TextEngine,
  messages: readonly ChatMessage[],
  flags: SamplingFlags,
  signal: AbortSignal,
  input: Input,
): Promise<string> {
  const events = engine.generate(sampledRequest(messages, freely(flags)), signal);
  if (input === "terminal") return await drawn(events);
  const show = (text: string) => write(input === "pipe" ? text : harmless(text));
  let shown = 0;
  let text = "";
  for await (const event of events) {
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

/** Draws the canvas while an answer resolves; the answer takes its place in the end. */
async function drawn(events: AsyncIterable<GenerateEvent>): Promise<string> {
  const canvas = new LiveCanvas(true);
  let text = "";
  try {
    for await (const event of events) {
      if (event.type === "end") text = event.text;
      else canvas.show(event);
    }
  } finally {
    canvas.clear();
  }
  write(`${harmless(text)}\n`);
  return text;
}

/** A conversation's answers are as long as the model finds right, unless the canvas is fixed. */
function freely(flags: SamplingFlags): SamplingFlags {
  return { ...flags, length: flags.length ?? (flags.steps === undefined ? "auto" : "fixed") };
}
