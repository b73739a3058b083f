/**
 * The trained pair that comes with the package (models/MODEL_CARD.md), wherever the package lies: in a
 * folder, or at an address that it is imported from.
 */

import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder } from "./cache_folder.ts";
import { EMBEDDED_FILES } from "./embedded_files.ts";
import { fetchFiles } from "./fetched_files.ts";

const MODELS = new URL("../../models/", import.meta.url);
const IS_FOLDER = MODELS.protocol === "file:";

const placeOf = (name: string) =>
  IS_FOLDER ? fileURLToPath(new URL(name, MODELS)) : new URL(name, MODELS).href;

/**
 * The embedded tiny model, which `load` takes unless it is given another: its folder, or its address
 * where the package is imported over `https:`. It has 5 MB and answers what its small corpus holds.
 */
export const EMBEDDED_TARGET: string = placeOf("tiny-target/");

/** The embedded target's draft: not meant to be served alone. */
export const EMBEDDED_DRAFT: string = placeOf("tiny-draft/");

/** 100 prompts with known answers, for measuring the embedded pair. */
export const EVAL_PUBLIC: string = placeOf("eval-public.json");

/**
 * The path of what may be embedded. An address of this package is fetched, once, into the system's
 * cache folder, all 9 MB of the pair together.
 * @param place a path, which is given back, or one of the constants above
 * @throws {Error} saying what to permit, when it can be neither fetched nor kept
 */
export async function localPlace(place: string): Promise<string> {
  if (!isAddress(place)) return place;
  const folder = fetchedFolder();
  if (folder === undefined) {
    throw new Error(
      `The embedded model is fetched once from ${MODELS} and kept in a cache folder, and no variable ` +
        "that may be read names one: permit --allow-env, or load the path of a model folder.",
    );
  }
  try {
    await fetchFiles(EMBEDDED_FILES, MODELS, folder);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    throw new Error(
      `The embedded model is fetched once from ${MODELS} and kept in ${folder}: permit ` +
        `--allow-net=${MODELS.host} --allow-read --allow-write=${folder}, or load the path of a ` +
        `model folder. (${error.message})`,
      { cause: error },
    );
  }
  return pathIn(folder, place);
}

/** The draft of the embedded target, where `dir` is that; a path like `dir`. */
export function embeddedDraftOf(dir: string): string | undefined {
  const folder = IS_FOLDER ? undefined : fetchedFolder();
  const [target, draft] = [EMBEDDED_TARGET, EMBEDDED_DRAFT].map((place) =>
    folder === undefined ? place : pathIn(folder, place)
  );
  return resolve(dir) === resolve(target) ? draft : undefined;
}

/** Where fetched files lie: other files of another version lie elsewhere. */
function fetchedFolder(): string | undefined {
  const folder = cacheFolder();
  const version = createHash("sha256").update(JSON.stringify(EMBEDDED_FILES)).digest("hex");
  return folder && join(folder, "models", version.slice(0, 16));
}

function isAddress(place: string): boolean {
  return !IS_FOLDER && place.startsWith(MODELS.href);
}

function pathIn(folder: string, place: string): string {
  return join(folder, place.slice(MODELS.href.length));
}
