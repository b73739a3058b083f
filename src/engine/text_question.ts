/** Questions about text that the tokenizer and the chat template answer, without a forward pass. */

import { type ChatTemplate, encodeChat } from "../text/chat_template.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";

/** What to do with which text. */
export type TextQuestion =
  | {
    /** Text to token ids. */
    readonly type: "encode";
    readonly text: string;
    /** Whether the name of a control token is that token; otherwise all of it is plain text. */
    readonly control: boolean;
  }
  /** Token ids to text. */
  | { readonly type: "decode"; readonly ids: readonly number[] }
  | {
    /** A conversation to the text and the ids that the model sees before its answer. */
    readonly type: "render";
    readonly messages: readonly { readonly role: string; readonly content: string }[];
  };

/** A text and its tokens. */
export interface TokenizedText {
  /** The text. */
  readonly text: string;
  /** Its token ids. */
  readonly ids: readonly number[];
  /** Each token alone: its text, or its bytes where they are only part of a character. */
  readonly pieces: readonly (string | readonly number[])[];
}

/**
 * Answers a question.
 * @param most tokens that a text may have
 * @throws {RangeError} when a text has more, or an id is not in `[0, vocabulary)`
 * @throws {Error} when the chat template refuses the messages
 */
export function answerAboutText(
  question: TextQuestion,
  tokenizer: TextTokenizer,
  template: ChatTemplate,
  { most, vocabulary }: { readonly most: number; readonly vocabulary: number },
): TokenizedText {
  const of = (text: string, ids: readonly number[]) => ({
    text,
    ids,
    pieces: ids.map((id) => pieceOf(tokenizer, id)),
  });
  switch (question.type) {
    case "encode": {
      const { text, control } = question;
      const ids = control
        ? tokenizer.encodeWithControl(text, { most })
        : tokenizer.encode(text, most);
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
      const ids = encodeChat(tokenizer, template, question.messages, most);
      return of(template.render(question.messages), [...ids]);
    }
  }
}

function pieceOf(tokenizer: TextTokenizer, id: number): string | readonly number[] {
  if (tokenizer.isSpecial(id)) return tokenizer.tokenText(id);
  const bytes = tokenizer.tokenBytes(id);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return [...bytes];
  }
}
