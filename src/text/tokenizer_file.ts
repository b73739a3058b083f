/** Reads and checks the text files of a model folder, with limits on their size. */

/** A token that tokenizer.json adds to the vocabulary of its model. */
export interface AddedToken {
  /** Id of the token; it overrides the id that the model's vocabulary has for this text. */
  readonly id: number;
  /** Text of the token. */
  readonly content: string;
  /** Whether it is a control token: never shown, and never made from text that a user typed. */
  readonly special: boolean;
  /** Whether it is searched for after normalization instead of before. */
  readonly normalized: boolean;
  /** Whether it includes the white space before it. */
  readonly lstrip: boolean;
  /** Whether it includes the white space after it. */
  readonly rstrip: boolean;
}

/** The checked content of tokenizer.json of a byte-level BPE tokenizer. */
export interface TokenizerFile {
  /** The whole file, for fields that only the tokenizer library reads. */
  readonly json: JsonObject;
  /** `model`: the BPE model. */
  readonly model: JsonObject;
  /** `model.vocab`: token in its byte-level spelling -> id. */
  readonly vocab: Readonly<Record<string, number>>;
  /** `model.merges`: pairs that become one token, in order of priority. */
  readonly merges: readonly (readonly [string, string])[];
  /** `added_tokens`, and the tokens that only tokenizer_config.json adds. */
  readonly added: readonly AddedToken[];
}

/** A JSON object whose fields are not checked yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

const MAX_TOKENIZER_BYTES = 128 << 20;
const MAX_CONFIG_BYTES = 16 << 20;
/** Limit of ids, which the tokenizer library uses as array indexes. */
const MAX_TOKEN_ID = (1 << 24) - 1;

/**
 * Reads and checks tokenizer.json of a model folder.
 * @throws {Error} when it is missing, too large, not JSON, or not a byte-level BPE tokenizer
 */
export async function readTokenizerFile(dir: string): Promise<TokenizerFile> {
  const path = `${dir}/tokenizer.json`;
  const json = await readJsonObject(path, MAX_TOKENIZER_BYTES);
  if (!json) {
    throw new Error(
      `${path} is missing: text cannot be converted to token ids without it. ${AGAIN}`,
    );
  }
  const model = objectField(path, json, "model");
  expectEqual(path, "model.type", model.type, "BPE");
  for (const field of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    if (model[field]) expectEqual(path, `model.${field}`, model[field], null);
  }
  expectEqual(path, "decoder.type", objectField(path, json, "decoder").type, "ByteLevel");
  if (!mapsBytes(json.pre_tokenizer)) {
    throw mismatch(path, "pre_tokenizer", json.pre_tokenizer, "one with a ByteLevel step");
  }
  const vocab = checkVocab(path, objectField(path, model, "vocab", "model."));
  const added = checkAdded(path, json.added_tokens ?? []);
  const merges = checkMerges(path, model.merges, vocab);
  const unknown = model.unk_token ?? null;
  if (unknown !== null && !added.some(({ content }) => content === unknown)) {
    if (typeof unknown !== "string" || !Object.hasOwn(vocab, unknown)) {
      throw mismatch(path, "model.unk_token", unknown, "null or a token of model.vocab");
    }
  }
  return { json, model, vocab, merges, added: [...added, ...await addedByConfig(dir, added)] };
}

/**
 * Reads tokenizer_config.json of a model folder; undefined if there is none.
 * @throws {Error} when it is too large or not a JSON object
 */
export function readTokenizerConfig(dir: string): Promise<JsonObject | undefined> {
  return readJsonObject(`${dir}/tokenizer_config.json`, MAX_CONFIG_BYTES);
}

/**
 * Reads a text file of a model folder; undefined if it does not exist.
 * @throws {Error} when it is larger than `maxBytes`, not UTF-8 or not readable
 */
export async function readText(path: string, maxBytes: number): Promise<string | undefined> {
  try {
    const { size } = await Deno.stat(path);
    if (size > maxBytes) {
      throw new Error(`it has ${size} bytes, expected at most ${maxBytes}`);
    }
    return new TextDecoder("utf-8", { fatal: true }).decode(await Deno.readFile(path));
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new Error(`${path} cannot be read: ${messageOf(cause)}. ${AGAIN}`, { cause });
  }
}

/** Advice at the end of an error about a broken file. */
export const AGAIN = "Download the folder again.";

/** Message of a thrown value, without the full stop at its end. */
export function messageOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, "");
}

