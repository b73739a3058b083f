/** The files of a model folder that the text side reads: in bounded memory, checked. */
import {
  decodeText,
  isJsonObject,
  isThere,
  type JsonObject,
  parseJsonObject,
  readPlainFile,
} from "../weights/json_file.ts";
import { ModelFileError, show as shown } from "../weights/model_file_error.ts";

export { isJsonObject as isObject, type JsonObject } from "../weights/json_file.ts";

/** The error of a file that text is converted with: a tokenizer or a chat template. */
export class TextFileError extends ModelFileError {}

/** Limit of the small files in bytes; published ones have up to 400 kB. */
const MAX_CONFIG_BYTES = 4 << 20;

/**
 * tokenizer_config.json of a model folder; undefined when there is none.
 * @throws {TextFileError} when it is too large or not a JSON object
 */
export function readTokenizerConfig(dir: string): JsonObject | undefined {
  return readJsonObject(`${dir}/tokenizer_config.json`);
}

/**
 * A text file of a model folder; undefined when it is not there.
 * @throws {TextFileError} when it is larger than `maxBytes`, not a plain file, or not UTF-8
 */
export function readText(path: string, maxBytes: number): string | undefined {
  const bytes = readIfThere(path, maxBytes);
  return bytes && decodeText(bytes, path, "content", TextFileError);
}

/**
 * A JSON object in a file of a model folder; undefined when there is no such file.
 * @throws {TextFileError} when it is too large, not a plain file, or not a JSON object
 */
export function readJsonObject(path: string, maxBytes = MAX_CONFIG_BYTES): JsonObject | undefined {
  const bytes = readIfThere(path, maxBytes);
  return bytes && parseJsonObject(bytes, path, "content", TextFileError, { keys: "any" });
}

function readIfThere(path: string, maxBytes: number): Uint8Array<ArrayBuffer> | undefined {
  return isThere(path) ? readPlainFile(path, maxBytes, TextFileError) : undefined;
}

/** Advice at the end of an error about a broken file. */
export const AGAIN = "Download the folder again.";

/** What a thrown value says, without its full stop. */
export function messageOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, "");
}

/** A field of `json` that must hold an object. */
export function objectField(
  path: string,
  json: JsonObject,
  field: string,
  parent = "",
): JsonObject {
  const value = json[field];
  if (!isJsonObject(value)) throw mismatch(path, parent + field, value, "an object");
  return value;
}

/** The error for a field that is not as expected. */
export function mismatch(path: string, field: string, found: unknown, expected: string): Error {
  return new TextFileError({ file: path, field, found: show(found), expected, remedy: AGAIN });
}

/** A JSON value in an error: short, whatever the file holds. */
export function show(value: unknown): string {
  return value === undefined ? "missing" : shown(value);
}
