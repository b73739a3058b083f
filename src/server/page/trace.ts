/**
 * How an answer was denoised, as a record that can be shown at any of its steps. Plain values: a record
 * is kept as JSON. Nothing here knows the browser.
 */

/** A token with its log-probability, as the server's `logprobs` have it. */
export interface LikelyToken {
  readonly id: number;
  readonly token: string;
  readonly bytes: readonly number[];
  readonly logprob: number;
}

/** A token of the answer's text, beside the likeliest at its place. */
export interface AnswerToken extends LikelyToken {
  readonly top_logprobs: readonly LikelyToken[];
  readonly step: number;
}

/** A token that a step decided. */
export interface Commit {
  readonly position: number;
  readonly token: number;
  readonly text: string;
  readonly confidence: number;
}

/** What stands at a position from the beginning. */
export interface Given {
  readonly position: number;
  readonly text: string;
}

/** The `diffusion` field of a chunk (src/server/denoise_events.ts). */
export type DiffusionEvent =
  | {
    readonly type: "start";
    readonly prompt_tokens: number;
    readonly generation_length: number;
    readonly block_length: number;
    readonly steps: number;
    /** Tokens that stand before the first step, where a text is filled. */
    readonly given?: readonly Given[];
  }
  | {
    readonly type: "unmask";
    readonly step: number;
    readonly block: number;
    readonly provisional: boolean;
    readonly generation_length?: number;
    readonly commits: readonly Commit[];
  }
  | { readonly type: "remask"; readonly step: number; readonly guesses: readonly Commit[] }
  | { readonly type: "commit_prefix"; readonly step: number; readonly length: number };

/** What the page reads of `usage`. */
export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly diffusion?: {
    readonly seed: number;
    readonly strategy: string;
    readonly forwards: number;
    readonly draft_forwards: number;
    readonly tokens_per_forward: number;
    readonly seconds: number;
  };
}

/** What the page reads of a chunk of a streamed chat completion. */
export interface Chunk {
  readonly choices: readonly {
    readonly delta: { readonly content?: string | null };
    readonly logprobs?: { readonly content: readonly AnswerToken[] | null } | null;
    readonly finish_reason?: string | null;
  }[];
  readonly diffusion?: DiffusionEvent;
  readonly usage?: Usage | null;
}

/** One denoising step. */
export interface TraceStep {
  readonly block: number;
  /** Positions of the canvas from this step on. */
  readonly length: number;
  readonly provisional: boolean;
  readonly commits: readonly Commit[];
  /** Guesses of a draft that were taken back: their positions stay masked. */
  readonly guesses: readonly Commit[];
  /** Positions that are masks again, because the user put them back. */
  readonly masked?: readonly number[];
}

/** Another token that could have stood at a place. */
export interface Alternative {
  readonly id: number;
  readonly text: string;
  /** 0 to 1. */
  readonly probability: number;
}

/** What is known of a position beyond its commit. */
export interface Place {
  /** The token that this is known of: an edit may have put another one there. */
  readonly token: number;
  /** The whole characters that its token adds to the text. */
  readonly text: string;
  /** The likeliest tokens there, the first first. */
  readonly alternatives: readonly Alternative[];
}

/** An answer's record. */
export interface Trace {
  readonly promptTokens: number;
  readonly blockLength: number;
  /** Positions of the canvas before the first step. */
  readonly length: number;
  readonly steps: readonly TraceStep[];
  /** What stands before the first step. */
  readonly given?: readonly Given[];
  /** Whether the answer must be of a form: tokens without alternatives then are its fixed parts. */
  readonly constrained?: boolean;
  /** The text so far, as it was streamed. */
  readonly text: string;
  /** By position, for the tokens of the text. */
  readonly places: Readonly<Record<number, Place>>;
  /** Where the next token of the text is looked for. */
  readonly next: number;
  /** Bytes of a character whose other bytes are to come. */
  readonly rest: readonly number[];
  /** Why it ended: `stop`, `length`, or `stopped` where the user stopped it. */
  readonly finish?: string;
  readonly usage?: Usage;
}

/** The record before the first chunk. */
export const EMPTY_TRACE: Trace = {
  promptTokens: 0,
  blockLength: 1,
  length: 0,
  steps: [],
  text: "",
  places: {},
  next: 0,
  rest: [],
};

/** A position at a step. */
export interface Cell {
  readonly position: number;
  readonly block: number;
  /**
   * `given`: stood before the first step. `fixed`: nothing else could stand there. `guess`: a
   * draft's, taken back at this very step. `end`: decided, and no text.
   */
  readonly state: "mask" | "given" | "fixed" | "token" | "provisional" | "guess" | "end";
  /** What it shows; empty for a mask, and for a token within a character that another one ends. */
  readonly text: string;
  /** 0 to 1; of a mask 0. */
  readonly confidence: number;
  /** The step that decided it, from 1; 0 for a mask. */
  readonly step: number;
  /** Whether the step that is shown decided it. */
  readonly fresh: boolean;
}

/** The record with one more chunk. */
export function withChunk(trace: Trace, { choices, diffusion, usage }: Chunk): Trace {
  let next = diffusion ? withEvent(trace, diffusion) : trace;
  for (const { delta, logprobs, finish_reason } of choices) {
    if (delta.content) next = { ...next, text: next.text + delta.content };
    if (logprobs?.content) next = withTokens(next, logprobs.content);
    if (finish_reason) next = { ...next, finish: finish_reason };
  }
  return usage ? { ...next, usage } : next;
}

