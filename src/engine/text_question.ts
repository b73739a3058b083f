/** Questions about text that the tokenizer and the chat template answer, without a forward pass. */

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
    /** Whether the answer's header follows (default true). */
    readonly opens?: boolean;
    /** The beginning of the answer, behind its header. */
    readonly begun?: string;
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
