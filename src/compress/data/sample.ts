/** Training data as token ids. */

import { readConfig } from "../../model/loading/config.ts";
import { type ChatTemplate, encodeChat, loadChatTemplate } from "../../text/chat_template.ts";
import { loadTokenizer, type TextTokenizer } from "../../text/tokenizer.ts";
import type { Example } from "./example.ts";

/** A prompt and the answer to learn. A plain text is an answer without a prompt. */
export interface Sample {
  /** Prompt, then answer with the token that ends it. */
  readonly ids: Uint32Array<ArrayBuffer>;
  /** Tokens of the prompt: the answer is `[promptLength, ids.length)`. */
  readonly promptLength: number;
  readonly kind: Example["kind"];
  /** File and line, for errors. */
  readonly where: string;
}

/** What turns examples into token ids. */
export interface SampleEncoder {
  readonly tokenizer: TextTokenizer;
  /** Asked for only when there are conversations. */
  readonly template: () => ChatTemplate;
  /** Stands for what the model has to predict. */
  readonly maskTokenId: number;
  /** Ends a plain text, and pads answers. */
  readonly eosTokenId: number;
}

/** The encoder of a model folder: its tokenizer, chat template, mask and end token. */
export function sampleEncoder(dir: string): SampleEncoder {
  const { embeddingSize, maskTokenId, eosTokenId } = readConfig(dir);
  let template: ChatTemplate | undefined;
  return {
    tokenizer: loadTokenizer(dir, embeddingSize),
    template: () => template ??= loadChatTemplate(dir),
    maskTokenId,
    eosTokenId,
  };
}

/**
 * Encodes an example. A conversation is rendered by the folder's chat template, and its last message
 * is the answer, with what the template puts behind it (`<|eot_id|>`); a text gets the end token.
 * @throws {Error} naming file and line when it cannot be encoded
 */
export function encodeExample(example: Example, encoder: SampleEncoder, where: string): Sample {
  try {
    if (example.kind === "text") {
      const ids = [...encoder.tokenizer.encode(example.text), encoder.eosTokenId];
      return { ids: Uint32Array.from(ids), promptLength: 0, kind: "text", where };
    }
    return { ...encodeTurns(example.turns, encoder), kind: "chat", where };
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`${where}: ${reason}`, { cause });
  }
}

function encodeTurns(
  turns: Extract<Example, { kind: "chat" }>["turns"],
  { tokenizer, template }: SampleEncoder,
): Pick<Sample, "ids" | "promptLength"> {
  const prompt = encodeChat(tokenizer, template(), turns.slice(0, -1));
  const whole = encodeChat(tokenizer, template(), turns, { opens: false });
  const promptLength = prompt.length;
  if (prompt.every((id, i) => id === whole[i])) return { ids: whole, promptLength };
  // A token may reach across the edge. When the model answers, the prompt is encoded alone.
  const { content } = turns[turns.length - 1];
  let ended = whole.length;
  while (tokenizer.isSpecial(whole[ended - 1])) ended--;
  const ids = [...prompt, ...tokenizer.encode(content.trim()), ...whole.subarray(ended)];
  return { ids: Uint32Array.from(ids), promptLength };
}
