/**
 * Reads files of folders that anyone may have made: plain files of limited size, and JSON in strict
 * UTF-8 that holds one object, with bounds on what it becomes in memory.
 */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { type Finding, type ModelFileError, show } from "./model_file_error.ts";

/** A JSON object whose fields are not checked yet. */
export type JsonObject = { readonly [field: string]: unknown };

/** Class of the error to throw: `ConfigError` or `CheckpointError`. */
export type ErrorKind = new (finding: Finding) => ModelFileError;

/** Name of the record in a folder that is being written: it says what is being written. */
export const UNFINISHED = "unmask-unfinished.json";

/** Whether `value` is a JSON object (no array, no null). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Objects and lists within one another: more than any file of a model folder has. */
const MAX_DEPTH = 64;
/** Values in one file, by its commas: LLaDA's tokenizer.json has half a million, Llama 3's 0.7. */
const MAX_VALUES = 1_000_000;

/**
 * Reads a file that holds one JSON object, every key once.
 * @param limit limit of the file in bytes; a larger file is refused unread
 * @throws {ModelFileError} of the given kind, when it is missing, too large or not a JSON object
 */
export function readJsonObject(file: string, limit: number, kind: ErrorKind): JsonObject {
  return parseJsonObject(readPlainFile(file, limit, kind), file, "content", kind);
}

/**
 * Reads a file whole. A device or a pipe, which may have no end, is refused.
 * @param limit limit of the file in bytes; a larger file is refused unread
 * @throws {ModelFileError} of the given kind, when it is missing, not a plain file or too large
 */
export function readPlainFile(
  file: string,
  limit: number,
  kind: ErrorKind,
): Uint8Array<ArrayBuffer> {
  const size = fileSize(file, kind);
  if (size > limit) {
    throw new kind({ file, field: "size", found: `${size} bytes`, expected: `at most ${limit}` });
  }
  return Deno.readFileSync(file);
}

/** Whether there is anything of this name; what cannot be read is for its reader to name. */
export function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
  } catch (error) {
    return !(error instanceof Deno.errors.NotFound);
  }
  return true;
}

/**
 * Size of a file in bytes.
 * @throws {ModelFileError} of the given kind, when it is missing or not a plain file
 */
export function fileSize(file: string, kind: ErrorKind): number {
  try {
    const info = Deno.statSync(file);
    if (info.isFile) return info.size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new kind(missing(file));
    throw new kind(unreadable(file, error));
  }
  throw new kind({ file, field: "file", found: "a folder or device", expected: "a plain file" });
}

/** What the system says of a path that is no file: a folder that is a file, links in a circle, no permission. */
function unreadable(file: string, error: unknown): Finding {
  const dir = dirname(file);
  if (error instanceof Deno.errors.NotADirectory) {
    return {
      file: dir,
      field: "path",
      found: "a file",
      expected: "a model folder",
      remedy: `Give the folder that holds it: ${dirname(dir)}.`,
    };
  }
  const { name, message } = error as Error;
  const found = error instanceof Deno.errors.FilesystemLoop
    ? "in a circle of symbolic links"
    : error instanceof Deno.errors.PermissionDenied
    ? "not readable for this program"
    : `${name}: ${message.replace(/: stat .*$/, "")}`;
  const remedy = "Check the path and who may read it.";
  return { file, field: "file", found, expected: "a plain file", remedy };
}

function missing(file: string): Finding {
  const finding = { file, field: "file", found: "missing", expected: "a file of this name" };
  const dir = dirname(file);
  if (!existsSync(dir)) return { ...finding, remedy: `There is no folder ${dir}: check its name.` };
  if (!existsSync(join(dir, UNFINISHED))) return finding;
  return {
    ...finding,
    found: "missing, because the folder was not completely written",
    remedy: "Run the command that was writing the folder again: it goes on from where it stopped.",
  };
}

/**
 * Decodes text.
 * @param field name of the bytes, for the error
 * @throws {ModelFileError} of the given kind, when it is not UTF-8
 */
export function decodeText(
  bytes: Uint8Array<ArrayBuffer>,
  file: string,
  field: string,
  kind: ErrorKind,
): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new kind({ file, field, found: "not valid UTF-8", expected: "text in UTF-8" });
  }
}

/**
 * Decodes and parses one JSON object.
 * @param field name of the bytes, for the error
 * @param options.keys whether a key may stand twice in an object: published tokenizers are large,
 * and a vocabulary is checked by its ids anyway
 * @throws {ModelFileError} of the given kind
 */
export function parseJsonObject(
  bytes: Uint8Array<ArrayBuffer>,
  file: string,
  field: string,
  kind: ErrorKind,
  { keys = "once" }: { readonly keys?: "once" | "any" } = {},
): JsonObject {
  checkExtent(bytes, file, field, kind);
  const text = decodeText(bytes, file, field, kind);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new kind({ file, field, found: `not JSON (${show(text)})`, expected: "a JSON object" });
  }
  if (!isJsonObject(value)) {
    throw new kind({ file, field, found: show(value), expected: "a JSON object" });
  }
  const twice = keys === "once" ? duplicateKey(text) : undefined;
  if (twice !== undefined) {
    throw new kind({
      file,
      field,
      found: `an object that holds the key ${show(twice)} twice`,
      expected: "every key once",
    });
  }
  return value;
}

/**
 * Counts depth and values before anything is parsed: a file of 100 MB of brackets becomes gigabytes.
 * What is not JSON is for the parser to refuse.
 */
function checkExtent(bytes: Uint8Array, file: string, field: string, kind: ErrorKind): void {
  let depth = 0;
  let values = 1;
  let quoted = false;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) quoted = !quoted;
    else if (quoted) at += byte === BACKSLASH ? 1 : 0;
    else if (byte === COMMA) values++;
    else if (byte === OPEN_OBJECT || byte === OPEN_LIST) {
      if (++depth > MAX_DEPTH) {
        const expected = `at most ${MAX_DEPTH}`;
        throw new kind({ file, field: `${field}'s depth`, found: `above ${MAX_DEPTH}`, expected });
      }
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_LIST) depth--;
    if (values > MAX_VALUES) {
      const found = `above ${MAX_VALUES}`;
      const expected = `at most ${MAX_VALUES}`;
      throw new kind({ file, field: `${field}'s number of values`, found, expected });
    }
  }
}

const [QUOTE, BACKSLASH, COMMA, OPEN_OBJECT, CLOSE_OBJECT, OPEN_LIST, CLOSE_LIST] =
  new TextEncoder().encode('"\\,{}[]');

/**
 * Finds the first key that occurs twice in one object of `json`, which must be valid JSON.
 * `JSON.parse` silently keeps the last value, but another reader of the same file might keep the
 * first.
 */
export function duplicateKey(json: string): string | undefined {
  const open: (Set<string> | null)[] = []; // keys of the objects around, null for an array
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (character === "{") open.push(new Set());
    else if (character === "[") open.push(null);
    else if (character === "}" || character === "]") open.pop();
    else if (character === '"') {
      let end = at + 1;
      while (end < json.length && json[end] !== '"') end += json[end] === "\\" ? 2 : 1;
      let next = end + 1;
      while (" \t\r\n".includes(json[next] ?? "x")) next++;
      if (json[next] === ":") {
        const key = JSON.parse(json.slice(at, end + 1)) as string;
        const keys = open.at(-1);
        if (keys?.has(key)) return key;
        keys?.add(key);
      }
      at = end;
    }
  }
  return undefined;
}
