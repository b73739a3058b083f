/** Files and folders that a command that trains reads, as its options and settings name them. */

import { resolve } from "node:path";
import { parseDataFile } from "../compress/data/data_file.ts";

type Given = { readonly [name: string]: unknown };

/** Settings that name a file or a folder. */
const PATHS = ["teacher", "student", "from", "heldOut"] as const;

/** Where the folder of a run lies unless it is named: beside the model that it makes. */
export function runFolderOf(out: string): string {
  return `${out.replace(/[/\\]+$/, "")}.run`;
}

/** Reads a file of settings. @throws {Error} when it is not there, or holds no JSON object */
export function settingsIn(file: string): Given {
  let json: unknown;
  try {
    json = JSON.parse(Deno.readTextFileSync(file));
  } catch (error) {
    const reason = error instanceof Deno.errors.NotFound
      ? "there is no such file"
      : error instanceof SyntaxError
      ? `not JSON: ${error.message}`
      : (error as Error).message;
    throw new Error(`${file}: ${reason}`, { cause: error });
  }
  if (typeof json === "object" && json !== null && !Array.isArray(json)) return json as Given;
  throw new Error(`${file}: expected one JSON object`);
}

/** Makes all paths absolute: a run is the same from wherever it is begun. */
export function withPaths(settings: Given): Given {
  const result: Record<string, unknown> = { ...settings };
  for (const name of PATHS) {
    if (typeof result[name] === "string") result[name] = resolve(result[name]);
  }
  if (Array.isArray(result.data)) {
    result.data = result.data.map((file) =>
      typeof file?.path === "string" ? { ...file, path: resolve(file.path) } : file
    );
  }
  return result;
}

/** Every path that is read, before the settings are checked. */
export function trainingPaths(
  { settings, data }: { readonly settings?: unknown; readonly data?: unknown },
): string[] {
  const given = typeof settings === "string" ? settingsIn(settings) : {};
  const files = [
    ...Array.isArray(given.data) ? given.data.map((file) => file?.path) : [],
    ...Array.isArray(data) ? data.map((text) => parseDataFile(text).path) : [],
  ];
  return [...PATHS.map((name) => given[name]), ...files]
    .filter((path): path is string => typeof path === "string");
}
