/**
 * Traces: what happened at every denoising step of one answer, as a plain value for a JSON file.
 */

import type { DenoiseStep } from "./denoise_step.ts";

/** A token at a position; a commit or a guess. */
export interface TracedToken {
  /** Position in the generation, from 0. */
  readonly position: number;
  readonly token: number;
  /** Noise-free probability, by the model that chose it. */
  readonly confidence: number;
}

/** Settings of the answer. A trace holds neither the prompt nor the answer's text. */
export interface TraceSettings {
  readonly strategy: string;
  readonly cache: string;
  /** Tokens per block. */
  readonly blockLength: number;
  /** Denoising steps asked for, over all blocks. */
  readonly steps: number;
  readonly seed: number;
  /** Tokens of the prompt. */
  readonly promptLength: number;
  /** Positions of the generation, a multiple of `blockLength`. */
  readonly genLength: number;
  /** The id of a position that is not decided. */
  readonly maskToken: number;
}

/** One denoising step; positions ascending in every list. */
export interface TraceStep {
  /** Index of the step, from 0; one more than that of the step before. */
  readonly step: number;
  /** Index of the block, from 0. */
  readonly block: number;
  /** Forward passes of the target so far, including this step's. */
  readonly nfe: number;
  readonly commits: readonly TracedToken[];
  /** Guesses that were verified at this step, if the strategy makes guesses. */
  readonly proposed?: readonly TracedToken[];
  /** Positions of the guesses that were committed at this step. */
  readonly accepted?: readonly number[];
  /** Positions of the guesses that were rejected. */
  readonly rejected?: readonly number[];
  /** Positions that this step masks again: earlier commits, or guesses that are taken back. */
  readonly remasked?: readonly number[];
}

/** The trace of a run, step by step. */
export interface Trace {
  readonly format: "unmask-trace";
  readonly version: 1;
  readonly settings: TraceSettings;
  readonly steps: readonly TraceStep[];
}

/** Limit of the generation's length and of the steps in a trace. */
export const TRACE_LIMIT = 65536;

/** The error of a trace file that cannot be used; the message names file and field. */
export class TraceError extends Error {
  /** Makes the message, with a short form of the value found. */
  constructor(file: string, field: string, found: unknown, expected: string) {
    super(
      `${file}: ${field} is ${shown(found)}, expected ${expected}. ` +
        "Write the trace again with unmask generate --trace.",
    );
    this.name = "TraceError";
  }
}

/** Collects the steps of one answer. */
export interface TraceRecorder {
  /** Adds the next step, in the form of {@linkcode tracedStep}. */
  add(step: DenoiseStep): void;
  /** The trace of the steps so far. */
  trace(): Trace;
}

/**
 * Makes a recorder for one sequence; it takes the steps that `denoise` and the strategies yield.
 */
export function traceRecorder(settings: TraceSettings): TraceRecorder {
  const { promptLength, maskToken } = settings;
  const steps: TraceStep[] = [];
  return {
    add: (step) => void steps.push(tracedStep(step, promptLength, maskToken)),
    trace: () => traceOf(settings, steps),
  };
}

/** Makes a trace. */
export function traceOf(settings: TraceSettings, steps: readonly TraceStep[]): Trace {
  return { format: "unmask-trace", version: 1, settings, steps: [...steps] };
}

/** Converts a step of one sequence; leaves out prompt positions and commits of the mask itself. */
export function tracedStep(
  { step, block, nfe, commits, proposed, rejected = [], remasked }: DenoiseStep,
  promptLength: number,
  maskToken: number,
): TraceStep {
  const inGeneration = (tokens: readonly TracedToken[]): TracedToken[] =>
    tokens
      .filter(({ position, token }) => position >= promptLength && token !== maskToken)
      .map(({ position, token, confidence }) => ({
        position: position - promptLength,
        token,
        confidence,
      }))
      .sort((a, b) => a.position - b.position);
  const guesses = proposed?.length ? inGeneration(proposed) : [];
  const refused = inGeneration(rejected).map(({ position }) => position);
  const again = remasked?.filter((position) => position >= promptLength)
    .map((position) => position - promptLength) ?? [];
  return {
    step,
    block,
    nfe,
    commits: inGeneration(commits[0]),
    ...guesses.length > 0 && {
      proposed: guesses,
      accepted: guesses.map(({ position }) => position)
        .filter((position) => !refused.includes(position)),
      rejected: refused,
    },
    ...again.length > 0 && { remasked: again },
  };
}

/**
 * Yields the generation's ids before the first step and after each step, `[genLength]`, with masks
 * at undecided positions.
 */
export function* statesOf({ settings, steps }: Trace): Generator<Uint32Array, void, void> {
  let ids = new Uint32Array(settings.genLength).fill(settings.maskToken);
  yield ids;
  for (const { commits, remasked = [] } of steps) {
    ids = ids.slice();
    for (const position of remasked) ids[position] = settings.maskToken;
    for (const { position, token } of commits) ids[position] = token;
    yield ids;
  }
}

/**
 * Checks a parsed JSON file.
 * @param file name of the file, for errors
 * @throws {TraceError} naming the first field that does not fit
 */
