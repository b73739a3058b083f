/**
 * `pre_tokenizer` of tokenizer.json: how text is cut into the pieces that BPE spells. The library
 * compiles the patterns, which are written for Oniguruma; cutting is done here, as its own differs from
 * the Rust library, which is what published files are made with, in all but one behaviour.
 */
import { SplitPreTokenizer } from "npm:@huggingface/tokenizers@0.2.0";
import { isObject, type JsonObject, messageOf, mismatch, show } from "./folder_file.ts";

/** Text -> pieces in byte-level spelling, none of them empty. */
export type PreTokenize = (text: string) => string[];

/** A part of a text, and whether a pattern found it. */
interface Part {
  readonly text: string;
  readonly found: boolean;
}

/** Of `SplitDelimiterBehavior`: the parts of a text, in order -> pieces. */
const BEHAVIOURS: Readonly<Record<string, (parts: readonly Part[]) => string[]>> = {
  Isolated: (parts) => parts.map(({ text }) => text),
  Removed: (parts) => parts.filter(({ found }) => !found).map(({ text }) => text),
  Contiguous: (parts) => joined(parts, (part, before) => part.found === before),
  MergedWithPrevious: (parts) => joined(parts, (part, before) => part.found && !before),
  MergedWithNext: (parts) =>
    joined(
      parts.toReversed(),
      (part, before) => part.found && !before,
      (piece, text) => text + piece,
    )
      .reverse(),
};

/**
 * Joins each part to the piece before it where `joins` says so.
 * @param joins told the part, and whether the part before it was found: false before the first
 */
function joined(
  parts: readonly Part[],
  joins: (part: Part, before: boolean) => boolean,
  join = (piece: string, text: string) => piece + text,
): string[] {
  const pieces: string[] = [];
  let before = false;
  for (const part of parts) {
    if (pieces.length > 0 && joins(part, before)) pieces.push(join(pieces.pop()!, part.text));
    else pieces.push(part.text);
    before = part.found;
  }
  return pieces;
}

/** Of GPT-2: what a ByteLevel step cuts by, if asked to. */
const GPT2_PATTERN = {
  Regex: String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
};
const NUMERIC = { Regex: String.raw`\p{N}` };
const PUNCTUATION = { Regex: String.raw`[\p{P}\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E]` };

/**
 * Byte-level BPE spells each byte as one printable character: itself where Latin-1 has one, else the
 * next from U+0100 on (`bytes_to_unicode` in the GPT-2 code).
 */
export const BYTE_CHARACTERS: readonly string[] = byteCharacters();

function byteCharacters(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
    return String.fromCharCode(printable ? byte : next++);
  });
}

/**
 * Reads a pre-tokeniser that spells text in bytes: steps that cut, and among them ByteLevel.
 * @param path of tokenizer.json, for errors
 * @throws when a step is of another type, or not as it must be
 */
export function readPreTokenizer(path: string, json: unknown): PreTokenize {
  const steps = [...readSteps(path, "pre_tokenizer", json)];
  if (!steps.some(({ type }) => type === "ByteLevel")) {
    throw mismatch(path, "pre_tokenizer", json, "one with a ByteLevel step");
  }
  return (text) =>
    steps.reduce(
      (pieces, { cut }) => pieces.flatMap(cut).filter((piece) => piece !== ""),
      [text],
    );
}

/** One step: a piece -> pieces. */
interface Step {
  readonly type: string;
  readonly cut: PreTokenize;
}

function* readSteps(path: string, field: string, json: unknown): Generator<Step> {
  if (!isObject(json)) throw mismatch(path, field, json, "an object with a type");
  const type = String(json.type);
  switch (type) {
    case "Sequence": {
      const list = json.pretokenizers;
      if (!Array.isArray(list)) throw mismatch(path, `${field}.pretokenizers`, list, "a list");
      for (const [i, step] of list.entries()) {
        yield* readSteps(path, `${field}.pretokenizers[${i}]`, step);
      }
      return;
    }
    case "ByteLevel": {
      const split = json.use_regex === false ? undefined : cutting(GPT2_PATTERN, "Isolated");
      return yield { type, cut: byteLevel(json.add_prefix_space === true, split) };
    }
    case "Split":
      return yield { type, cut: readSplit(path, field, json) };
    case "Digits":
      return yield {
        type,
        cut: cutting(NUMERIC, json.individual_digits === true ? "Isolated" : "Contiguous"),
      };
    case "Punctuation":
      return yield { type, cut: cutting(PUNCTUATION, behaviourOf(path, field, json, "Isolated")) };
    default:
      throw new Error(
        `${path}: ${field}.type is ${
          show(json.type)
        }, expected Sequence, ByteLevel, Split, Digits ` +
          "or Punctuation: others are not supported. Use another model.",
      );
  }
}

function behaviourOf(path: string, field: string, json: JsonObject, usual?: string): string {
  const behaviour = json.behavior ?? usual;
  if (typeof behaviour === "string" && Object.hasOwn(BEHAVIOURS, behaviour)) return behaviour;
  const expected = `one of ${Object.keys(BEHAVIOURS).join(", ")}`;
  throw mismatch(path, `${field}.behavior`, json.behavior, expected);
}

function readSplit(path: string, field: string, json: JsonObject): PreTokenize {
  const behaviour = behaviourOf(path, field, json);
  const { pattern } = json;
  const [kind, source] = isObject(pattern) ? Object.entries(pattern)[0] ?? [] : [];
  if ((kind !== "Regex" && kind !== "String") || typeof source !== "string") {
    throw mismatch(path, `${field}.pattern`, pattern, "an object with Regex or String");
  }
  try {
    return cutting({ [kind]: source }, behaviour, json.invert === true);
  } catch (cause) {
    throw new Error(
      `${path}: ${field}.pattern is ${show(source)}, which is not supported ` +
        `(${messageOf(cause)}). Use another model.`,
      { cause },
    );
  }
}

/** @throws {SyntaxError} when the pattern cannot be a JavaScript one */
function cutting(
  pattern: { readonly Regex?: string; readonly String?: string },
  behaviour: string,
  invert = false,
): PreTokenize {
  const compiled = new SplitPreTokenizer({
    type: "Split",
    pattern,
    behavior: "Isolated",
    invert: false,
  }).pattern!;
  const toPieces = BEHAVIOURS[behaviour];
  return (text) => toPieces([...partsOf(text, compiled, invert)]);
}

function* partsOf(text: string, pattern: RegExp, invert: boolean): Generator<Part> {
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    if (match.index > end) yield { text: text.slice(end, match.index), found: invert };
    yield { text: match[0], found: !invert };
    end = match.index + match[0].length;
  }
  if (end < text.length) yield { text: text.slice(end), found: invert };
}

function byteLevel(addSpace: boolean, split: PreTokenize | undefined): PreTokenize {
  const encoder = new TextEncoder();
  const spell = (text: string) =>
    Array.from(encoder.encode(text), (byte) => BYTE_CHARACTERS[byte]).join("");
  return (text) => {
    const spaced = addSpace && !text.startsWith(" ") ? ` ${text}` : text;
    return (split?.(spaced) ?? [spaced]).map(spell);
  };
}
