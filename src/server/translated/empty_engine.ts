/** Answers of no tokens, on the ground of the chat route: a prompt that is only read. */
import type { TextEngine } from "../../engine/request.ts";
import { engineWith } from "../engine_with.ts";

/** The limit that a chat completion takes in place of 0, which OpenAI's chats refuse. */
export const LEAST_LIMIT = 1;

/** The same engine, which decides no token: it counts the prompt, and scores it where asked to. */
export function emptyEngine(engine: TextEngine): TextEngine {
  return engineWith(
    engine,
    (request, signal) => engine.generate({ ...request, maxTokens: 0 }, signal),
  );
}
