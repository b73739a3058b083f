/** Turns a prompt that is not a conversation into token ids. */

import type { TextTokenizer } from "../text/tokenizer.ts";
import { type ChatMessage, type GenerateRequest, RequestError } from "./request.ts";

/** What of an engine turns requests into token ids. */
export interface PromptEncoder {
  readonly tokenizer: TextTokenizer;
  readonly facts: ModelSizes;
  encodeChat(messages: readonly ChatMessage[]): Uint32Array;
}

/** The mask token, the rows of the embedding, and the context in tokens. */
interface ModelSizes {
  readonly maskTokenId: number;
  readonly embeddingSize: number;
  readonly contextLength: number;
}

/** Token ids of what a request's answer follows. @throws {RequestError} when it cannot be encoded */
export function promptIds(
  { messages = [], prompt }: Pick<GenerateRequest, "messages" | "prompt">,
  engine: PromptEncoder,
): Uint32Array {
  if (prompt === undefined) return engine.encodeChat(messages);
  return encodePrompt(prompt, engine.tokenizer, engine.facts);
}

/**
 * Token ids of a prompt without the chat template. In a text the name of a control token is that
 * token, because such prompts are written by programs that know the model's template.
 * @throws {RequestError} when it is empty, longer than the context, or holds the mask token or an id
 * that the model has no embedding for
 */
export function encodePrompt(
  prompt: string | readonly number[],
  tokenizer: TextTokenizer,
  model: ModelSizes,
): Uint32Array {
  const ids = typeof prompt === "string" ? encodeText(prompt, tokenizer, model) : prompt;
  if (ids.length === 0) {
    throw new RequestError("prompt", "prompt is empty, expected text or at least one token id");
  }
  const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= model.embeddingSize);
  if (wrong !== undefined) {
    throw new RequestError(
      "prompt",
      `prompt holds the token ${wrong}, expected whole numbers from 0 to ${
        model.embeddingSize - 1
      }`,
    );
  }
  if (ids.includes(model.maskTokenId)) {
    throw new RequestError(
      "prompt",
      "prompt holds the mask token, which stands for what is not decided yet: leave it out",
    );
  }
  return Uint32Array.from(ids);
}

function encodeText(
  text: string,
  tokenizer: TextTokenizer,
  { contextLength }: { readonly contextLength: number },
): readonly number[] {
  try {
    return tokenizer.encodeWithControl(text, { most: contextLength });
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    const code = error instanceof RangeError ? "context_length_exceeded" : "invalid_value";
    throw new RequestError("prompt", message, code);
  }
}
