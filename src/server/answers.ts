/** Several answers to one request (`n`), side by side. */
import type { GenerateEvent, GenerateRequest, TextEngine } from "../engine/request.ts";
import { sideBySide } from "./side_by_side.ts";

/** Most answers to a request. */
export const MOST_ANSWERS = 8;

/** Seeds lie below this. */
const SEEDS = 2 ** 53;

/** An event of one of a request's answers. */
export type AnswerEvent = GenerateEvent & {
  /** Which answer, from 0; absent where there is only one. */
  readonly answer?: number;
};

/** Which of a request's answers are asked for. */
export interface AnswersOf {
  /** How many, 1 or above. */
  readonly count: number;
  /** Milliseconds on the clock of `performance` at which the request came. */
  readonly arrived: number;
  /** A name that no other request has. */
  readonly id: string;
  /** Answers that the request has had, or has under way, before these. */
  readonly before?: number;
  /** Whether it has others beside these, which come when one has begun. */
  readonly hasOthers?: boolean;
}

/**
 * The events of `count` answers, those of each in their order, from a `start` to an `end`. The first
 * takes the request's seed, or one that is drawn, and each next one the seed after. The others are
 * asked for when the first has begun, and are not refused then: a request is let in with all its
 * answers, or not at all. A deadline is one for all of them. An error of one ends all.
 * @throws whatever the engine throws
 */
export async function* answers(
  engine: TextEngine,
  request: GenerateRequest,
  signal: AbortSignal,
  { count, arrived, id, before = 0, hasOthers = false }: AnswersOf,
): AsyncGenerator<AnswerEvent, void, void> {
  const asked = (answer: number): GenerateRequest => ({
    ...before + answer === 0 ? request : withTimeLeft(request, arrived),
    answerOf: {
      request: id,
      index: before + answer,
      ...before + answer === 0 && { hasOthers: hasOthers || count > 1 },
    },
  });
  if (count === 1) return yield* engine.generate(asked(0), signal);
  const seed = request.seed ?? crypto.getRandomValues(new Uint32Array(1))[0];
  const end = new AbortController();
  const both = AbortSignal.any([signal, end.signal]);
  const { promise: begun, resolve: begin } = Promise.withResolvers<void>();
  const ask = async function* (answer: number): AsyncGenerator<AnswerEvent, void, void> {
    const own = { ...asked(answer), seed: seedAfter(seed, answer) };
    for await (const event of engine.generate(own, both)) {
      if (event.type === "start") begin();
      yield { ...event, answer };
    }
  };
  yield* sideBySide(count, ask, { begun, most: count, end });
}

/** A request of which some of its time has passed; a deadline that is over is one at once. */
function withTimeLeft(request: GenerateRequest, arrived: number): GenerateRequest {
  if (request.deadlineMs === undefined) return request;
  return {
    ...request,
    deadlineMs: Math.max(1, request.deadlineMs - (performance.now() - arrived)),
  };
}

/** The seed `count` after another, and behind the largest the smallest. */
function seedAfter(seed: number, count: number): number {
  const over = seed - SEEDS + count;
  return over >= 0 ? over : seed + count;
}
