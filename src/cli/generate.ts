/** `unmask generate`: one answer to one prompt. */

import { Command, Option } from "commander";
import type { Engine } from "../engine/engine.ts";
import { loadEngine } from "../engine/load.ts";
import { strategyOf } from "../denoise/strategy.ts";
import type {
  GenerateEvent,
  GenerateRequest,
  StrategyName,
  TextEngine,
} from "../engine/request.ts";
import { refuseIgnored } from "./ignored_options.ts";
import { LiveCanvas } from "./terminal/live_canvas.ts";
import { addGenerationOptions, engineOptionsOf, messageFor } from "./options.ts";
import { tellProvider } from "./device_options.ts";
import { profiled } from "./terminal/profile.ts";
import { addSamplingOptions, sampledRequest, type SamplingFlags } from "./sampling_options.ts";
import { startEngine } from "./terminal/progress.ts";
import { onStop } from "./terminal/signals.ts";
import { canRedraw, harmless, write } from "./terminal/terminal.ts";
import { answerText } from "./terminal/stats_view.ts";
import { EventTrace, TraceFile } from "./trace.ts";

/** The strategy that chooses among others, with a draft or without. */
const AUTO: StrategyName = "auto";

/** Limit of a prompt on standard input, in bytes. */
const MAX_PROMPT_BYTES = 2 ** 20;

interface GenerateFlags extends SamplingFlags {
  readonly watch?: boolean;
  readonly json?: boolean;
  readonly stats?: boolean;
  readonly trace?: string;
  readonly profile?: boolean;
}

type EndEvent = Extract<GenerateEvent, { type: "end" }>;

/** `unmask generate` */
export function generateCommand(): Command {
  const command = new Command("generate")
    .argument("[prompt]", "what to ask; - or nothing reads standard input");
  return addSamplingOptions(addGenerationOptions(command))
    .option("-w, --watch", "draw the canvas of masked and committed tokens at every step")
    .addOption(new Option("--json", "print one JSON object").conflicts("watch"))
    .option("--stats", "print time, forward passes and acceptance on standard error")
    .option("--profile", "print GPU time and rates by kernel on standard error")
    .option("--trace <file>", "write every denoising step as JSON, for unmask trace")
    .addHelpText(
      "after",
      `
Examples:
  unmask generate "What is 7 times 8?"
  unmask generate "Write a function add that adds a and b." --watch
  unmask generate "Is 7 prime?" --choice yes --choice no
  unmask generate --temperature 0.7 --seed 1 --json - < prompt.txt`,
    )
    .action(run);
}

async function run(
  prompt: string | undefined,
  flags: GenerateFlags,
  command: Command,
): Promise<void> {
  const { strategy = AUTO } = flags;
  if (strategy !== AUTO && !strategyOf(strategy).needsDraft) {
    refuseIgnored(command, ["draftWeights"], `by strategy ${strategy}, which needs no draft`);
    if (typeof flags.draft === "string") {
      refuseIgnored(command, ["draft"], `by strategy ${strategy}, which needs no draft`);
    }
  }
  const content = await promptText(prompt);
  const output = outputOf(flags);
  if (flags.profile) return await runProfiled(content, output, flags);
  const { engine, report } = startEngine(flags.model, engineOptionsOf(flags));
  using _stop = onStop((exitCode) => {
    report.stop();
    output.close();
    void engine.close();
    Deno.exit(exitCode);
  });
  try {
    await engine.ready;
    const end = await answer(engine, sampledRequest([{ role: "user", content }], flags), output);
    finish(end, output, flags);
  } catch (error) {
    throw new Error(messageFor(error), { cause: error });
  } finally {
    output.close();
    await engine.close({ exiting: true });
  }
}

/** Generates in this process instead of a Worker, so that the profile can reach the recorders. */
async function runProfiled(content: string, output: Output, flags: GenerateFlags): Promise<void> {
  let engine: Engine | undefined;
  try {
    engine = await loadEngine(flags.model, {
      ...engineOptionsOf(flags),
      onProvider: tellProvider,
    });
    const { model, draft } = engine;
    const asked = sampledRequest([{ role: "user", content }], flags);
    const end = await profiled(
      model.gpu,
      draft ? [model, draft.model] : [model],
      async () => {
        const end = await answer(engine!, asked, output);
        output.close();
        return end;
      },
    );
    finish(end, output, flags);
  } catch (error) {
    throw new Error(messageFor(error), { cause: error });
  } finally {
    output.close();
    engine?.[Symbol.dispose]();
  }
}

