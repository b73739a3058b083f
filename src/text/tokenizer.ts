/**
 * Converts between text and token ids with tokenizer.json, the byte-level BPE of LLaDA checkpoints.
 */
import { BPE, Tokenizer } from "npm:@huggingface/tokenizers@0.2.0";
import type { AddedToken } from "./added_tokens.ts";
import { AGAIN, messageOf } from "./folder_file.ts";
import { BYTE_CHARACTERS, type PreTokenize } from "./pre_tokenizer.ts";
import { withinTime } from "./time_limit.ts";
import { checkPatterns } from "./slow_patterns.ts";
import { readTokenizerFile, type TokenizerFile } from "./tokenizer_file.ts";

/** Limit of a text to encode, in UTF-16 units: several contexts. */
export const MAX_TEXT_LENGTH = 1 << 20;

/**
 * Longest piece, in byte-level spelling, whose tokens are remembered: about any word. The library
 * keeps 10,000 pieces, and by itself those of up to 255 characters. Such long ones hardly come
 * again, but clients that send nothing else would make it keep 36 MB.
 */
const MOST_REMEMBERED = 48;

/**
 * Text <-> token ids. Text is always plain: the text of a control token (`<|eot_id|>`) becomes the
 * tokens of its characters, never its id, unless {@linkcode TextTokenizer.encodeWithControl} is
 * asked. Tokens that the folder adds without calling them special are part of plain text.
 */
export class TextTokenizer {
  /** Text and id of each control token: those that any file of the folder calls special. */
  readonly controlTokens: ReadonlyMap<string, number>;
  readonly #plain: Tokenizer;
  readonly #idByText: ReadonlyMap<string, number>;
  readonly #textById: ReadonlyMap<number, string>;
  readonly #addedById: ReadonlyMap<number, AddedToken>;
  readonly #normalize: (text: string) => string;
  readonly #control: Found;
  /** Other added tokens, that are found before the normalizer. */
  readonly #before: Found;
  /** And behind it. */
  readonly #after: Found;
  readonly #cut: PreTokenize;
  /** Characters of the longest token, in byte-level spelling. */
  readonly #longest: number;

