/**
 * Typed events of a stream, for requests with `stream_events: true`. They carry what every
 * denoising step committed; ordinary deltas carry only the text of the committed left prefix.
 *
 * Each event is sent as the `diffusion` field of an ordinary `chat.completion.chunk` with
 * `choices: []`, and its server-sent event is named after its type. Both are needed. The `openai`
 * clients ignore event names and read every `data:` line as a chunk, so anything else would break
 * `chunk.choices[0]?.delta`. Readers of event names can tell the two kinds apart without parsing.
 *
 * The order is: one `start`; then for each step one `unmask`, a `remask` if a draft's guesses were
 * taken back, the content delta if there is one, and a `commit_prefix` if the prefix grew. A
 * committed token never changes: a guess that a `remask` takes back was never in an `unmask` or a
 * delta. Of several answers (`n`) each has its own events in this order, with its `index`, among
 * those of the others.
 */
import type { GenerateEvent } from "../engine/request.ts";

/** A token fixed at a position. */
export interface CommitEvent {
  /** Position in the generation, from 0. */
  readonly position: number;
  /** Token id. */
  readonly token: number;
  /** The token alone as text; U+FFFD if it is only part of a character. */
  readonly text: string;
  /** Noise-free probability at the step that committed it. */
  readonly confidence: number;
  /** Natural logarithm of that probability, no lower than -9999 (JSON has no infinity). */
  readonly logprob: number;
}

/** A draft's token that the target rejected. */
export interface GuessEvent {
  /** Position in the generation, from 0. */
  readonly position: number;
  /** Token id. */
  readonly token: number;
  /** The token alone as text; U+FFFD if it is only part of a character. */
  readonly text: string;
  /** The draft's noise-free probability. */
  readonly confidence: number;
}

/** The `diffusion` field of a chunk. */
export type DenoiseEvent =
  | {
    /** The canvas, all masked. Lengths in tokens. */
    readonly type: "start";
    readonly prompt_tokens: number;
    readonly generation_length: number;
    readonly block_length: number;
    readonly steps: number;
  }
  | {
    /** One denoising step. `step` and `block` count from 0. */
    readonly type: "unmask";
    readonly step: number;
    readonly block: number;
    /** False for committed tokens; true for the likeliest ones at the deadline, which are not. */
    readonly provisional: boolean;
    /** Positions of the canvas from this step on, if it grew before it. */
    readonly generation_length?: number;
    readonly commits: readonly CommitEvent[];
  }
  | {
    /** Guesses taken back at a step: these positions are masked again. */
    readonly type: "remask";
    readonly step: number;
    readonly block: number;
    readonly guesses: readonly GuessEvent[];
  }
  | {
    /** The first `length` positions of the generation are now committed. */
    readonly type: "commit_prefix";
    readonly step: number;
    readonly length: number;
  };

/** The value that OpenAI sends for a very unlikely token. */
const LOWEST_LOGPROB = -9999;

/** The event that starts a generation. */
export function startEvent(event: Extract<GenerateEvent, { type: "start" }>): DenoiseEvent {
  return {
    type: "start",
    prompt_tokens: event.promptTokens,
    generation_length: event.generationLength,
    block_length: event.blockLength,
    steps: event.steps,
  };
}

/** The event of what one denoising step committed. */
export function unmaskEvent(event: Extract<GenerateEvent, { type: "step" }>): DenoiseEvent {
  return {
    type: "unmask",
    step: event.step,
    block: event.block,
    provisional: event.provisional ?? false,
    generation_length: event.grown,
    commits: event.commits.map((commit) => ({
      position: commit.position,
      token: commit.token,
      text: commit.text,
      confidence: commit.confidence,
      logprob: Math.max(LOWEST_LOGPROB, commit.logProbability),
    })),
  };
}

/** The event of the guesses that one denoising step took back; undefined if there are none. */
export function remaskEvent(
  { step, block, proposed, remasked }: Extract<GenerateEvent, { type: "step" }>,
): DenoiseEvent | undefined {
  const guesses = proposed?.filter(({ position }) => remasked?.includes(position)) ?? [];
  if (guesses.length === 0) return undefined;
  return {
    type: "remask",
    step,
    block,
    guesses: guesses.map(({ position, token, text, confidence }) => ({
      position,
      token,
      text,
      confidence,
    })),
  };
}

/** The event of the length of the committed left prefix after a step. */
export function commitPrefixEvent(event: Extract<GenerateEvent, { type: "step" }>): DenoiseEvent {
  return { type: "commit_prefix", step: event.step, length: event.prefixLength };
}
