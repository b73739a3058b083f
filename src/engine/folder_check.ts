/** What every request would meet in a model folder is tried before anything is loaded. */

import { join } from "node:path";
import { ConfigError, type ModelConfig } from "../model/loading/config.ts";
import { type ChatTemplate, encodeChat } from "../text/chat_template.ts";
import { AGAIN, messageOf } from "../text/folder_file.ts";
import { withinTime } from "../text/time_limit.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";

/** Milliseconds to render one of them; published templates take one or two. */
const MAX_TIME = 250;
/** Two conversations, as plain as they come. */
const PLAIN = ["Hello", "What is 7 times 8?"];

/**
 * Whether the model knows each id that encoding can produce.
 * @throws {ConfigError} naming the first token beyond the embedding
 */
export function checkTokenIds(
  dir: string,
  tokenizer: TextTokenizer,
  { embeddingSize }: ModelConfig,
): void {
  for (const [token, id] of tokenizer.tokens) {
    if (id < embeddingSize) continue;
    throw new ConfigError({
      file: join(dir, "tokenizer.json"),
      field: `the id of ${JSON.stringify(token)}`,
      found: `${id}`,
      expected: `below embedding_size ${embeddingSize}`,
      remedy: "Tokenizer and config.json are not of the same model: download the folder again.",
    });
  }
}

/**
 * Renders and encodes plain conversations.
 * @throws {Error} naming the template's file, when it fails, leaves out what was said, fills the
 * context, or writes a special token that has no id
 */
export function checkChat(
  tokenizer: TextTokenizer,
  template: ChatTemplate,
  { maxSequenceLength }: ModelConfig,
): void {
  const wrong = (what: string, cause?: unknown) =>
    new Error(`${template.path}: ${what}, so that no request could be answered. ${AGAIN}`, {
      cause,
    });
  const prompts = PLAIN.map((content) => {
    const messages = [{ role: "user", content }];
    let text: string;
    let ids: Uint32Array;
    try {
      text = withinTime("it", MAX_TIME, () => template.render(messages));
      ids = encodeChat(tokenizer, template, messages, { most: maxSequenceLength });
    } catch (cause) {
      throw wrong(`a plain question fails (${messageOf(cause)})`, cause);
    }
    for (const [name, token] of Object.entries(template.tokens)) {
      if (!text.includes(token) || tokenizer.idOf(token) !== undefined) continue;
      throw wrong(`it writes ${name} ${JSON.stringify(token)}, to which no file gives an id`);
    }
    if (ids.length < maxSequenceLength) return String(ids);
    throw wrong(
      `a plain question has ${ids.length} tokens, expected fewer than the model's ` +
        `${maxSequenceLength} (max_sequence_length)`,
    );
  });
  if (prompts[0] === prompts[1]) throw wrong("it leaves out what the user says");
}