  /**
   * Makes a tokenizer of a checked tokenizer.json; {@linkcode loadTokenizer} reads one.
   * @throws {Error} when it has an unknown step (normalizer, pre-tokenizer)
   */
  constructor(file: TokenizerFile) {
    const vocab = Object.entries(file.vocab);
    const special = file.added.filter((token) => token.special);
    this.controlTokens = new Map(special.map((token) => [token.content, token.id]));
    this.#plain = plainTokenizer(file, this.controlTokens);
    this.#idByText = new Map([
      ...vocab,
      ...file.added.map(({ content, id }) => [content, id] as const),
    ]);
    this.#textById = new Map(vocab.map(([text, id]) => [id, text]));
    this.#addedById = new Map(file.added.map((token) => [token.id, token]));
    this.#control = finding(special.map((token) => [token.content, token]));
    const { normalizer } = this.#plain;
    this.#normalize = (text) => normalizer ? normalizer.normalize(text) : text;
    // Pieces come to it normalized and cut.
    this.#plain.normalizer = null;
    this.#cut = file.preTokenize;
    this.#longest = vocab.reduce((longest, [token]) => Math.max(longest, token.length), 1);
    const plain = file.added.filter((token) => !token.special);
    const isAfter = (token: AddedToken) => normalizer !== null && token.normalized;
    this.#before = finding(
      plain.filter((token) => !isAfter(token)).map((token) => [token.content, token]),
    );
    this.#after = finding(
      plain.filter(isAfter).map((token) => [this.#normalize(token.content), token]),
    );
  }

  /**
   * Token ids of plain text; they never contain a control token.
   * @param most tokens, behind which encoding stops: a long text then costs no more than a short one
   * @throws {RangeError} for text longer than {@linkcode MAX_TEXT_LENGTH}, or of more tokens
   * @throws {TimeLimitError} when the patterns of tokenizer.json take too long on it
   */
  encode(text: string, most = Infinity): number[] {
    checkLength(text);
    return withinTime("encoding the text", MAX_TIME, () => {
      const ids = new TokenList(most);
      this.#encodePlain(text, ids);
      return ids.list;
    });
  }

  /**
   * Token ids of text in which the text of a control token becomes that token; the longest match
   * counts. Only for text that the program wrote; `encodeChat` is for messages.
   * @param options.restore applied to each piece between control tokens before it is encoded as plain
   * text
   * @param options.most as for {@linkcode TextTokenizer.encode}
   * @throws as {@linkcode TextTokenizer.encode}
   */
  encodeWithControl(
    text: string,
    { restore = (piece: string) => piece, most = Infinity }: {
      readonly restore?: (piece: string) => string;
      readonly most?: number;
    } = {},
  ): number[] {
    checkLength(text);
    return withinTime("encoding the text", MAX_TIME, () => {
      const ids = new TokenList(most);
      encodeAround(this.#control, text, ids, (piece) => this.#encodePlain(piece, ids), restore);
      return ids.list;
    });
  }

  #encodePlain(text: string, ids: TokenList): void {
    encodeAround(this.#before, text, ids, (piece) => {
      encodeAround(this.#after, this.#normalize(piece), ids, (part) => this.#spell(part, ids));
    });
  }

  #spell(text: string, ids: TokenList): void {
    for (const piece of this.#cut(text)) {
      // Spelling one long word takes time and memory: whether there is room is known before.
      ids.checkRoom(Math.ceil(piece.length / this.#longest));
      ids.add(this.#plain.encode(piece, { add_special_tokens: false }).ids);
    }
  }

  /** Every text with an id, and its id: more than encoding may produce, and nothing it may not. */
  get tokens(): Iterable<readonly [text: string, id: number]> {
    return this.#idByText;
  }

  /** Ids of the control tokens in a text, as {@linkcode encodeWithControl} would find them. */
  controlTokensIn(text: string): number[] {
    return [...text.matchAll(this.#control.pattern)].map(([token]) =>
      this.controlTokens.get(token)!
    );
  }

  /** The text of token ids; control tokens and ids without text are left out. */
  decode(ids: Iterable<number>): string {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let text = "";
    for (const id of ids) text += decoder.decode(this.tokenBytes(id), { stream: true });
    return text + decoder.decode();
  }

  /**
   * One token alone as text: a control token by its name, U+FFFD for part of a character, "" for an
   * id without text.
   */
  tokenText(id: number): string {
    return this.#addedById.get(id)?.content ?? this.decode([id]);
  }

  /**
   * The UTF-8 bytes that a token adds to a text, often only a part of a character. Control tokens
   * and ids without text add none.
   */
  tokenBytes(id: number): Uint8Array<ArrayBuffer> {
    const added = this.#addedById.get(id);
    if (added) return added.special ? new Uint8Array() : new TextEncoder().encode(added.content);
    return spelledBytes(this.#textById.get(id) ?? "");
  }

  /** Whether an id is that of a control token. */
  isSpecial(id: number): boolean {
    return this.#addedById.get(id)?.special ?? false;
  }

  /**
   * The id of a token by its text in tokenizer.json, such as `<|eot_id|>`; undefined when there is
   * none.
   */
  idOf(token: string): number | undefined {
    return this.#idByText.get(token);
  }
}

/**
 * Reads the tokenizer of a model folder: tokenizer.json, and the tokens that tokenizer_config.json,
 * added_tokens.json and special_tokens_map.json (those that are there) add.
 * @param most tokens that its vocabulary may have: those that the model has an embedding for
 * @throws when a file is missing, too large, not JSON, or not a byte-level BPE tokenizer
 */
export function loadTokenizer(dir: string, most?: number): TextTokenizer {
  const file = readTokenizerFile(dir, most);
  let tokenizer: TextTokenizer;
  try {
    tokenizer = new TextTokenizer(file);
  } catch (cause) {
    throw new Error(`${dir}/tokenizer.json: ${messageOf(cause)}. ${AGAIN}`, { cause });
  }
  checkPatterns(`${dir}/tokenizer.json`, file.json, (text) => tokenizer.encode(text));
  return tokenizer;
}

/** Milliseconds for a text; one that fills a context takes some 20. */
const MAX_TIME = 1000;

/** Token ids, of which there may be so many. */
class TokenList {
  readonly list: number[] = [];
  constructor(readonly most: number) {}

  /** @throws {RangeError} when `count` more would be too many */
  checkRoom(count: number): void {
    if (this.list.length + count <= this.most) return;
    throw new RangeError(`the text has more than ${this.most} tokens: shorten it`);
  }

  add(ids: readonly number[]): void {
    this.checkRoom(ids.length);
    for (const id of ids) this.list.push(id);
  }
}

/** Adds the ids of the tokens found in a text, and has the pieces between them encoded. */
function encodeAround(
  { pattern, tokens }: Found,
  text: string,
  ids: TokenList,
  encode: (piece: string) => void,
  restore: (piece: string) => string = (piece) => piece,
): void {
  let end = 0;
  let stripStart = false;
  const encodePiece = (piece: string, stripEnd: boolean) => {
    let plain = restore(piece);
    if (stripStart) plain = plain.replace(SPACE_AT_START, "");
    if (stripEnd) plain = plain.replace(SPACE_AT_END, "");
    if (plain !== "") encode(plain);
  };
  for (const match of text.matchAll(pattern)) {
    const token = tokens.get(match[0])!;
    encodePiece(text.slice(end, match.index), token.lstrip);
    ids.add([token.id]);
    stripStart = token.rstrip;
    end = match.index + match[0].length;
  }
  encodePiece(text.slice(end), false);
}

function checkLength(text: string): void {
  if (text.length <= MAX_TEXT_LENGTH) return;
  throw new RangeError(
    `the text has ${text.length} characters, expected at most ${MAX_TEXT_LENGTH}: shorten it`,
  );
}

/**
 * The library's tokenizer without added tokens: it then has no id to give for their text. A
 * vocabulary may list them too, and with `ignore_merges` one typed out would be found there.
 */
function plainTokenizer(file: TokenizerFile, control: ReadonlyMap<string, number>): Tokenizer {
  const controlIds = new Set(control.values());
  const isPlain = (token: unknown) =>
    typeof token === "string" && !control.has(token) && !controlIds.has(file.vocab[token]);
  const tokenizer = new Tokenizer({
    normalizer: file.json.normalizer ?? null,
    pre_tokenizer: null,
    post_processor: null,
    decoder: file.json.decoder,
    added_tokens: [],
    model: {
      ...file.model,
      vocab: Object.fromEntries(Object.entries(file.vocab).filter(([token]) => isPlain(token))),
      merges: file.merges.filter(([left, right]) => isPlain(left + right)),
      unk_token: isPlain(file.model.unk_token) ? file.model.unk_token : null,
    },
  }, { clean_up_tokenization_spaces: false });
  // The length from which it remembers none.
  if (tokenizer.model instanceof BPE) tokenizer.model.max_length_to_cache = MOST_REMEMBERED + 1;
  return tokenizer;
}

/** White space of Unicode; that of JavaScript differs. */
const SPACE_AT_START = /^\p{White_Space}+/u;
const SPACE_AT_END = /(?<!\p{White_Space})\p{White_Space}+$/u;

/** Tokens by the text that stands for them, and a pattern for the longest at each place. */
interface Found {
  readonly pattern: RegExp;
  readonly tokens: ReadonlyMap<string, AddedToken>;
}

function finding(tokens: readonly (readonly [text: string, token: AddedToken])[]): Found {
  const texts = tokens.map(([text]) => text).filter((text) => text !== "");
  const longestFirst = texts.sort((a, b) => b.length - a.length);
  // One that never matches, where there are none.
  const pattern = new RegExp(longestFirst.map(literalPattern).join("|") || "(?!)", "g");
  return { pattern, tokens: new Map(tokens) };
}

/** A regular expression that matches exactly this text. */
export function literalPattern(text: string): string {
  return Array.from({ length: text.length }, (_, i) => {
    return `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`;
  }).join("");
}

const BYTE_BY_CHARACTER = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

/** Bytes of a token in byte-level spelling; for any other token, the bytes of its own text. */
function spelledBytes(token: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = BYTE_BY_CHARACTER.get(token[i]);
    if (byte === undefined) return new TextEncoder().encode(token);
    bytes[i] = byte;
  }
  return bytes;
}
