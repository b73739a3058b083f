/** Several answers to one request (`n`), one after another. */
import { setTimeout as wait } from "node:timers/promises";
import {
  BusyError,
  type GenerateEvent,
  type GenerateRequest,
  type TextEngine,
} from "../engine/request.ts";

/** Most answers to a request. */
export const MOST_ANSWERS = 8;

/** Most seconds between two tries of an answer for which there is no room in the queue. */
const LONGEST_WAIT = 1;

/** Seeds lie below this. */
const SEEDS = 2 ** 53;

/**
 * The events of `count` answers in a row: each begins with a `start` and ends with an `end`. The first
 * takes the request's seed, or one that is drawn, and each next one the seed after. A request that was
 * let in is not refused half-way: its next answer waits while the queue is full. A deadline is one for
 * all of them.
 * @param options.arrived milliseconds on the clock of `performance` at which the request came
 * @param options.isIn whether it has had an answer before these
 * @throws whatever the engine throws
 */
export async function* answers(
  engine: TextEngine,
  request: GenerateRequest,
  count: number,
  signal: AbortSignal,
  { arrived, isIn = false }: { readonly arrived: number; readonly isIn?: boolean },
): AsyncGenerator<GenerateEvent, void, void> {
  const next = (asked: GenerateRequest, isFirst: boolean) =>
    isFirst && !isIn ? engine.generate(asked, signal) : patiently(engine, asked, arrived, signal);
  if (count === 1) return yield* next(request, true);
  const first = request.seed ?? crypto.getRandomValues(new Uint32Array(1))[0];
  for (let index = 0; index < count; index++) {
    yield* next({ ...request, seed: seedAfter(first, index) }, index === 0);
  }
}

/** An answer's events; while the queue is full it is asked for again. */
async function* patiently(
  engine: TextEngine,
  request: GenerateRequest,
  arrived: number,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent, void, void> {
  for (;;) {
    try {
      return yield* engine.generate(withTimeLeft(request, arrived), signal);
    } catch (error) {
      // It comes before the first event.
      if (!(error instanceof BusyError)) throw error;
      const seconds = Math.min(error.retryAfter, LONGEST_WAIT);
      await wait(1000 * seconds, undefined, { signal });
    }
  }
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
