/**
 * The trained target and draft that come with the package (models/MODEL_CARD.md). The package may
 * lie in a local folder or be imported from a URL.
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
 * The embedded tiny model, the default of `load`: its folder, or its URL if the package is imported
 * over `https:`. It has 5 MB, and only answers questions from its small training corpus.
 */
export const EMBEDDED_TARGET: string = placeOf("tiny-target/");

/** The draft of the embedded target; it is not meant to be served alone. */
export const EMBEDDED_DRAFT: string = placeOf("tiny-draft/");

/** A file of 100 prompts with known answers, to measure the embedded models. */
export const EVAL_PUBLIC: string = placeOf("eval-public.json");

/**
 * The local path of a model that may be embedded. If the package lies at a URL, all its models (7
 * MB) are fetched once into the system's cache folder.
 * @param place a path, which is returned as it is, or one of the constants above
 * @throws {Error} saying which permission is missing, when the files cannot be fetched or written
 */
export async function localPlace(place: string): Promise<string> {
  if (!isAddress(place)) return place;
  const folder = fetchedFolder();
  if (folder === undefined) {
    throw new Error(
      `The embedded model is fetched once from ${MODELS} and kept in a cache folder, but no ` +
        "readable variable names one: permit --allow-env, or load the path of a model folder.",
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

/** The path of the embedded draft, if `dir` is the embedded target; otherwise undefined. */
export function embeddedDraftOf(dir: string): string | undefined {
  const folder = IS_FOLDER ? undefined : fetchedFolder();
  const [target, draft] = [EMBEDDED_TARGET, EMBEDDED_DRAFT].map((place) =>
    folder === undefined ? place : pathIn(folder, place)
  );
  return resolve(dir) === resolve(target) ? draft : undefined;
}

/** The folder of fetched files. Its name depends on them, so each version has its own. */
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