function withEvent(trace: Trace, event: DiffusionEvent): Trace {
  const { steps } = trace;
  if (event.type === "start") {
    return {
      ...trace,
      promptTokens: event.prompt_tokens,
      blockLength: event.block_length,
      length: event.generation_length,
    };
  }
  if (event.type === "unmask") {
    const step: TraceStep = {
      block: event.block,
      length: event.generation_length ?? lengthAt(trace, steps.length),
      provisional: event.provisional,
      commits: event.commits,
      guesses: [],
    };
    return { ...trace, steps: [...steps, step] };
  }
  if (event.type === "remask" && steps.length > 0) {
    const last = { ...steps[steps.length - 1], guesses: event.guesses };
    return { ...trace, steps: [...steps.slice(0, -1), last] };
  }
  return trace;
}

/** Tokens of the text come in order, without their positions: those are found by their ids. */
function withTokens(trace: Trace, tokens: readonly AnswerToken[]): Trace {
  const decided = new Map(
    trace.steps.flatMap(({ commits }) => commits.map(({ position, token }) => [position, token])),
  );
  const positions = [...decided.keys()].sort((a, b) => a - b);
  const places: Record<number, Place> = { ...trace.places };
  let { next, rest } = trace;
  for (const { id, bytes, top_logprobs } of tokens) {
    const position = positions.find((one) => one >= next && decided.get(one) === id);
    if (position === undefined) continue;
    next = position + 1;
    const whole = wholeCharacters([...rest, ...bytes]);
    rest = whole.rest;
    places[position] = {
      token: id,
      text: whole.text,
      alternatives: top_logprobs.map(({ id, token, logprob }) => ({
        id,
        text: token,
        probability: Math.exp(logprob),
      })),
    };
  }
  return { ...trace, places, next, rest };
}

/** The text of UTF-8 bytes, without a character at the end that is not whole. */
function wholeCharacters(bytes: readonly number[]): { text: string; rest: readonly number[] } {
  for (let cut = 0; cut < Math.min(4, bytes.length + 1); cut++) {
    const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
    try {
      const text = decoder.decode(Uint8Array.from(bytes.slice(0, bytes.length - cut)));
      return { text, rest: bytes.slice(bytes.length - cut) };
    } catch {
      // The last character lacks bytes, or the bytes are no text.
    }
  }
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return { text: decoder.decode(Uint8Array.from(bytes)), rest: [] };
}

/** Positions of the canvas after so many steps. */
export function lengthAt(trace: Trace, shown: number): number {
  // A canvas may grow before its first step: that step says so.
  return shown === 0 ? trace.steps[0]?.length ?? trace.length : trace.steps[shown - 1].length;
}

/** Names of control tokens, such as those that end an answer. */
const CONTROL = /^<\|.*\|>$/;

/**
 * The cells after so many steps, 0 to `trace.steps.length`. Behind an end that is decided, with no
 * mask before it, there are none.
 */
export function cellsAt(trace: Trace, shown: number): readonly Cell[] {
  const length = lengthAt(trace, shown);
  const cells = Array.from({ length }, (_, position): Cell => ({
    position,
    block: Math.floor(position / trace.blockLength),
    state: "mask",
    text: "",
    confidence: 0,
    step: 0,
    fresh: false,
  }));
  const { steps, places, given = [], constrained } = trace;
  for (const { position, text } of given) {
    const state = CONTROL.test(text) ? "end" : "given";
    if (position < length) {
      cells[position] = { ...cells[position], state, text: state === "end" ? "" : text };
    }
  }
  for (const [index, { commits, provisional, masked = [] }] of steps.slice(0, shown).entries()) {
    for (const position of masked) {
      cells[position] = { ...cells[position], state: "mask", text: "", confidence: 0, step: 0 };
    }
    for (const { position, token, text, confidence } of commits) {
      if (position >= length) continue;
      const known = places[position]?.token === token ? places[position] : undefined;
      cells[position] = {
        ...cells[position],
        state: CONTROL.test(text)
          ? "end"
          : constrained && known?.alternatives.length === 0
          ? "fixed"
          : provisional
          ? "provisional"
          : "token",
        text: CONTROL.test(text) ? "" : known?.text ?? text,
        confidence,
        step: index + 1,
        fresh: index === shown - 1,
      };
    }
  }
  for (const { position, text, confidence } of steps[shown - 1]?.guesses ?? []) {
    if (position >= length) continue;
    cells[position] = { ...cells[position], state: "guess", text, confidence, step: shown };
  }
  const over = trace.finish !== undefined && shown === steps.length;
  return over ? upTo(cells, trace.text.length) : upToEnd(cells);
}

function upToEnd(cells: readonly Cell[]): readonly Cell[] {
  const stop = cells.findIndex(({ state }) => state === "end" || state === "mask");
  return stop >= 0 && cells[stop].state === "end" ? cells.slice(0, stop + 1) : cells;
}

/** Cells for so many UTF-16 units of text: a stop string may have cut the last of them. */
function upTo(cells: readonly Cell[], units: number): readonly Cell[] {
  let left = units;
  const kept: Cell[] = [];
  for (const cell of cells) {
    if (cell.state === "end" || left <= 0) break;
    kept.push({ ...cell, text: cell.text.slice(0, left) });
    left -= cell.text.length;
  }
  return kept;
}

/** The text of cells, without those that are masks. */
export function textOf(cells: readonly Cell[]): string {
  return cells.map(({ state, text }) => state === "guess" ? "" : text).join("");
}
