/** Several answers that come at the same time, as one stream. */
import { EventBuffer } from "../engine/event_buffer.ts";

/** How answers run beside each other. */
export interface Together {
  /** When the others may be asked for, beside the first; until then they wait. */
  readonly begun: Promise<void>;
  /** How many are under way at most. */
  readonly most: number;
  /** Aborts when all are to end: one has failed, or nobody takes what comes any more. */
  readonly end: AbortController;
}

/**
 * What `count` sources give, as it comes; each one's own things stay in order. An error of one ends
 * all, and is thrown behind what came before it.
 * @param source the source of an index; it is asked when its turn comes, in the order of indices
 */
export async function* sideBySide<T>(
  count: number,
  source: (index: number) => AsyncIterable<T>,
  { begun, most, end }: Together,
): AsyncGenerator<T, void, void> {
  const buffer = new EventBuffer<T>();
  const under: Promise<void>[] = [];
  let next = 0;
  let running = 0;
  const takeSome = async () => {
    running++;
    try {
      while (next < count && !end.signal.aborted) {
        for await (const item of source(next++)) buffer.push(item);
      }
    } catch (reason) {
      buffer.end({ reason });
      end.abort(reason);
    }
    if (--running === 0) buffer.end();
  };
  under.push(takeSome());
  begun.then(() => {
    while (under.length < Math.min(most, count) && next < count) under.push(takeSome());
  });
  try {
    yield* buffer;
  } finally {
    end.abort();
    await Promise.all(under);
  }
}
