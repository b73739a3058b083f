/** `unmask models`: what is in the hub's cache, and what of it can be run. */

import { join } from "node:path";
import { Command } from "commander";
import { readConfig } from "../model/loading/config.ts";
import { checkTensors } from "../model/loading/tensors.ts";
import { openCheckpoint } from "../weights/checkpoint.ts";
import { gigabytes } from "../weights/disk_space.ts";
import { type JsonObject, readJsonObject } from "../weights/json_file.ts";
import { CheckpointError, ModelFileError } from "../weights/model_file_error.ts";
import { cachedRepositories, folderBytes, type Snapshot } from "../weights/hub/cache.ts";
import { hubCache } from "../weights/hub/settings.ts";
import { plainTable } from "./terminal/memory_table.ts";
import { harmless } from "./terminal/terminal.ts";

/** Bytes of a config.json that are read. */
const MAX_CONFIG = 2 ** 20;

/** A model as `--json` prints it. */
export interface Listed {
  readonly id: string;
  readonly commit: string;
  readonly refs: readonly string[];
  readonly dir: string;
  readonly bytes: number;
  readonly architecture: string | null;
  readonly complete: boolean;
  readonly missing: readonly string[];
  readonly runs: boolean;
  /** Why it does not run; null if it does. */
  readonly reason: string | null;
}

/** `unmask models` */
export function modelsCommand(): Command {
  return new Command("models")
    .option("--json", "print one JSON object")
    .addHelpText(
      "after",
      `
The models that unmask pull and the hub's other tools have fetched: in
HF_HUB_CACHE, or hub in HF_HOME (default: ~/.cache/huggingface). Any of them
is used by its name: --model ORG/NAME.

Examples:
  unmask models
  unmask models --json`,
    )
    .action(run);
}

function run({ json }: { readonly json?: boolean }): void {
  const cache = hubCache();
  if (cache === undefined) {
    throw new Error("no variable names the hub's cache: set HF_HOME to the folder of the models");
  }
  const repositories = cachedRepositories(cache);
  const models = repositories.flatMap(({ snapshots }) => snapshots.map(listed));
  const begun = repositories.filter(({ snapshots, partial }) => partial && snapshots.length === 0)
    .map(({ repo }) => repo);
  if (json) {
    console.log(JSON.stringify({ cache, models, begun }, null, 2));
    return;
  }
  if (models.length > 0) console.log(modelsTable(models));
  for (const { id, commit, reason } of models) {
    if (reason !== null) console.log(`${id} ${commit.slice(0, 8)}: ${harmless(reason)}`);
  }
  for (const repo of begun) console.log(`${repo}: a download was cut. Go on: unmask pull ${repo}`);
  if (models.length + begun.length === 0) {
    console.log(`No models in ${cache}. Fetch one: unmask pull GSAI-ML/LLaDA-8B-Instruct`);
  }
}

function listed({ repo, commit, refs, dir, missing }: Snapshot): Listed {
  const complete = missing.length === 0;
  const reason = complete
    ? faultIn(dir)
    : `it lacks ${
      missing.length === 1 ? missing[0] : `${missing.length} files`
    }: unmask pull ${repo}`;
  return {
    id: repo,
    commit,
    refs,
    dir,
    bytes: folderBytes(dir),
    architecture: architectureOf(dir),
    complete,
    missing,
    runs: reason === null,
    reason,
  };
}

/**
 * Why a folder cannot be loaded, as far as its configuration and the headers of its weights tell. A file
 * that this user may not read is such a reason, too: the other models are listed all the same.
 */
function faultIn(dir: string): string | null {
  try {
    const config = readConfig(dir);
    using checkpoint = openCheckpoint(dir);
    checkTensors(config, checkpoint);
    return null;
  } catch (error) {
    if (error instanceof ModelFileError || isOfSystem(error)) return error.message;
    throw error;
  }
}

function isOfSystem(error: unknown): error is Error {
  return error instanceof Error && "code" in error && typeof error.code === "string";
}

function architectureOf(dir: string): string | null {
  let config: JsonObject;
  try {
    config = readJsonObject(join(dir, "config.json"), MAX_CONFIG, CheckpointError);
  } catch (error) {
    if (!(error instanceof ModelFileError)) throw error;
    return null;
  }
  const { architectures, model_type: type } = config;
  const name = Array.isArray(architectures) ? architectures[0] : type;
  return typeof name === "string" ? name.slice(0, 80) : null;
}

/** The models as a table that fits so many columns. */
export function modelsTable(models: readonly Listed[], columns?: number): string {
  const table = plainTable(["model", "revision", "size", "runs"]);
  for (const { id, architecture, refs, commit, bytes, runs, complete } of models) {
    table.push([
      architecture === null ? id : `${id}\n${harmless(architecture)}`,
      [...refs.map(shortened), commit.slice(0, 8)].join("\n"),
      gigabytes(bytes),
      runs ? "yes" : complete ? "no" : "incomplete",
    ]);
  }
  return table.toString(columns);
}

function shortened(ref: string): string {
  return ref.length <= 12 ? ref : `${ref.slice(0, 11)}…`;
}
