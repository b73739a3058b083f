/** Answers questions about text with the tokenizer and the chat template. */

import { type ChatTemplate, encodeChat } from "../text/chat_template.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import { RequestError, type TextQuestion, type TokenizedText } from "./request.ts";

/** The request's field that a question is about. */
const FIELDS = { encode: "text", decode: "ids", render: "messages" } as const;

/**
 * Answers a question.
 * @param vocabulary ids that the model has an embedding for
 * @throws {RequestError} when a text is too long, an id is not in `[0, vocabulary)`, or the chat
 * template refuses the messages
 */
export function answerAboutText(
  question: TextQuestion,
  tokenizer: TextTokenizer,
  template: ChatTemplate,
  vocabulary: number,
): TokenizedText {
  try {
    return answered(question, tokenizer, template, vocabulary);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new RequestError(FIELDS[question.type], message);
  }
}

function answered(
  question: TextQuestion,
  tokenizer: TextTokenizer,
  template: ChatTemplate,
  vocabulary: number,
): TokenizedText {
  // A text of a megabyte has the same few tokens many times.
  const known = new Map<number, Piece>();
  const piece = (id: number) => {
    const found = known.get(id) ?? pieceOf(tokenizer, id);
    known.set(id, found);
    return found;
  };
  const of = (text: string, ids: readonly number[]) => ({ text, ids, pieces: ids.map(piece) });
  switch (question.type) {
    case "encode": {
      const { text, control } = question;
      const ids = control ? tokenizer.encodeWithControl(text) : tokenizer.encode(text);
      return of(text, ids);
    }
    case "decode": {
      const { ids } = question;
      const wrong = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary);
      if (wrong !== undefined) {
        throw new RangeError(`token ${wrong} is none of this model's: 0 to ${vocabulary - 1}`);
      }
      return of(tokenizer.decode(ids), ids);
    }
    case "render": {
      const { messages, opens = true, begun = "" } = question;
      const ids = encodeChat(tokenizer, template, messages, { opens });
      return of(template.render(messages, opens) + begun, [...ids, ...tokenizer.encode(begun)]);
    }
  }
}

/** A token's text, or its bytes where they are no whole characters. */
type Piece = string | readonly number[];

function pieceOf(tokenizer: TextTokenizer, id: number): Piece {
  if (tokenizer.isSpecial(id)) return tokenizer.tokenText(id);
  const bytes = tokenizer.tokenBytes(id);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return [...bytes];
  }
}
