/** What becomes of an answer for which the GPU has too little memory. */

import { PagesError } from "../model/batch/page_book.ts";
import { GpuMemoryError } from "../model/model.ts";
import { type GenerateEvent, UnavailableError } from "./request.ts";

/**
 * Frees memory when the GPU's runs out, and throws an error that a client understands.
 * @param free called once the answer has given back what it held
 */
export async function* withinMemory(
  events: AsyncIterable<GenerateEvent>,
  free: () => Promise<void>,
): AsyncGenerator<GenerateEvent, void, void> {
  try {
    yield* events;
  } catch (error) {
    if (!(error instanceof GpuMemoryError || error instanceof PagesError)) throw error;
    await free();
    throw new UnavailableError(
      "The GPU has too little memory for this request. Shorten the conversation, ask for " +
        "fewer tokens, or load the model in fewer bits (--weights).",
      "out_of_memory",
      error.message,
    );
  }
}
