/** Several answers to one request (`n`), one after another. */
import type { GenerateEvent, GenerateRequest, TextEngine } from "../engine/request.ts";

/** Most answers to a request. */
export const MOST_ANSWERS = 8;

/** Seeds lie below this. */
const SEEDS = 2 ** 53;

/**
 * The events of `count` answers in a row: each begins with a `start` and ends with an `end`. The first
 * takes the request's seed, or one that is drawn, and each next one the seed after.
 * @throws whatever the engine throws
 */
export async function* answers(
  engine: TextEngine,
  request: GenerateRequest,
  count: number,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent, void, void> {
  if (count === 1) return yield* engine.generate(request, signal);
  const first = request.seed ?? crypto.getRandomValues(new Uint32Array(1))[0];
  for (let index = 0; index < count; index++) {
    yield* engine.generate({ ...request, seed: seedAfter(first, index) }, signal);
  }
}

/** The seed `count` after another, and behind the largest the smallest. */
function seedAfter(seed: number, count: number): number {
  const over = seed - SEEDS + count;
  return over >= 0 ? over : seed + count;
}
