/** Tells how answers end. */

import type { GenerateEvent } from "./request.ts";

/**
 * Passes events on.
 * @param onEnd told of the end of the answer, or that it was cancelled or failed before
 */
export async function* counted(
  events: AsyncIterable<GenerateEvent>,
  onEnd: (end: Extract<GenerateEvent, { type: "end" }> | undefined) => void,
): AsyncGenerator<GenerateEvent, void, void> {
  let ended = false;
  try {
    for await (const event of events) {
      if (event.type === "end") {
        onEnd(event);
        ended = true;
      }
      yield event;
    }
  } finally {
    if (!ended) onEnd(undefined);
  }
}
