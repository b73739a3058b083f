/**
 * The file of API keys: one a line, without the spaces around it, and behind it what it may do.
 *
 * ```
 * # who asks
 * sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 name=alice priority=2
 * a-key-as-it-is requests_per_minute=60 tokens_per_minute=20000 concurrent=4
 * ```
 *
 * `#` begins a line that is a comment. A line without fields is a key as a whole, spaces in it included.
 */
import { type ApiKey, keyDigest } from "./api_keys.ts";

/** Lowest and highest priority. */
const PRIORITIES = [-9, 9] as const;
/** Bound of counts. */
const MOST = 1e9;
/** What may stand behind a key. */
const FIELDS = {
  name: named,
  priority: whole("priority", ...PRIORITIES),
  requests_per_minute: whole("requestsPerMinute", 1, MOST),
  tokens_per_minute: whole("tokensPerMinute", 1, MOST),
  concurrent: whole("concurrent", 1, MOST),
} as const;

type FieldName = keyof typeof FIELDS;

/** A line's key, and whether it is written as it is, not as its digest. */
export interface KeyLine {
  readonly key: ApiKey;
  readonly isPlain: boolean;
}

/**
 * The keys of a file.
 * @throws {Error} naming the line and the field, and nothing of a key
 */
export function keysOfFile(text: string): readonly KeyLine[] {
  const found = new Map<string, { readonly line: number; readonly hasFields: boolean }>();
  return text.split("\n").flatMap((written, index) => {
    const line = index + 1;
    const trimmed = written.trim();
    if (/^(#|$)/.test(trimmed)) return [];
    const [first, ...words] = trimmed.split(/\s+/);
    const hasFields = words.some((word) => word.includes("=") || isField(word.replace(/:$/, "")));
    const text = hasFields ? first : trimmed;
    const digest = keyDigest(text);
    const before = found.get(digest);
    // Which of two limits holds should not depend on the order of lines.
    if (before && (before.hasFields || hasFields)) {
      throw new Error(`line ${line}: the key of line ${before.line} again: give each key one line`);
    }
    found.set(digest, { line, hasFields });
    const fields = hasFields ? fieldsOf(words, line) : {};
    return [{ key: { digest, ...fields }, isPlain: digest !== text.toLowerCase() }];
  });
}

function isField(word: string): word is FieldName {
  return Object.hasOwn(FIELDS, word);
}

function fieldsOf(words: readonly string[], line: number): Partial<ApiKey> {
  const fields: Partial<ApiKey> = {};
  const seen = new Set<FieldName>();
  for (const word of words) {
    const name = word.split("=", 1)[0];
    const value = word.slice(name.length + 1);
    const wrong = (what: string) => new Error(`line ${line}: ${what}`);
    if (!isField(name)) {
      // Part of a key may stand here: it is not shown as a whole.
      const known = Object.keys(FIELDS).map((one) => `${one}=`).join(", ");
      throw wrong(`unknown field ${JSON.stringify(name.slice(0, 24))}: expected ${known}`);
    }
    if (seen.has(name)) throw wrong(`${name} is there twice`);
    seen.add(name);
    if (!word.includes("=")) {
      throw wrong(`${name} has no value: write ${name}=VALUE, without spaces`);
    }
    const read = FIELDS[name](value);
    if (typeof read === "string") {
      throw wrong(`${name} is ${JSON.stringify(value)}: expected ${read}`);
    }
    Object.assign(fields, read);
  }
  return fields;
}

/** Reads a whole number. @returns what it sets, or what was expected */
function whole(
  sets: "priority" | "requestsPerMinute" | "tokensPerMinute" | "concurrent",
  least: number,
  most: number,
): (value: string) => Partial<ApiKey> | string {
  return (value) => {
    const number = /^-?\d+$/.test(value) ? Number(value) : NaN;
    return number >= least && number <= most
      ? { [sets]: number }
      : `a whole number from ${least} to ${most}`;
  };
}

function named(value: string): Partial<ApiKey> | string {
  return /^[\w.-]{1,64}$/.test(value)
    ? { name: value }
    : "1 to 64 letters, digits, dots, dashes and underscores";
}
