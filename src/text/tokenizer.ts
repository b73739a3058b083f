/** tokenizer.json: text <-> token ids, for the byte-level BPE that LLaDA checkpoints carry. */
import { Tokenizer } from "npm:@huggingface/tokenizers@0.2.0";
import type { AddedToken } from "./added_tokens.ts";
import { AGAIN, messageOf } from "./folder_file.ts";
import { readTokenizerFile, type TokenizerFile } from "./tokenizer_file.ts";

/** Longest text that is encoded, in UTF-16 units: several contexts' worth, seconds at worst. */
export const MAX_TEXT_LENGTH = 1 << 20;

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
  readonly #controlPattern: RegExp;

  /**
   * Takes a checked tokenizer.json; {@linkcode loadTokenizer} reads one.
   * @throws when a step of it (normalizer, pre-tokenizer) is not known
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
   * Token ids of plain text; no control token comes out, whatever the text says.
   * @throws {RangeError} for text beyond {@linkcode MAX_TEXT_LENGTH}
   */
  encode(text: string): number[] {
    checkLength(text);
    return text === "" ? [] : this.#plain.encode(text, { add_special_tokens: false }).ids;
  }

  /**
   * Token ids of text in which the text of a control token means that token, at each place the
   * longest that fits. For text that the program wrote; `encodeChat` is for messages.
   * @param restore applied to each piece between control tokens before it is encoded as plain text
   * @throws {RangeError} for text beyond {@linkcode MAX_TEXT_LENGTH}
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

  /** Every text with an id, and its id: more than encoding may produce, and nothing it may not. */
  get tokens(): Iterable<readonly [text: string, id: number]> {
    return this.#idByText;
  }

  /** Ids of the control tokens in a text, as {@linkcode encodeWithControl} would find them. */
  controlTokensIn(text: string): number[] {
    return [...text.matchAll(this.#controlPattern)].map(([token]) =>
      this.controlTokens.get(token)!
    );
  }

  /** The text that ids stand for; control tokens and ids without text leave none. */
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
   * The UTF-8 bytes that a token adds to a text, often part of a character only; none for control
   * tokens and for ids without text.
   */
  tokenBytes(id: number): Uint8Array<ArrayBuffer> {
    const added = this.#addedById.get(id);
    if (added) return added.special ? new Uint8Array() : new TextEncoder().encode(added.content);
    return spelledBytes(this.#textById.get(id) ?? "");
  }

  /** Whether the id is a control token's. */
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
 * @throws when a file is missing, too large, not JSON, or not a byte-level BPE tokenizer
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
    `the text has ${text.length} characters, at most ${MAX_TEXT_LENGTH} are encoded: shorten it`,
  );
}

/**
 * The library's tokenizer without the control tokens: it then has no id to give for their text. A
 * vocabulary may list them too, and with `ignore_merges` one typed out would be found there.
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

/** A pattern for the longest of some texts at each place; for none, one that never matches. */
function longestOf(texts: readonly string[]): RegExp {
  const longestFirst = texts.toSorted((a, b) => b.length - a.length);
  return new RegExp(longestFirst.map(literalPattern).join("|") || "(?!)", "g");
}

/** A regular expression for exactly this text, unit by unit. */
export function literalPattern(text: string): string {
  return Array.from({ length: text.length }, (_, i) => {
    return `\\u${text.charCodeAt(i).toString(16).padStart(4, "0")}`;
  }).join("");
}

/**
 * Byte-level BPE spells each byte as one printable character: itself where Latin-1 has one, else the
 * next from U+0100 on (`bytes_to_unicode` in the GPT-2 code).
 */
const BYTE_BY_CHARACTER = new Map<string, number>();
for (let byte = 0, next = 256; byte < 256; byte++) {
  const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
  BYTE_BY_CHARACTER.set(String.fromCharCode(printable ? byte : next++), byte);
}

/** Bytes of a token in byte-level spelling; a token in no such spelling stands for itself. */
function spelledBytes(token: string): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = BYTE_BY_CHARACTER.get(token[i]);
    if (byte === undefined) return new TextEncoder().encode(token);
    bytes[i] = byte;
  }
  return bytes;
}