export function parseTrace(json: unknown, file: string): Trace {
  const top = objectAt(json, "content", file);
  if (top.format !== "unmask-trace") {
    throw new TraceError(file, "format", top.format, '"unmask-trace"');
  }
  if (top.version !== 1) throw new TraceError(file, "version", top.version, "1");
  const settings = parseSettings(top.settings, file);
  const steps = listAt(top.steps, "steps", file, TRACE_LIMIT)
    .map((step, i) => parseStep(step, i, settings, file));
  return traceOf(settings, steps);
}

function parseSettings(value: unknown, file: string): TraceSettings {
  const found = objectAt(value, "settings", file);
  const number = (name: keyof TraceSettings, least: number, most: number) =>
    wholeAt(found[name], `settings.${name}`, file, least, most);
  const name = (name: keyof TraceSettings) => {
    const text = found[name];
    if (typeof text === "string" && /^\w{1,32}$/.test(text)) return text;
    throw new TraceError(file, `settings.${name}`, text, "a name of letters, digits and _");
  };
  const settings = {
    strategy: name("strategy"),
    cache: name("cache"),
    blockLength: number("blockLength", 1, TRACE_LIMIT),
    steps: number("steps", 1, Number.MAX_SAFE_INTEGER),
    seed: number("seed", 0, Number.MAX_SAFE_INTEGER),
    promptLength: number("promptLength", 0, Number.MAX_SAFE_INTEGER),
    genLength: number("genLength", 1, TRACE_LIMIT),
    maskToken: number("maskToken", 0, 2 ** 32 - 1),
  };
  const { genLength, blockLength } = settings;
  if (genLength % blockLength !== 0) {
    const expected = `a multiple of blockLength, which is ${blockLength}`;
    throw new TraceError(file, "settings.genLength", genLength, expected);
  }
  return settings;
}

function parseStep(value: unknown, index: number, settings: TraceSettings, file: string) {
  const at = `steps[${index}]`;
  const { genLength, blockLength } = settings;
  const found = objectAt(value, at, file);
  const position = (value: unknown, field: string) => wholeAt(value, field, file, 0, genLength - 1);
  const positions = (name: string): number[] =>
    ascending(
      listAt(found[name], `${at}.${name}`, file, genLength)
        .map((value, i) => position(value, `${at}.${name}[${i}]`)),
      `${at}.${name}`,
      file,
    );
  const tokens = (name: string): TracedToken[] => {
    const list = listAt(found[name], `${at}.${name}`, file, genLength).map((value, i) => {
      const field = `${at}.${name}[${i}]`;
      const one = objectAt(value, field, file);
      const { confidence } = one;
      if (typeof confidence !== "number" || !(confidence >= 0 && confidence <= 1)) {
        throw new TraceError(file, `${field}.confidence`, confidence, "a number from 0 to 1");
      }
      return {
        position: position(one.position, `${field}.position`),
        token: wholeAt(one.token, `${field}.token`, file, 0, 2 ** 32 - 1),
        confidence,
      };
    });
    ascending(list.map(({ position }) => position), `${at}.${name}`, file);
    return list;
  };
  const step: TraceStep = {
    step: wholeAt(found.step, `${at}.step`, file, index, index),
    block: wholeAt(found.block, `${at}.block`, file, 0, genLength / blockLength - 1),
    nfe: wholeAt(found.nfe, `${at}.nfe`, file, 0, Number.MAX_SAFE_INTEGER),
    commits: tokens("commits"),
    ...found.proposed !== undefined && {
      proposed: tokens("proposed"),
      accepted: positions("accepted"),
      rejected: positions("rejected"),
    },
    ...found.remasked !== undefined && { remasked: positions("remasked") },
  };
  if (step.proposed) {
    const judged = [...step.accepted!, ...step.rejected!].sort((a, b) => a - b);
    const guessed = step.proposed.map(({ position }) => position);
    if (judged.join() !== guessed.join()) {
      const expected = `with ${at}.rejected, the positions of ${at}.proposed, each once`;
      throw new TraceError(file, `${at}.accepted`, step.accepted, expected);
    }
  }
  return step;
}

function ascending(positions: number[], field: string, file: string): number[] {
  for (let i = 1; i < positions.length; i++) {
    if (positions[i] > positions[i - 1]) continue;
    const expected = `larger than the position before it, ${positions[i - 1]}`;
    throw new TraceError(file, `${field}[${i}]`, positions[i], expected);
  }
  return positions;
}

type JsonObject = Readonly<Record<string, unknown>>;

function objectAt(value: unknown, field: string, file: string): JsonObject {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as JsonObject;
  }
  throw new TraceError(file, field, value, "an object");
}

function listAt(value: unknown, field: string, file: string, most: number): readonly unknown[] {
  if (!Array.isArray(value)) throw new TraceError(file, field, value, "an array");
  if (value.length <= most) return value;
  throw new TraceError(file, `${field}.length`, value.length, `at most ${most}`);
}

function wholeAt(
  value: unknown,
  field: string,
  file: string,
  least: number,
  most: number,
): number {
  if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) {
    return value as number;
  }
  const range = least === most ? `${least}` : `a whole number from ${least} to ${most}`;
  throw new TraceError(file, field, value, range);
}

/** A JSON value as one short line. */
function shown(value: unknown): string {
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === "object" && value !== null) return "an object";
  return typeof value === "string" ? JSON.stringify(value.slice(0, 80)) : String(value);
}
