/** Models by their names on the hub: ORG/NAME stands for the folder in the hub's cache. */

import type { Command } from "commander";
import { type CachedRepository, readCached, snapshotOf } from "../weights/hub/cache.ts";
import { type HubName, MAIN, readHubName } from "../weights/hub/repository.ts";
import { hubCache } from "../weights/hub/settings.ts";

/** Options that take a model folder. */
const MODEL_OPTIONS = [
  ...["model", "draft", "against", "tokenizer"],
  ...["teacher", "student", "from"],
] as const;
/** Commands whose argument `dir` is a model folder. */
const MODEL_ARGUMENTS: readonly string[] = ["quantize", "bench"];
/** Commands for which a name may be of what is not here: one fetches it, one tells that it is missing. */
const OWN_PLACES: readonly string[] = ["pull", "doctor"];

/**
 * Replaces ORG/NAME[@REVISION] by its folder, in every option and argument that takes a model folder.
 * A folder of that name goes first.
 * @throws {Error} when there is neither, or a download was cut; it says what to do
 */
export function placeModels(command: Command): void {
  if (OWN_PLACES.includes(command.name())) return;
  for (const option of MODEL_OPTIONS) {
    const value = command.opts()[option];
    if (typeof value === "string") {
      command.setOptionValueWithSource(
        option,
        placeOf(value),
        command.getOptionValueSource(option),
      );
    }
  }
  if (!MODEL_ARGUMENTS.includes(command.name())) return;
  command.registeredArguments.forEach((argument, i) => {
    const value = command.processedArgs[i];
    if (argument.name() !== "dir" || typeof value !== "string") return;
    command.processedArgs[i] = placeOf(value);
  });
}

/**
 * The folder that a text names: a path, or a model in the hub's cache.
 * @param cache the hub's; for tests
 */
export function placeOf(text: string, cache: string | undefined = hubCache()): string {
  const name = readHubName(text);
  if (!name || isThere(text)) return text;
  const whole = `${name.repo}${name.revision === undefined ? "" : `@${name.revision}`}`;
  if (cache === undefined) {
    throw new Error(
      `${text}: there is no such folder, and no variable names the hub's cache (HF_HOME)`,
    );
  }
  const cached = readCached(cache, name.repo);
  if (!cached) {
    throw new Error(
      `${text}: there is no such folder here and no such model in the hub's cache ${cache}. ` +
        `Fetch it: unmask pull ${whole}`,
    );
  }
  const snapshot = snapshotOf(cached, name);
  if (!snapshot) throw new Error(notHere(cached, name, whole));
  if (snapshot.missing.length === 0) return snapshot.dir;
  throw new Error(
    `${snapshot.dir} is not complete: it lacks ${some(snapshot.missing)}. ` +
      `Fetch the rest: unmask pull ${whole}`,
  );
}

function notHere(
  { snapshots, partial, dir }: CachedRepository,
  { repo, revision = MAIN }: HubName,
  whole: string,
): string {
  const others = snapshots.filter(({ missing }) => missing.length === 0).map(({ refs, commit }) =>
    `${repo}@${refs[0] ?? commit.slice(0, 12)}`
  );
  if (others.length === 0 && (partial || snapshots.length > 0)) {
    const [{ missing } = { missing: [] as string[] }] = snapshots;
    const lacking = missing.length > 0 ? `: it lacks ${some(missing)}` : "";
    return `${dir} is not complete, its download was cut${lacking}. Go on: unmask pull ${whole}`;
  }
  const here = others.length > 0 ? ` It has ${some(others)}.` : "";
  return `${dir} has no revision ${revision}.${here} Fetch it: unmask pull ${whole}`;
}

/** A list that no folder makes long. */
function some(names: readonly string[]): string {
  const [shown, more] = [names.slice(0, 4).join(", "), names.length - 4];
  return more > 0 ? `${shown} and ${more} more` : shown;
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
