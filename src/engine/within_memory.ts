/** What becomes of an answer for which the GPU has too little memory. */

import { PagesError } from "../model/batch/page_book.ts";
import { GpuMemoryError } from "../model/model.ts";
import { type GenerateEvent, UnavailableError } from "./request.ts";

/** Throws an error that a client understands when the GPU's memory runs out. */
export async function* withinMemory(
  events: AsyncIterable<GenerateEvent>,
): AsyncGenerator<GenerateEvent, void, void> {
  try {
    yield* events;
  } catch (error) {
    if (!(error instanceof GpuMemoryError || error instanceof PagesError)) throw error;
    throw new UnavailableError(
      "The GPU has too little memory for this request. Shorten the conversation, ask for " +
        "fewer tokens, or load the model in fewer bits (--weights).",
      "out_of_memory",
      error.message,
    );
  }
}
