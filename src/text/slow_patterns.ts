/**
 * Tries the regular expressions of a tokenizer.json on short texts that a bad one takes ages for. Not
 * every bad one is found so; encoding has a time limit too. But this is known before anyone asks.
 */
import { isObject, type JsonObject, TextFileError } from "./folder_file.ts";
import { TimeLimitError, withinTime } from "./time_limit.ts";

/** Milliseconds for all texts together; published patterns take some 10. */
const MAX_TIME = 400;
/** Characters in a row: an expression that tries all ways to split them never ends. */
const RUN = 48;
/** Kinds of characters that patterns tell apart. */
const KINDS = ["a", "A", "0", " ", "\n", ".", "é", "中"];

/**
 * Encodes runs of each kind of character, and of each that a pattern names.
 * @param path of tokenizer.json, for errors
 * @throws {TextFileError} naming the pattern, when it takes too long
 */
export function checkPatterns(
  path: string,
  { normalizer, pre_tokenizer }: JsonObject,
  encode: (text: string) => void,
): void {
  const patterns = [...regexesIn(normalizer), ...regexesIn(pre_tokenizer)];
  if (patterns.length === 0) return;
  const named = new Set(patterns.flatMap((pattern) => pattern.match(/[\p{L}\p{N}]/gu) ?? []));
  const runs = [...new Set([...KINDS, ...named])].slice(0, 64).map((kind) => kind.repeat(RUN));
  try {
    withinTime("a pattern", MAX_TIME, () => {
      for (const run of runs) encode(`${run}\u{1}`);
    });
  } catch (error) {
    if (!(error instanceof TimeLimitError)) throw error;
    throw new TextFileError({
      file: path,
      field: patterns.length === 1 ? "the pattern" : "one of the patterns",
      found: `too slow on ${RUN} characters: ${patterns.join(" , ").slice(0, 200)}`,
      expected: `one that takes less than ${MAX_TIME} ms`,
      remedy: "Do not use this folder: it is broken, or made to stop whoever loads it.",
    });
  }
}

function regexesIn(step: unknown): string[] {
  if (Array.isArray(step)) return step.flatMap(regexesIn);
  if (!isObject(step)) return [];
  if (typeof step.Regex === "string") return [step.Regex];
  return Object.values(step).flatMap(regexesIn);
}
