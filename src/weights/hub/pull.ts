/** Fetches a model from the hub into the hub's cache: what is needed of it, and what is not there yet. */

import { join } from "node:path";
import { INDEX_FILE, SINGLE_FILE } from "../checkpoint.ts";
import { allottedBytes, checkSpace, freeBytes } from "../disk_space.ts";
import { writeError } from "../write_error.ts";
import {
  describeFiles,
  type HubFile,
  type HubRevision,
  jsonObjectOf,
  readFileText,
  readRevision,
} from "./api.ts";
import { MAX_INDEX, NEEDED_FILES, shardsOf } from "./cache.ts";
import { partialPath, removePartial } from "./partial_file.ts";
import { folderName, isCommit } from "./repository.ts";
import { type Asking, HubError } from "./requests.ts";
import {
  hasBlob,
  hasFile,
  lockRepository,
  type MakeLink,
  nameBlob,
  removeWrong,
  writeRef,
} from "./snapshot.ts";
import { transfer, type TransferOptions } from "./transfer.ts";

/** Files that are fetched besides the weights, where they are; models/README.md says what for. */
const SMALL_FILES: readonly string[] = [
  ...NEEDED_FILES,
  "generation_config.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
];
const MAX_CONFIG = 2 ** 20;

/** A file of a plan. */
export interface PlannedFile extends HubFile {
  /** Whether the cache has it already. */
  readonly present: boolean;
}

/** What a pull will do. */
export interface PullPlan {
  readonly repo: string;
  /** As it was asked for. */
  readonly revision: string;
  readonly commit: string;
  /** The cache, and the model's folder in it. */
  readonly cache: string;
  readonly dir: string;
  readonly files: readonly PlannedFile[];
  /** Bytes of all files, and of those that are fetched. */
  readonly bytes: number;
  readonly missingBytes: number;
  /** Bytes that the disk must still have, beside beginnings of files; those it has, if known. */
  readonly neededBytes: number;
  readonly freeBytes: number | undefined;
  /** config.json, whatever it holds. */
  readonly config: unknown;
}

/** How a plan is carried out. */
export interface PullOptions extends Pick<TransferOptions, "connections" | "pieceBytes"> {
  /** Called with the bytes that are there, of all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Whether what the cache has is hashed, too; a file of another content is fetched again. */
  readonly verify?: boolean;
  /** Called for each of those. */
  readonly onWrong?: (file: HubFile) => void;
  /** Called if another process pulls the same repository, before this one waits for it. */
  readonly onWait?: () => void;
  /** For tests: makes a link in a snapshot. */
  readonly link?: MakeLink;
}

/**
 * Asks the hub what there is to fetch; writes nothing.
 * @throws {HubError} when the repository cannot be read, or holds no model in safetensors
 */
export async function planPull(
  asking: Asking,
  cache: string,
  repo: string,
  revision: string,
): Promise<PullPlan> {
  const found = await readRevision(asking, repo, revision);
  const { commit } = found;
  const names = new Set(found.files.map(({ rfilename }) => rfilename));
  const lacking = NEEDED_FILES.filter((name) => !names.has(name));
  if (lacking.length > 0) {
    throw new HubError(`${repo} has no ${lacking.join(" and no ")}: it is no model to be run`);
  }
  const weights = await weightFiles(asking, found, names);
  const wanted = [...SMALL_FILES.filter((name) => names.has(name)), ...weights];
  const described = await describeFiles(asking, found, wanted);
  const config = await readFileText(asking, found, "config.json", MAX_CONFIG);
  return { ...onDisk(cache, repo, commit, described), revision, config: jsonObjectOf(config) };
}

/** What of a commit's files is in a cache. */
function onDisk(cache: string, repo: string, commit: string, described: readonly HubFile[]) {
  const repository = join(cache, folderName(repo));
  const blobs = join(repository, "blobs");
  const dir = join(repository, "snapshots", commit);
  const files = described.map((file) => ({
    ...file,
    present: hasFile(dir, file) || hasBlob(blobs, file),
  }));
  const missing = uniqueBlobs(files.filter(({ present }) => !present));
  const missingBytes = bytesOf(missing);
  const begun = missing.reduce((sum, { etag }) => sum + allottedBytes(partialPath(blobs, etag)), 0);
  return {
    repo,
    commit,
    cache,
    dir,
    files,
    bytes: bytesOf(uniqueBlobs(files)),
    missingBytes,
    neededBytes: Math.max(0, missingBytes - begun),
    freeBytes: freeBytes(cache),
  };
}

