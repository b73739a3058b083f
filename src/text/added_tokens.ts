/**
 * Tokens that a model folder adds to the vocabulary of its model, from all files that add some:
 * tokenizer.json, tokenizer_config.json, added_tokens.json and special_tokens_map.json.
 */
import {
  isObject,
  type JsonObject,
  mismatch,
  readJsonObject,
  readTokenizerConfig,
  show,
} from "./folder_file.ts";
import { readSpecialTokens } from "./special_tokens.ts";

/** A token that is found in text before the model of the tokenizer sees it. */
export interface AddedToken {
  /** Its id; wins over the model's vocabulary where both name the text. */
  readonly id: number;
  /** Its text. */
  readonly content: string;
  /** A control token: never shown, never made from text that a user typed. */
  readonly special: boolean;
  /** Found in text after the normalizer rather than before. */
  readonly normalized: boolean;
  /** Takes the white space before it along. */
  readonly lstrip: boolean;
  /** Takes the white space after it along. */
  readonly rstrip: boolean;
}

/** The BPE that tokens are added to. */
export interface AddedTo {
  /** Token -> id. */
  readonly vocab: Readonly<Record<string, number>>;
  /** Pairs that become one token. */
  readonly merges: readonly (readonly [string, string])[];
}

/** Ids index arrays in the tokenizer library: a wild one must not get there. */
const MAX_TOKEN_ID = (1 << 24) - 1;
/** What an id must be, for errors. */
export const TOKEN_ID = `an integer from 0 to ${MAX_TOKEN_ID}`;

/** Whether a JSON value can be a token's id. */
export function isTokenId(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_TOKEN_ID;
}

/** A token as a file gives it. */
interface Entry {
  readonly path: string;
  readonly field: string;
  readonly id: unknown;
  readonly json: JsonObject;
}

/**
 * Reads all files. What tokenizer.json says of a text or of an id stands; the other files add what it
 * lacks, and their flags count too, as in the transformers library. A token is special where any file
 * says so: what a user types must not become one because another file forgot the flag.
 * @param own `added_tokens` of tokenizer.json
 * @throws when a token is not as it must be, or two files give it different ids
 */
export function readAddedTokens(
  dir: string,
  own: unknown,
  { vocab, merges }: AddedTo,
): AddedToken[] {
  const named = readSpecialTokens(dir).texts;
  // What merges spell, or one byte, is ordinary text, whatever it is named: a "!" for padding.
  const spelled = new Set(merges.map(([left, right]) => left + right));
  const isNamed = (text: string) => named.has(text) && !spelled.has(text) && [...text].length > 1;
  const entries = ownEntries(`${dir}/tokenizer.json`, own);
  const configured = configuredEntries(dir);
  const flagged = configured.filter(({ json }) => json.special === true);
  const isFlagged = ({ id, json }: Entry) =>
    flagged.some((other) => other.id === id || other.json.content === json.content);
  const added = entries.map((entry) => {
    const { id, json } = entry;
    const again = configured.find((other) =>
      other.id === id && other.json.content === json.content
    );
    const special = json.special === true || isFlagged(entry) || isNamed(String(json.content));
    return addedToken({ ...entry, json: { ...json, ...again?.json, special } });
  });
  const ids = new Set(added.map((token) => token.id));
  const contents = new Set(added.map((token) => token.content));
  const add = (token: AddedToken) => {
    if (ids.has(token.id) || contents.has(token.content)) return;
    added.push(token);
    ids.add(token.id);
    contents.add(token.content);
  };
  for (const entry of [...configured, ...listedEntries(dir)]) {
    const token = addedToken(entry);
    const known = Object.hasOwn(vocab, token.content) ? vocab[token.content] : token.id;
    if (known !== token.id) {
      const expected = `${known}, as in model.vocab of tokenizer.json`;
      throw mismatch(entry.path, `the id of ${show(token.content)}`, token.id, expected);
    }
    add({ ...token, special: token.special || isNamed(token.content) });
  }
  for (const content of named) {
    if (!isNamed(content) || !Object.hasOwn(vocab, content)) continue;
    const flags = { special: true, normalized: false, lstrip: false, rstrip: false };
    add({ id: vocab[content], content, ...flags });
  }
  return added;
}

function ownEntries(path: string, tokens: unknown): Entry[] {
  if (!Array.isArray(tokens)) throw mismatch(path, "added_tokens", tokens, "an array");
  return tokens.map((json: unknown, index) => {
    const field = `added_tokens[${index}]`;
    if (!isObject(json)) throw mismatch(path, field, json, "an object");
    return { path, field, id: json.id, json };
  });
}

/** `added_tokens_decoder` of tokenizer_config.json: from ids to tokens. */
function configuredEntries(dir: string): Entry[] {
  const path = `${dir}/tokenizer_config.json`;
  const decoder = readTokenizerConfig(dir)?.added_tokens_decoder ?? {};
  if (!isObject(decoder)) throw mismatch(path, "added_tokens_decoder", decoder, "an object");
  return Object.entries(decoder).map(([id, json]) => {
    const field = `added_tokens_decoder[${show(id)}]`;
    if (!isObject(json)) throw mismatch(path, field, json, "an object");
    return { path, field, id: Number(id), json };
  });
}

/** added_tokens.json of the older layout: from texts to ids. */
function listedEntries(dir: string): Entry[] {
  const path = `${dir}/added_tokens.json`;
  return Object.entries(readJsonObject(path) ?? {}).map(([content, id]) => {
    return { path, field: show(content), id, json: { content, normalized: false } };
  });
}

function addedToken({ path, field, id, json }: Entry): AddedToken {
  const { content, special, normalized, lstrip, rstrip, single_word } = json;
  if (!isTokenId(id)) throw mismatch(path, `${field}.id`, id, TOKEN_ID);
  if (typeof content !== "string" || content === "") {
    throw mismatch(path, `${field}.content`, content, "a text that is not empty");
  }
  if (single_word === true) {
    throw new Error(
      `${path}: ${field}.single_word is true, expected false: a token that is found only between ` +
        "words is not supported. Use another model.",
    );
  }
  return {
    id,
    content,
    special: special === true,
    normalized: normalized === undefined ? special !== true : normalized === true,
    lstrip: lstrip === true,
    rstrip: rstrip === true,
  };
}
