/** `unmask infill`: a text with holes, filled all together. */

import { Command, Option } from "commander";
import { asksToFill, HOLE_MARK, templateOf } from "../engine/marked_text.ts";
import type { GenerateEvent } from "../engine/request.ts";
import { addDeviceOptions } from "./device_options.ts";
import {
  addDraftOptions,
  addMemoryOptions,
  addTuningOptions,
  engineOptionsOf,
  type GenerationFlags,
  messageFor,
  modelOption,
  numberBetween,
  wholeNumber,
} from "./options.ts";
import { refuseIgnored } from "./ignored_options.ts";
import { startEngine } from "./terminal/progress.ts";
import { onStop } from "./terminal/signals.ts";
import { harmless, write } from "./terminal/terminal.ts";

interface InfillFlags extends GenerationFlags {
  readonly hole: string;
  readonly tokens?: number;
  readonly mostTokens?: number;
  readonly instruction?: string;
  readonly json?: boolean;
}

/** `unmask infill` */
export function infillCommand(): Command {
  const command = new Command("infill")
    .argument("<text>", `a text in which each ${HOLE_MARK} is a hole`);
  const loading = addTuningOptions(addMemoryOptions(addDraftOptions(command)));
  return addDeviceOptions(loading.addOption(modelOption()))
    .option("--hole <mark>", "what marks a hole", HOLE_MARK)
    .option("--tokens <n>", "tokens of each hole (default: searched)", wholeNumber(1))
    .option(
      "--most-tokens <n>",
      "most tokens of a hole that is searched (default: 16)",
      wholeNumber(1),
    )
    .option("--instruction <text>", "what the text answers (default: to fill it)")
    .option("-t, --temperature <x>", "0 is greedy", numberBetween(0, 100))
    .option("--seed <n>", "same seed, same text", wholeNumber(0))
    .addOption(new Option("--json", "print one JSON object, with each hole's tokens"))
    .addHelpText(
      "after",
      `
Examples:
  unmask infill "The ___ of France is ___."
  unmask infill "7 * 8 = ___." --instruction "What is 7 times 8?"`,
    )
    .action(run);
}

async function run(text: string, flags: InfillFlags, command: Command): Promise<void> {
  if (flags.tokens !== undefined) {
    refuseIgnored(command, ["mostTokens"], "with --tokens, which sets each hole's size");
  }
  if (flags.hole === "") throw new Error("--hole is empty: name what marks a hole");
  if (!text.includes(flags.hole)) {
    throw new Error(`no hole: mark each with ${flags.hole}, as in "The ${flags.hole} of France"`);
  }
  const { engine, report } = startEngine(flags.model, engineOptionsOf(flags));
  using _stop = onStop((exitCode) => {
    report.stop();
    void engine.close();
    Deno.exit(exitCode);
  });
  try {
    await engine.ready;
    const content = flags.instruction ?? asksToFill(text, flags.hole);
    const events = engine.generate({
      messages: [{ role: "user", content }],
      template: templateOf(text, {
        mark: flags.hole,
        tokens: flags.tokens,
        mostTokens: flags.mostTokens,
      }),
      temperature: flags.temperature,
      seed: flags.seed,
    });
    write(`${shown(await lastOf(events), flags)}\n`);
  } catch (error) {
    throw new Error(messageFor(error), { cause: error });
  } finally {
    await engine.close({ exiting: true });
  }
}

type EndEvent = Extract<GenerateEvent, { type: "end" }>;

async function lastOf(events: AsyncIterable<GenerateEvent>): Promise<EndEvent> {
  for await (const event of events) if (event.type === "end") return event;
  throw new Error("the engine ended without an answer");
}

function shown({ filled, stats }: EndEvent, { json }: InfillFlags): string {
  const { text, holes } = filled!;
  if (json) return JSON.stringify({ text, holes, stats });
  return Deno.stdout.isTerminal() ? harmless(text) : text;
}
