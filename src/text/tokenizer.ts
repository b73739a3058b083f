/**
 * Converts between text and token ids with tokenizer.json, the byte-level BPE of LLaDA checkpoints.
 */
import { Tokenizer } from "npm:@huggingface/tokenizers@0.2.0";
import {
  type AddedToken,
  AGAIN,
  messageOf,
  readTokenizerFile,
  type TokenizerFile,
} from "./tokenizer_file.ts";

/** Limit of a text to encode, in UTF-16 units: several contexts, which takes seconds at worst. */
export const MAX_TEXT_LENGTH = 1 << 20;

/**
 * Converts between text and token ids. The text of a control token (`<|eot_id|>`) becomes the
 * tokens of its characters and never its id, except in {@linkcode TextTokenizer.encodeWithControl}.
 * Added tokens that tokenizer.json does not mark as `special` are part of plain text.
 */
export class TextTokenizer {
  /** Text and id of each control token: the tokens that tokenizer.json marks as `special`. */
  readonly controlTokens: ReadonlyMap<string, number>;
  readonly #plain: Tokenizer;
  readonly #idByText: ReadonlyMap<string, number>;
  readonly #textById: ReadonlyMap<number, string>;
  readonly #addedById: ReadonlyMap<number, AddedToken>;
  readonly #controlPattern: RegExp;

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
    this.#controlPattern = longestOf([...this.controlTokens.keys()]);
  }

  /**
   * Token ids of plain text; they never contain a control token.
   * @throws {RangeError} for text longer than {@linkcode MAX_TEXT_LENGTH}
   */
  encode(text: string): number[] {
    checkLength(text);
    return text === "" ? [] : this.#plain.encode(text, { add_special_tokens: false }).ids;
  }

  /**
   * Token ids of text in which the text of a control token becomes that token; the longest match
   * counts. Only for text that the program wrote; `encodeChat` is for messages.
   * @param restore applied to each piece between control tokens before it is encoded as plain text
   * @throws {RangeError} for text longer than {@linkcode MAX_TEXT_LENGTH}
   */
  encodeWithControl(text: string, restore: (piece: string) => string = (piece) => piece): number[] {
    checkLength(text);
    const ids: number[] = [];
    let end = 0;
    let stripStart = false;
    const encodePiece = (piece: string, stripEnd: boolean) => {
      let plain = restore(piece);
      if (stripStart) plain = plain.trimStart();
      if (stripEnd) plain = plain.trimEnd();
      for (const id of this.encode(plain)) ids.push(id);
    };
    for (const match of text.matchAll(this.#controlPattern)) {
      const id = this.controlTokens.get(match[0])!;
      const token = this.#addedById.get(id)!;
      encodePiece(text.slice(end, match.index), token.lstrip);
      ids.push(id);
      stripStart = token.rstrip;
      end = match.index + match[0].length;
    }
    encodePiece(text.slice(end), false);
    return ids;
  }

  /** Ids of the control tokens in a text, as {@linkcode encodeWithControl} would find them. */
  controlTokensIn(text: string): number[] {
    return [...text.matchAll(this.#controlPattern)].map(([token]) =>
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
 * Reads the tokenizer of a model folder: tokenizer.json, and the tokens that tokenizer_config.json
 * adds if that file exists.
 * @throws {Error} when a file is missing, too large, not JSON, or not a byte-level BPE tokenizer
 */
export async function loadTokenizer(dir: string): Promise<TextTokenizer> {
  const file = await readTokenizerFile(dir);
  try {
    return new TextTokenizer(file);
  } catch (cause) {
    throw new Error(`${dir}/tokenizer.json: ${messageOf(cause)}. ${AGAIN}`, { cause });
  }
}

function checkLength(text: string): void {
  if (text.length <= MAX_TEXT_LENGTH) return;
  throw new RangeError(
    `the text has ${text.length} characters, expected at most ${MAX_TEXT_LENGTH}: shorten it`,
  );
}

/**
 * Makes the library's tokenizer without the control tokens, so that their text never becomes their
 * ids. They are also removed from the vocabulary: with `ignore_merges` their text would be found
 * there.
 */
function plainTokenizer(file: TokenizerFile, control: ReadonlyMap<string, number>): Tokenizer {
  const controlIds = new Set(control.values());
  const isPlain = (token: unknown) =>
    typeof token === "string" && !control.has(token) && !controlIds.has(file.vocab[token]);
  return new Tokenizer({
    normalizer: file.json.normalizer ?? null,
    pre_tokenizer: file.json.pre_tokenizer,
    post_processor: null,
    decoder: file.json.decoder,
    added_tokens: file.added.filter((token) => !token.special),
    model: {
      ...file.model,
      vocab: Object.fromEntries(Object.entries(file.vocab).filter(([token]) => isPlain(token))),
      merges: file.merges.filter(([left, right]) => isPlain(left + right)),
      unk_token: isPlain(file.model.unk_token) ? file.model.unk_token : null,
    },
  }, { clean_up_tokenization_spaces: false });
}

/** A pattern that matches the longest of some texts at a place; without texts it never matches. */
function longestOf(texts: readonly string[]): RegExp {
  const longestFirst = texts.toSorted((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map(literalPattern).join("|") || "(?!)", "g");
}

/** A regular expression that matches exactly this text. */
export function literalPattern(text: string): string {
  return Array.from({ length: text.length }, (_, i) => {
    return `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`;
  }).join("");
}

/**
 * Byte-level BPE writes each byte as one printable character: the Latin-1 character if it is
 * printable, else the next unused one from U+0100 on (`bytes_to_unicode` in the GPT-2 code).
 */
const BYTE_BY_CHARACTER = new Map<string, number>();
for (let byte = 0, next = 256; byte < 256; byte++) {
  const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  BYTE_BY_CHARACTER.set(String.fromCharCode(printable ? byte : next++), byte);
}

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
