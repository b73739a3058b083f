/**
 * Fields of OpenAI's API, or of another server of it, that change an answer so much that this server
 * cannot leave them out unasked. They are refused by name; only a value that changes nothing is
 * accepted. Every other field that it does not know is ignored, and named (ignored_fields.ts).
 */

/** Values of a refused field that change nothing, and their text for the client. */
export interface Neutral {
  /** Whether the value gives the same answer as no field. */
  readonly passes: (value: unknown) => boolean;
  /** Those values as JSON; empty if there are none. */
  readonly written: string;
}

/** Refused fields by name. A null field always counts as absent, so null is not listed. */
export type RefusedFields = ReadonlyMap<string, Neutral>;

const never: Neutral = { passes: () => false, written: "" };

const textOnly: Neutral = {
  passes: (value) => Array.isArray(value) && value.length === 1 && value[0] === "text",
  written: '["text"]',
};

/** A form's empty field asks for none. */
const noText: Neutral = { passes: (value) => value === "", written: '""' };

/**
 * Fields refused at the top level of a chat completion request. A tag says what the answer must be,
 * and what is not held to it would be taken for it.
 */
export const REFUSED_IN_BODY: RefusedFields = new Map([
  ["structural_tag", noText],
  ["audio", never],
  ["modalities", textOnly],
]);

/** Fields refused in `messages`. Empty lists pass, because answers of other servers carry them. */
export const REFUSED_IN_MESSAGE: RefusedFields = new Map([
  ["audio", never],
]);

/** For an object none of whose fields is refused. */
export const NONE_REFUSED: RefusedFields = new Map();