/** The weights: one file, or an index and the shards that it names. */
async function weightFiles(
  asking: Asking,
  found: HubRevision,
  names: ReadonlySet<unknown>,
): Promise<string[]> {
  if (names.has(SINGLE_FILE)) return [SINGLE_FILE];
  const { repo } = found;
  if (!names.has(INDEX_FILE)) {
    const kinds = ["bin", "pth", "pt", "gguf", "onnx", "msgpack", "h5"]
      .filter((kind) => found.files.some(({ rfilename }) => `${rfilename}`.endsWith(`.${kind}`)));
    const others = kinds.length > 0 ? `, only .${kinds.join(" and .")} files` : "";
    throw new HubError(`${repo} has no ${SINGLE_FILE} and no ${INDEX_FILE}${others}`);
  }
  const shards = shardsOf(jsonObjectOf(await readFileText(asking, found, INDEX_FILE, MAX_INDEX)));
  if (!shards) throw new HubError(`${repo}: ${INDEX_FILE} does not name files of weights`);
  const lacking = shards.filter((name) => !names.has(name));
  if (lacking.length > 0) {
    throw new HubError(`${repo} has no ${lacking.join(", ")}, which its ${INDEX_FILE} names`);
  }
  return [INDEX_FILE, ...shards];
}

/**
 * Fetches what a plan lacks. A file that is whole and of the right hash is named at once; the branch or
 * tag, when all are. What came before an error is kept for the next time.
 * @returns bytes that were fetched
 * @throws {HubError} when a file cannot be fetched, naming it
 */
export async function pull(
  asking: Asking,
  plan: PullPlan,
  options: PullOptions = {},
): Promise<number> {
  try {
    return await carryOut(asking, plan, options);
  } catch (error) {
    throw writeError(plan.cache, error);
  }
}

async function carryOut(
  asking: Asking,
  { cache, repo, revision, commit, dir, files: described }: PullPlan,
  options: PullOptions,
): Promise<number> {
  const { connections, pieceBytes, onProgress, onWait = () => {}, link } = options;
  const repository = join(cache, folderName(repo));
  const blobs = join(repository, "blobs");
  Deno.mkdirSync(blobs, { recursive: true });
  using _ = await lockRepository(cache, repo, asking.signal, onWait);
  if (options.verify) {
    for (const file of uniqueBlobs(onDisk(cache, repo, commit, described).files)) {
      if (!file.present || !await removeWrong(repository, commit, file, asking.signal)) continue;
      options.onWrong?.(file);
    }
  }
  // Another process may have fetched some since it was planned.
  const { files, bytes, missingBytes, neededBytes, freeBytes } = onDisk(
    cache,
    repo,
    commit,
    described,
  );
  checkSpace(cache, neededBytes, freeBytes);
  const name = (etag: string, moves: boolean) => {
    const own = files.filter((file) => file.etag === etag && !hasFile(dir, file));
    own.forEach((file, i) =>
      nameBlob(repository, commit, file.name, etag, moves && i === own.length - 1, link)
    );
  };
  for (const file of uniqueBlobs(files)) {
    if (!hasBlob(blobs, file)) continue;
    removePartial(blobs, file.etag);
    name(file.etag, false);
  }
  const missing = uniqueBlobs(files.filter(({ present }) => !present));
  let before: number | undefined;
  await transfer(asking, missing, {
    repo,
    commit,
    blobs,
    connections,
    pieceBytes,
    onBytes(come) {
      before ??= come;
      onProgress?.(bytes - missingBytes + come, bytes);
    },
    onFile: ({ etag }) => name(etag, true),
  });
  if (!isCommit(revision)) writeRef(repository, revision, commit);
  return missingBytes - (before ?? 0);
}

function uniqueBlobs<T extends HubFile>(files: readonly T[]): T[] {
  return [...new Map(files.map((file) => [file.etag, file])).values()];
}

function bytesOf(files: readonly HubFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}
