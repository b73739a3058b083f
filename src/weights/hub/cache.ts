/**
 * The hub's cache as all its tools lay it out: `models--ORG--NAME/snapshots/COMMIT/FILE` is a link to
 * `models--ORG--NAME/blobs/HASH`, and `models--ORG--NAME/refs/BRANCH` holds a commit. Nothing here
 * asks the network.
 */

import { join } from "node:path";
import { INDEX_FILE, SINGLE_FILE } from "../checkpoint.ts";
import { isJsonObject, readJsonObject } from "../json_file.ts";
import { CheckpointError } from "../model_file_error.ts";
import { folderName, type HubName, isCommit, MAIN, repoOfFolder } from "./repository.ts";
import { PARTIAL } from "./partial_file.ts";

/** Files without which no folder is a model. */
export const NEEDED_FILES: readonly string[] = ["config.json", "tokenizer.json"];
/** Bytes of a list of shards that are read. */
export const MAX_INDEX: number = 4 * 2 ** 20;
/** Shards have plain names: a path could name any file of this machine. */
const SHARD = /^[\w][\w.-]{0,200}\.safetensors$/;

/** One commit of a repository in a cache. */
export interface Snapshot {
  readonly repo: string;
  readonly commit: string;
  /** Branches and tags that stand for it. */
  readonly refs: readonly string[];
  readonly dir: string;
  /** Files that a model needs and that are not there. */
  readonly missing: readonly string[];
}

/** What a cache holds of a repository. */
export interface CachedRepository {
  readonly repo: string;
  readonly dir: string;
  readonly snapshots: readonly Snapshot[];
  /** Whether a download was cut. */
  readonly partial: boolean;
}

/** All repositories of models in a cache, in the order of their names. */
export function cachedRepositories(cache: string): CachedRepository[] {
  return namesIn(cache).flatMap((name) => {
    const repo = repoOfFolder(name);
    return repo === undefined ? [] : readCached(cache, repo) ?? [];
  });
}

/** What a cache holds of a repository; undefined if nothing. */
export function readCached(cache: string, repo: string): CachedRepository | undefined {
  const dir = join(cache, folderName(repo));
  if (!isFolder(dir)) return undefined;
  const refs = readRefs(join(dir, "refs"));
  const snapshots = namesIn(join(dir, "snapshots"))
    .filter((commit) => isCommit(commit) && isFolder(join(dir, "snapshots", commit)))
    .map((commit) => {
      const folder = join(dir, "snapshots", commit);
      const own = [...refs].filter(([, to]) => to === commit).map(([name]) => name);
      return { repo, commit, refs: own, dir: folder, missing: missingFiles(folder) };
    });
  const partial = namesIn(join(dir, "blobs")).some((name) => name.endsWith(PARTIAL));
  return { repo, dir, snapshots, partial };
}

/**
 * The snapshot that a name means: a branch, a tag, or a commit, of which the beginning is enough.
 * Undefined if it is not there.
 */
export function snapshotOf(
  { snapshots }: CachedRepository,
  { revision = MAIN }: HubName,
): Snapshot | undefined {
  const byRef = snapshots.find(({ refs }) => refs.includes(revision));
  if (byRef || !/^[0-9a-f]{6,40}$/.test(revision)) return byRef;
  const found = snapshots.filter(({ commit }) => commit.startsWith(revision));
  return found.length === 1 ? found[0] : undefined;
}

/** Files that a model needs and that a folder lacks; a link to nothing counts as missing. */
export function missingFiles(dir: string): string[] {
  const missing = NEEDED_FILES.filter((name) => !isFile(join(dir, name)));
  if (isFile(join(dir, SINGLE_FILE))) return missing;
  if (!isFile(join(dir, INDEX_FILE))) return [...missing, SINGLE_FILE];
  const shards = shardsOf(readIndexFile(join(dir, INDEX_FILE)));
  if (shards === undefined) return [...missing, INDEX_FILE];
  return [...missing, ...shards.filter((name) => !isFile(join(dir, name)))];
}

/** Bytes of all files of a folder and of what they link to. */
export function folderBytes(dir: string): number {
  const paths = namesIn(dir).map((name) => join(dir, name));
  return paths.reduce((sum, path) => {
    const kind = kindOf(path);
    return sum + (kind?.isDirectory ? folderBytes(path) : kind?.size ?? 0);
  }, 0);
}

/** The shards that a list of tensors names; undefined where it is no such list. */
export function shardsOf(index: unknown): string[] | undefined {
  const map = isJsonObject(index) ? index.weight_map : undefined;
  if (!isJsonObject(map)) return undefined;
  const names = [...new Set(Object.values(map))];
  const isName = (name: unknown) => typeof name === "string" && SHARD.test(name);
  return names.every(isName) ? (names as string[]).sort() : undefined;
}

function readIndexFile(path: string): unknown {
  try {
    return readJsonObject(path, MAX_INDEX, CheckpointError);
  } catch {
    return undefined;
  }
}

/** Names of branches and tags -> commits. */
function readRefs(dir: string, prefix = ""): Map<string, string> {
  const refs = new Map<string, string>();
  for (const name of namesIn(dir)) {
    const path = join(dir, name);
    if (isFolder(path)) {
      if (prefix.split("/").length > 8) continue;
      for (const [ref, commit] of readRefs(path, `${prefix}${name}/`)) refs.set(ref, commit);
      continue;
    }
    const commit = readShort(path);
    if (isCommit(commit)) refs.set(prefix + name, commit);
  }
  return refs;
}

function readShort(path: string): string {
  try {
    return Deno.statSync(path).size > 1000 ? "" : Deno.readTextFileSync(path).trim();
  } catch {
    return "";
  }
}

function namesIn(dir: string): string[] {
  try {
    return [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
  } catch {
    return [];
  }
}

function isFolder(path: string): boolean {
  return kindOf(path)?.isDirectory ?? false;
}

function isFile(path: string): boolean {
  return kindOf(path)?.isFile ?? false;
}

function kindOf(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch {
    return undefined;
  }
}
