/** `unmask trace`: draws a run that `unmask generate --trace` has recorded. */

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
import { addDeviceOptions, type DeviceFlags, deviceOf, openDevice } from "./device_options.ts";
import { drawTrace, pngOf } from "./trace_picture/picture.ts";

/** Limit of a trace file, in bytes. */
const MAX_TRACE_BYTES = 256 * 2 ** 20;

/** `unmask trace` */
export function traceCommand(): Command {
  const command = new Command("trace")
    .argument("<file>", "trace, a JSON file")
    .requiredOption("--png <file>", "picture to write");
  return addDeviceOptions(command)
    .addHelpText(
      "after",
      `
Examples:
  unmask generate "What is 7 times 8?" --strategy lossless --trace run.json
  unmask trace run.json --png run.png`,
    )
    .action(run);
}

interface TraceFlags extends DeviceFlags {
  readonly png: string;
}

async function run(file: string, { png, ...device }: TraceFlags): Promise<void> {
  const trace = await readTrace(file);
  using gpu = await openDevice(deviceOf(device));
  const image = await drawTrace(gpu, trace);
  await writeOutput(png, pngOf(image));
  console.log(
    `${png}: ${image.width} x ${image.height} pixels, ${trace.settings.genLength} positions by ` +
      `${trace.steps.length} steps`,
  );
}

/**
 * Reads a trace.
 * @throws {TraceError} naming the field, when the file is too large, not JSON or not a trace
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

/** Formats a trace as JSON, one step per line. */
export function traceText({ steps, ...head }: Trace): string {
  const lines = steps.map((step) => JSON.stringify(step));
  return `${JSON.stringify(head).slice(0, -1)},"steps":[\n${lines.join(",\n")}\n]}\n`;
}

/** Writes a file. @throws {Error} naming the file when it cannot be written */
async function writeOutput(file: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  try {
    await Deno.writeFile(file, bytes);
  } catch (error) {
    throw cannotWrite(file, error);
  }
}

function cannotWrite(file: string, cause: unknown): Error {
  return new Error(`cannot write ${file}: ${(cause as Error).message}`, { cause });
}

/** Collects a trace from the events of one generation. */
export class EventTrace {
  #start: Extract<GenerateEvent, { type: "start" }> | undefined;
  readonly #steps: TraceStep[] = [];
  /** Positions of the canvas, if it grew. */
  #grown: number | undefined;

  /** Takes the next event. */
  add(event: GenerateEvent): void {
    if (event.type === "start") this.#start = event;
    else if (event.type === "step") {
      this.#grown = event.grown ?? this.#grown;
      const { type: _type, delta: _delta, prefixLength: _length, grown: _grown, ...rest } = event;
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

  /** The trace of the steps so far; undefined before the first one. */
  soFar(): Trace | undefined {
    if (!this.#start || this.#steps.length === 0) return undefined;
    const { strategy, cache, blockLength, steps, seed, maskToken } = this.#start;
    const { promptTokens: promptLength } = this.#start;
    const genLength = this.#grown ?? this.#start.generationLength;
    return traceOf(
      { strategy, cache, blockLength, steps, seed, promptLength, genLength, maskToken },
      this.#steps,
    );
  }
}

/** The file that a trace is written to. Its old content stays until the trace is written. */
export class TraceFile {
  readonly #path: string;
  readonly #isNew: boolean;
  #file: Deno.FsFile | undefined;

  /** @throws {Error} naming the file when it cannot be written */
  constructor(path: string) {
    this.#path = path;
    try {
      this.#isNew = !exists(path);
      this.#file = Deno.openSync(path, { write: true, create: true });
    } catch (error) {
      throw cannotWrite(path, error);
    }
  }

  /**
   * Writes the trace, if there is one, and closes the file; later calls do nothing.
   * @throws {Error} naming the file when it cannot be written
   */
  close(trace: Trace | undefined): void {
    if (!this.#file) return;
    using file = this.#file;
    this.#file = undefined;
    if (!trace) {
      if (this.#isNew) Deno.removeSync(this.#path);
      return;
    }
    try {
      // A pipe or a device cannot be truncated.
      if (file.statSync().isFile) file.truncateSync();
      const bytes = new TextEncoder().encode(traceText(trace));
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
    } catch (error) {
      throw cannotWrite(this.#path, error);
    }
  }
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
