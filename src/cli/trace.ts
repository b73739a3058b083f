/** `unmask trace`: the picture of a run that `unmask generate --trace` has written down. */

import { Command } from "commander";
import {
  parseTrace,
  type Trace,
  type TracedToken,
  TraceError,
  traceOf,
  type TraceStep,
} from "../denoise/trace.ts";
import type { GenerateEvent } from "../engine/request.ts";
import { acquireGpu } from "../gpu/device.ts";
import { drawTrace, pngOf } from "./trace_picture.ts";

/** Most bytes of a trace file. */
const MAX_TRACE_BYTES = 256 * 2 ** 20;

/** `unmask trace` */
export function traceCommand(): Command {
  return new Command("trace")
    .description("Draws a trace of unmask generate --trace: positions by denoising steps.")
    .argument("<file>", "trace, a JSON file")
    .requiredOption("--png <file>", "picture to write")
    .addHelpText(
      "after",
      `
Examples:
  unmask generate "What is 7 times 8?" --strategy lossless --trace run.json
  unmask trace run.json --png run.png`,
    )
    .action(run);
}

async function run(file: string, { png }: { readonly png: string }): Promise<void> {
  const trace = await readTrace(file);
  using gpu = await acquireGpu();
  const image = await drawTrace(gpu, trace);
  await writeOutput(png, pngOf(image));
  console.log(
    `${png}: ${image.width} x ${image.height} pixels, ${trace.settings.genLength} positions by ` +
      `${trace.steps.length} steps`,
  );
}

/**
 * Reads a trace.
 * @throws {TraceError} when the file is too large, no JSON or no trace, naming the field
 */
export async function readTrace(file: string): Promise<Trace> {
  const info = await Deno.stat(file).catch((error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new TraceError(file, "the file", undefined, "a trace");
  });
  if (!info.isFile) throw new TraceError(file, "the path", "a folder or device", "a file");
  if (info.size > MAX_TRACE_BYTES) {
    throw new TraceError(file, "the size", `${info.size} bytes`, `at most ${MAX_TRACE_BYTES}`);
  }
  const text = await Deno.readTextFile(file);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new TraceError(file, "the content", text, "JSON");
  }
  return parseTrace(json, file);
}

/** Writes a trace as JSON, one step a line. */
export async function writeTrace(file: string, { steps, ...head }: Trace): Promise<void> {
  const lines = steps.map((step) => JSON.stringify(step));
  const text = `${JSON.stringify(head).slice(0, -1)},"steps":[\n${lines.join(",\n")}\n]}\n`;
  await writeOutput(file, new TextEncoder().encode(text));
}

/** @throws with the name of the file, and what to do when this process may not write it */
async function writeOutput(file: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  try {
    await Deno.writeFile(file, bytes);
  } catch (error) {
    const { message } = error as Error;
    throw new Error(`cannot write ${file}: ${message}`, { cause: error });
  }
}

/** Collects a trace from the events of one generation. */
export class EventTrace {
  #start: Extract<GenerateEvent, { type: "start" }> | undefined;
  #end: Extract<GenerateEvent, { type: "end" }> | undefined;
  readonly #steps: TraceStep[] = [];

  /** Takes the next event. */
  add(event: GenerateEvent): void {
    if (event.type === "start") this.#start = event;
    else if (event.type === "end") this.#end = event;
    else {
      const { type: _type, delta: _delta, prefixLength: _length, ...rest } = event;
      const { commits, proposed, ...step } = rest;
      const traced = (tokens: readonly TracedToken[]) =>
        tokens.map(({ position, token, confidence }) => ({ position, token, confidence }));
      this.#steps.push({
        ...step,
        commits: traced(commits),
        ...proposed && { proposed: traced(proposed) },
      });
    }
  }

  /** @throws {Error} before the last event */
  whole(): Trace {
    if (!this.#start || !this.#end) throw new Error("the generation has not come to its end");
    const { promptTokens, generationLength, blockLength, steps, maskToken } = this.#start;
    const { strategy, cache, seed } = this.#end.stats;
    return traceOf({
      strategy,
      cache,
      blockLength,
      steps,
      seed,
      promptLength: promptTokens,
      genLength: generationLength,
      maskToken,
    }, this.#steps);
  }
}