/** The output that the flags ask for; with `--trace` it writes the file when it is closed. */
function outputOf(flags: GenerateFlags): Output {
  const shown = flags.json ? silent : flags.watch ? watching() : streaming();
  return flags.trace === undefined ? shown : traced(shown, new TraceFile(flags.trace));
}

function finish(end: EndEvent, output: Output, flags: GenerateFlags): void {
  output.close();
  if (flags.json) write(`${JSON.stringify(asJson(end))}\n`);
  if (flags.stats) console.error(answerText(end));
}

/** Shows the events of a generation. */
interface Output {
  show(event: GenerateEvent): void;
  /** Restores the terminal; may be called more than once. */
  close(): void;
}

async function answer(
  engine: Pick<TextEngine, "generate">,
  request: GenerateRequest,
  output: Output,
): Promise<EndEvent> {
  let end: EndEvent | undefined;
  for await (const event of engine.generate(request)) {
    output.show(event);
    if (event.type === "end") end = event;
  }
  return end!;
}

/** An output that also collects the events for a trace file. */
function traced(output: Output, file: TraceFile): Output {
  const trace = new EventTrace();
  return {
    show(event) {
      output.show(event);
      trace.add(event);
    },
    close() {
      output.close();
      file.close(trace.soFar());
    },
  };
}

const silent: Output = { show() {}, close() {} };

/** An output that prints the answer from the left, as far as it is decided without a gap. */
function streaming(): Output {
  const safe = Deno.stdout.isTerminal() ? harmless : (text: string) => text;
  let shown = "";
  const show = (text: string) => {
    write(safe(text));
    shown += text;
  };
  return {
    show(event) {
      if (event.type === "step") show(event.delta);
      else if (event.type === "end") show(event.text.slice(shown.length));
    },
    close() {
      if (shown !== "" && !shown.endsWith("\n")) show("\n");
    },
  };
}

/** An output that redraws the canvas (off a terminal: a line per step), then prints the answer. */
function watching(): Output {
  const redraw = canRedraw();
  const canvas = new LiveCanvas(redraw);
  return {
    show(event) {
      canvas.show(event);
      if (event.type !== "end") return;
      canvas.keep();
      write(`\n${redraw ? harmless(event.text) : event.text}\n`);
    },
    close: () => canvas.keep(),
  };
}

function asJson({ text, ids, finishReason, usage, stats }: EndEvent) {
  return {
    text,
    ids,
    finish_reason: finishReason,
    usage: {
      prompt_tokens: usage.promptTokens,
      completion_tokens: usage.completionTokens,
      total_tokens: usage.promptTokens + usage.completionTokens,
    },
    stats,
  };
}

/**
 * Reads the prompt from the argument or standard input.
 * @throws {Error} when the prompt is missing, empty, not UTF-8 text or too long
 */
async function promptText(argument: string | undefined): Promise<string> {
  if (argument !== undefined && argument !== "-") return nonEmpty(argument);
  if (argument === undefined && Deno.stdin.isTerminal()) {
    throw new Error('no prompt: give one as in unmask generate "What is 7 times 8?"');
  }
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let bytes = 0;
  for await (const chunk of Deno.stdin.readable) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > MAX_PROMPT_BYTES) {
      throw new Error(`the prompt on standard input is longer than ${MAX_PROMPT_BYTES} bytes`);
    }
  }
  try {
    const text = new TextDecoder("utf-8", { fatal: true })
      .decode(await new Blob(chunks).arrayBuffer());
    return nonEmpty(text.replace(/\r?\n$/, ""));
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new Error("the prompt on standard input is not UTF-8 text", { cause: error });
  }
}

function nonEmpty(prompt: string): string {
  if (prompt.trim() === "") throw new Error("the prompt is empty");
  return prompt;
}