/** Whether a JSON value is an object (no array, no null). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

async function readJsonObject(path: string, maxBytes: number): Promise<JsonObject | undefined> {
  const text = await readText(path, maxBytes);
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${path} is not JSON: ${messageOf(cause)}. ${AGAIN}`, { cause });
  }
  if (!isObject(value)) throw mismatch(path, "content", value, "a JSON object");
  return value;
}

function checkVocab(path: string, vocab: JsonObject): Record<string, number> {
  for (const [token, id] of Object.entries(vocab)) {
    if (!isTokenId(id)) throw mismatch(path, `model.vocab[${show(token)}]`, id, TOKEN_ID);
  }
  return vocab as Record<string, number>;
}

/** Checks merges, which may be written as `"a b"` or as `["a", "b"]`. */
function checkMerges(
  path: string,
  merges: unknown,
  vocab: Record<string, number>,
): [string, string][] {
  if (!Array.isArray(merges)) throw mismatch(path, "model.merges", merges, "an array");
  return merges.map((merge: unknown, index) => {
    const parts: unknown = typeof merge === "string" ? merge.split(" ") : merge;
    const [left, right] = Array.isArray(parts) && parts.length === 2 ? parts : [];
    if (typeof left !== "string" || typeof right !== "string") {
      throw mismatch(path, `model.merges[${index}]`, merge, "two tokens");
    }
    for (const token of [left, right, left + right]) {
      if (!Object.hasOwn(vocab, token)) {
        const found = `${show(merge)}, but model.vocab has no ${show(token)}`;
        throw new Error(`${path}: model.merges[${index}] is ${found}. ${AGAIN}`);
      }
    }
    return [left, right];
  });
}

function checkAdded(path: string, added: unknown): AddedToken[] {
  if (!Array.isArray(added)) throw mismatch(path, "added_tokens", added, "an array");
  return added.map((token: unknown, index) => {
    const field = `added_tokens[${index}]`;
    if (!isObject(token)) throw mismatch(path, field, token, "an object");
    return addedToken(path, field, token, token.id);
  });
}

/** Tokens that only tokenizer_config.json adds; they count too, as in the transformers library. */
async function addedByConfig(dir: string, known: readonly AddedToken[]): Promise<AddedToken[]> {
  const path = `${dir}/tokenizer_config.json`;
  const decoder = (await readTokenizerConfig(dir))?.added_tokens_decoder ?? {};
  if (!isObject(decoder)) throw mismatch(path, "added_tokens_decoder", decoder, "an object");
  const ids = new Set(known.map((token) => token.id));
  const contents = new Set(known.map((token) => token.content));
  return Object.entries(decoder).map(([id, token]) => {
    const field = `added_tokens_decoder[${show(id)}]`;
    if (!isObject(token)) throw mismatch(path, field, token, "an object");
    return addedToken(path, field, token, Number(id));
  }).filter((token) => !ids.has(token.id) && !contents.has(token.content));
}

function addedToken(path: string, field: string, token: JsonObject, id: unknown): AddedToken {
  const { content, special, normalized, lstrip, rstrip } = token;
  if (!isTokenId(id)) throw mismatch(path, `${field}.id`, id, TOKEN_ID);
  if (typeof content !== "string" || content === "") {
    throw mismatch(path, `${field}.content`, content, "a text that is not empty");
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

const TOKEN_ID = `an integer from 0 to ${MAX_TOKEN_ID}`;

function isTokenId(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= MAX_TOKEN_ID;
}

/** Whether a pre-tokenizer is byte-level, alone or as a step of a Sequence. */
function mapsBytes(preTokenizer: unknown): boolean {
  if (!isObject(preTokenizer)) return false;
  const { type, pretokenizers } = preTokenizer;
  return type === "ByteLevel" || (Array.isArray(pretokenizers) && pretokenizers.some(mapsBytes));
}

function objectField(path: string, json: JsonObject, field: string, parent = ""): JsonObject {
  const value = json[field];
  if (!isObject(value)) throw mismatch(path, parent + field, value, "an object");
  return value;
}

function expectEqual(path: string, field: string, found: unknown, expected: unknown): void {
  if (found !== expected) {
    throw new Error(
      `${path}: ${field} is ${show(found)}, expected ${show(expected)}: only byte-level BPE ` +
        `tokenizers, as in LLaDA checkpoints, are supported.`,
    );
  }
}

function mismatch(path: string, field: string, found: unknown, expected: string): Error {
  return new Error(`${path}: ${field} is ${show(found)}, expected ${expected}. ${AGAIN}`);
}

/** Formats a JSON value for an error, cut to a short text. */
function show(value: unknown): string {
  if (value === undefined) return "missing";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
