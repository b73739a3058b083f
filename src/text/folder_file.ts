/** The files of a model folder that the text side reads: in bounded memory, checked. */

/** A JSON object whose fields are not checked yet. */
export type JsonObject = Readonly<Record<string, unknown>>;

const MAX_CONFIG_BYTES = 16 << 20;

/**
 * tokenizer_config.json of a model folder; undefined when there is none.
 * @throws when it is too large or not a JSON object
 */
export function readTokenizerConfig(dir: string): Promise<JsonObject | undefined> {
  return readJsonObject(`${dir}/tokenizer_config.json`);
}

/**
 * A text file of a model folder; undefined when it is not there.
 * @throws when it is larger than `maxBytes`, not UTF-8 or not readable
 */
export async function readText(path: string, maxBytes: number): Promise<string | undefined> {
  try {
    const { size } = await Deno.stat(path);
    if (size > maxBytes) {
      throw new Error(`it has ${size} bytes; a file of this name may have ${maxBytes}`);
    }
    return new TextDecoder("utf-8", { fatal: true }).decode(await Deno.readFile(path));
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw new Error(`${path} cannot be read: ${messageOf(cause)}. ${AGAIN}`, { cause });
  }
}

/** Advice at the end of an error about a broken file. */
export const AGAIN = "Download the folder again.";

/** What a thrown value says, without its full stop. */
export function messageOf(cause: unknown): string {
  return (cause instanceof Error ? cause.message : String(cause)).replace(/\.$/, "");
}

/** Whether a JSON value is an object (no array, no null). */
export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * A JSON object in a file of a model folder; undefined when there is no such file.
 * @throws when it is too large or not a JSON object
 */
export async function readJsonObject(
  path: string,
  maxBytes = MAX_CONFIG_BYTES,
): Promise<JsonObject | undefined> {
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

/** A field of `json` that must hold an object. */
export function objectField(
  path: string,
  json: JsonObject,
  field: string,
  parent = "",
): JsonObject {
  const value = json[field];
  if (!isObject(value)) throw mismatch(path, parent + field, value, "an object");
  return value;
}

/** The error for a field that is not as expected. */
export function mismatch(path: string, field: string, found: unknown, expected: string): Error {
  return new Error(`${path}: ${field} is ${show(found)}, expected ${expected}. ${AGAIN}`);
}

/** A JSON value in an error: short, whatever the file holds. */
export function show(value: unknown): string {
  if (value === undefined) return "missing";
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}...` : text;
}
