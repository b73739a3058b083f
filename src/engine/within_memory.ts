/** What becomes of an answer for which the GPU has too little memory. */

import { GpuMemoryError } from "../model/model.ts";
import { type GenerateEvent, UnavailableError } from "./request.ts";

/** A model that can give memory back. */
interface FreesScratch {
  freeScratch(): Promise<void>;
}

/**
 * Frees scratch memory of the models when the GPU's runs out, and throws an error that a client
 * understands.
 */
export async function* withinMemory(
  events: AsyncIterable<GenerateEvent>,
  models: readonly FreesScratch[],
): AsyncGenerator<GenerateEvent, void, void> {
  try {
    yield* events;
  } catch (error) {
    if (!(error instanceof GpuMemoryError)) throw error;
    for (const model of models) await model.freeScratch();
    throw new UnavailableError(
      "The GPU has too little memory for this request. Shorten the conversation, ask for " +
        "fewer tokens, or load the model in fewer bits (--weights).",
      "out_of_memory",
      error.message,
    );
  }
}
