/** Prompts without the chat template, on the ground of the chat route. */
import type { TextEngine } from "../../engine/request.ts";
import { engineWith } from "../engine_with.ts";

/**
 * The same engine for chats of one message, whose text it takes as the prompt itself.
 * @param ids what it takes instead: the prompt's token ids
 */
export function promptEngine(engine: TextEngine, ids?: readonly number[]): TextEngine {
  return engineWith(
    engine,
    ({ messages, ...request }, signal) =>
      engine.generate({ ...request, prompt: ids ?? messages?.at(-1)?.content }, signal),
  );
}
