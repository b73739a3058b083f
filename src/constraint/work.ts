/** Long work in pieces, so that the thread which does it also answers others. */

/** Work that yields between its pieces, each of some milliseconds at most, and returns its result. */
export type Work<T> = Generator<void, T, void>;

/** Does all of the work at once. */
export function finish<T>(work: Work<T>): T {
  for (let next = work.next();; next = work.next()) if (next.done) return next.value;
}

/** The results of work on each item, one after another. */
export function* each<T, R>(
  items: readonly T[],
  work: (item: T, index: number) => Work<R>,
): Work<R[]> {
  const results: R[] = [];
  for (const [i, item] of items.entries()) results.push(yield* work(item, i));
  return results;
}

/** Milliseconds of work after which others have their turn. */
const SLICE = 20;

/** Turns of the thread: who has worked for a slice gives it to others. */
export class Turns {
  #start = performance.now();

  /** Whether a slice is over. */
  get isOver(): boolean {
    return performance.now() - this.#start >= SLICE;
  }

  /**
   * Lets others have the thread.
   * @returns the milliseconds that they took
   * @throws the signal's reason when it is aborted meanwhile
   */
  async give(signal?: AbortSignal): Promise<number> {
    const paused = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 0));
    signal?.throwIfAborted();
    this.#start = performance.now();
    return this.#start - paused;
  }
}
