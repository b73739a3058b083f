/** tokenizer.json of a model folder, checked before anything uses it. */
import { type AddedToken, isTokenId, readAddedTokens, TOKEN_ID } from "./added_tokens.ts";
import {
  AGAIN,
  type JsonObject,
  mismatch,
  objectField,
  readJsonObject,
  show,
} from "./folder_file.ts";
import { checkNormalizer } from "./normalizer.ts";
import { type PreTokenize, readPreTokenizer } from "./pre_tokenizer.ts";

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
  /** `added_tokens`, and what other files of the folder add. */
  readonly added: readonly AddedToken[];
  /** `pre_tokenizer`: cuts text into the pieces that the BPE spells. */
  readonly preTokenize: PreTokenize;
}

/** LLaDA's has 7 MB, the largest published ones some 30. */
const MAX_TOKENIZER_BYTES = 32 << 20;
/** Merges for each token of the vocabulary; published tokenizers have up to 2.2. */
const MAX_MERGES = 8;

/**
 * Reads and checks tokenizer.json of a model folder.
 * @param most tokens that its vocabulary may have: those that the model has an embedding for
 * @throws {Error} when it is missing, too large, not JSON, or not a byte-level BPE tokenizer
 */
export function readTokenizerFile(dir: string, most = Infinity): TokenizerFile {
  const path = `${dir}/tokenizer.json`;
  const json = readJsonObject(path, MAX_TOKENIZER_BYTES);
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
  if (model.dropout) expectEqual(path, "model.dropout", model.dropout, null);
  checkNormalizer(path, json.normalizer);
  const preTokenize = readPreTokenizer(path, json.pre_tokenizer);
  const vocab = checkVocab(path, objectField(path, model, "vocab", "model."), most);
  const merges = checkMerges(path, model.merges, vocab);
  const added = readAddedTokens(dir, json.added_tokens ?? [], { vocab, merges });
  const unknown = model.unk_token ?? null;
  if (unknown !== null && !added.some(({ content }) => content === unknown)) {
    if (typeof unknown !== "string" || !Object.hasOwn(vocab, unknown)) {
      throw mismatch(path, "model.unk_token", unknown, "null or a token of model.vocab");
    }
  }
  return { json, model, vocab, merges, added, preTokenize };
}

function checkVocab(path: string, vocab: JsonObject, most: number): Record<string, number> {
  let count = 0;
  for (const token in vocab) {
    if (++count > most) {
      const expected = `at most ${most}, the model's embedding_size`;
      throw mismatch(path, "model.vocab's number of tokens", Object.keys(vocab).length, expected);
    }
    const id = vocab[token];
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
  const most = MAX_MERGES * Object.keys(vocab).length;
  if (merges.length > most) {
    const expected = `at most ${MAX_MERGES} for each token of model.vocab`;
    throw mismatch(path, "model.merges' number", merges.length, expected);
  }
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

function expectEqual(path: string, field: string, found: unknown, expected: unknown): void {
  if (found !== expected) {
    throw new Error(
      `${path}: ${field} is ${show(found)}, expected ${show(expected)}: only byte-level BPE ` +
        `tokenizers, as in LLaDA checkpoints, are supported.`,
    );
  }
}
