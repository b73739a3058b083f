/** The tuning file, which `unmask tune` writes and loading a model reads. */

import { dirname, join } from "node:path";
import { cacheFolder } from "./cache_folder.ts";
import { parseTunedTiles, type TunedTiles, UNTUNED } from "../model/tiles/tuned_tiles.ts";

/** Limit of a tuning file in bytes: a tuning of many devices has a few ten thousand. */
const MOST_BYTES = 2 ** 20;

/**
 * The file in the system's cache folder; undefined if no readable variable names that folder. It
 * never prompts for a permission.
 */
export function defaultTuningFile(
  os?: typeof Deno.build.os,
  valueOf?: (variable: string) => string | undefined,
): string | undefined {
  const folder = cacheFolder(os, valueOf);
  return folder && join(folder, "tiles.json");
}

/** The content of a tuning file, or why it is not used. */
export interface TuningRead {
  readonly tuned: TunedTiles;
  /** One line that names the file and what to do; absent if the file is valid or missing. */
  readonly warning?: string;
}

/** Reads a file without prompting for permission; without permission, nothing is tuned. */
export function readTuning(file: string): TuningRead {
  if (Deno.permissions.querySync({ name: "read", path: file }).state !== "granted") {
    return { tuned: UNTUNED };
  }
  const problem = (what: string): TuningRead => ({
    tuned: UNTUNED,
    warning: `${file}: ${what}. Tiles follow the fixed rule; unmask tune writes the file anew.`,
  });
  try {
    const { size, isFile } = Deno.statSync(file);
    if (!isFile) return problem("it is no plain file");
    if (size > MOST_BYTES) return problem(`it has ${size} bytes, expected at most ${MOST_BYTES}`);
    const tuned = parseTunedTiles(Deno.readTextFileSync(file));
    return typeof tuned === "string" ? problem(tuned) : { tuned };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return { tuned: UNTUNED };
    return problem(`it cannot be read (${error instanceof Error ? error.message : error})`);
  }
}

/**
 * Reads a file that the user named.
 * @throws {Error} naming the file when it is missing or wrong, since it must not be ignored
 */
export function namedTuning(file: string): TunedTiles {
  const { tuned, warning } = readTuning(file);
  if (warning === undefined && tuned !== UNTUNED) return tuned;
  const { state } = Deno.permissions.querySync({ name: "read", path: file });
  const problem = state === "granted" ? "it is missing" : "it may not be read (--allow-read)";
  throw new Error(
    `${
      warning?.replace(/\. .*$/, "") ?? `${file}: ${problem}`
    }. unmask tune --tuning FILE writes one.`,
  );
}

/**
 * Replaces the file in one step, so that a reader finds the old content or the new one.
 * @throws {Error} naming the file, when it cannot be written
 */
export function writeTuning(file: string, tuned: TunedTiles): void {
  const temporary = `${file}.${crypto.randomUUID()}.part`;
  try {
    Deno.mkdirSync(dirname(file), { recursive: true });
    Deno.writeTextFileSync(temporary, JSON.stringify(tuned, null, 2) + "\n", { createNew: true });
    Deno.renameSync(temporary, file);
  } catch (error) {
    try {
      Deno.removeSync(temporary);
    } catch {
      // The temporary file was never made.
    }
    throw new Error(
      `${file}: it cannot be written (${error instanceof Error ? error.message : error}). ` +
        "Choose another file with --tuning FILE.",
    );
  }
}
