/** Turns the steps of an answer into events. */

import type { DenoiseStep } from "../denoise/denoise_step.ts";
import { tracedStep } from "../denoise/trace.ts";
import type { TextStream } from "../text/text_stream.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import type { AnswerTokens } from "./answer_tokens.ts";
import type { CommittedToken, GenerateEvent, GivenToken } from "./request.ts";

/** The event of a step. */
export type StepEvent = Extract<GenerateEvent, { type: "step" }>;

/** What the events of an answer are made of. */
export interface StepEventParts {
  readonly tokenizer: Pick<TextTokenizer, "tokenText">;
  readonly stream: TextStream;
  /** Given if the events carry the answer's tokens. */
  readonly tokens?: AnswerTokens;
  readonly given: readonly GivenToken[];
  readonly promptLength: number;
  /** Positions of the canvas at first. */
  readonly genLength: number;
  readonly maskToken: number;
}

/** The events of one answer, in order. */
export class StepEvents {
  /** The canvas's tokens, with masks at undecided positions. */
  readonly ids: number[];
  /** All commits so far. */
  readonly placed: CommittedToken[] = [];
  readonly #parts: StepEventParts;
  #nextStep = 0;
  /** Text of tokens that are given, which is shown with the first step. */
  #given: string;

  /** Commits what is given. */
  constructor(parts: StepEventParts) {
    const { genLength, maskToken, given, stream } = parts;
    this.#parts = parts;
    this.ids = new Array<number>(genLength).fill(maskToken);
    for (const { position, token } of given) this.ids[position] = token;
    this.#given = stream.commit(given);
  }

  /** Index of the step behind the last one. */
  get nextStep(): number {
    return this.#nextStep;
  }

  /** The event of the next step. */
  of(step: DenoiseStep): StepEvent {
    const { tokenizer, stream, tokens, promptLength, maskToken } = this.#parts;
    this.#nextStep = step.step + 1;
    while (this.ids.length < (step.grown ?? 0)) this.ids.push(maskToken);
    // A position committed as the mask token is still masked, and is committed again later.
    const decided = step.commits[0].filter(({ token }) => token !== maskToken);
    const commits = decided.map((commit): CommittedToken => ({
      position: commit.position - promptLength,
      token: commit.token,
      text: tokenizer.tokenText(commit.token),
      confidence: commit.confidence,
      logProbability: commit.logProbability,
    }));
    for (const { position, token } of commits) this.ids[position] = token;
    this.placed.push(...commits);
    const delta = this.#given + stream.commit(commits);
    this.#given = "";
    tokens?.commit(step.step, decided, promptLength);
    const { proposed, ...traced } = tracedStep(step, promptLength, maskToken);
    return {
      ...traced,
      ...step.grown !== undefined && { grown: step.grown },
      type: "step",
      commits,
      ...proposed && {
        proposed: proposed.map((guess) => ({ ...guess, text: tokenizer.tokenText(guess.token) })),
      },
      delta,
      ...tokens && { tokens: tokens.grow(stream.text.length) },
      prefixLength: stream.prefixLength,
    };
  }
}
