/**
 * Writes a model folder in Hugging Face layout, shard by shard, so that an interrupted run can be
 * continued. Until it is complete the folder holds a record of what is being written, but no
 * configuration and no index, so that no loader mistakes it for a model.
 */

import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { type Checkpoint, CheckpointError, INDEX_FILE, SINGLE_FILE } from "./checkpoint.ts";
import { allottedBytes, checkSpace, freeBytes } from "./disk_space.ts";
import { type JsonObject, readJsonObject, UNFINISHED } from "./json_file.ts";
import type { TensorSlice } from "./safetensors.ts";
import {
  partOf,
  SafetensorsLayout,
  SafetensorsWriter,
  tensorBytes,
  type TensorLayout,
} from "./safetensors_writer.ts";
import { writeError } from "./write_error.ts";

/** Appends the next bytes of a tensor. */
export type Append = (name: string, bytes: Uint8Array) => Promise<void>;

/** Tensors that are made together, and stored in one shard. */
export interface TensorGroup {
  readonly tensors: readonly TensorLayout[];
  /** Makes all of them, a few megabytes at a time. */
  write(append: Append): Promise<void>;
}

/** The content of a folder to write. */
export interface FolderContent {
  /** `config.json` */
  readonly config: JsonObject;
  /** The weights, in the order in which shards are filled. */
  readonly groups: readonly TensorGroup[];
  /** Paths of other files, which keep their names. */
  readonly copies: readonly string[];
  /** Texts of further files, by name. */
  readonly texts?: Readonly<Record<string, string>>;
  /** Limit of the tensors in a shard, in bytes, unless a single group has more. */
  readonly shardBytes: number;
  /** Everything that the bytes depend on; only a run with equal settings can be continued. */
  readonly settings: JsonObject;
}

/** One file of weights. */
interface Shard {
  readonly file: string;
  readonly groups: readonly TensorGroup[];
  readonly layout: SafetensorsLayout;
  /** Whether an earlier run has written it. */
  readonly finished: boolean;
}

/** A folder that has been checked and may be written. */
export interface FolderPlan {
  readonly dir: string;
  readonly content: FolderContent;
  readonly shards: readonly Shard[];
  /** Bytes of all tensors. */
  readonly byteLength: number;
  /** Bytes that are still to be written. */
  readonly neededBytes: number;
  /** Free bytes on the disk; undefined if not known. */
  readonly freeBytes: number | undefined;
}

/** Lock file of the process that writes; the system releases it when the process ends. */
const LOCK = "unmask-unfinished.lock";
const MAX_RECORD = 2 ** 20;
/** Milliseconds of work after which signals and timers are handled. */
const TURN = 50;

/** A group of one tensor, copied from another checkpoint. */
export function copiedTensor(checkpoint: Checkpoint, slice: TensorSlice): TensorGroup {
  return {
    tensors: [slice],
    async write(append) {
      const buffer = new Uint8Array(Math.min(4 * 2 ** 20, slice.byteLength));
      if (buffer.length === 0) return;
      for (const piece of checkpoint.chunks(slice, buffer)) await append(slice.name, piece);
    },
  };
}

/**
 * Checks that a folder can be written, without writing anything.
 * @throws {Error} when the folder holds anything but the beginning of the same content, or its disk
 * has too little space; it names what differs or how much is missing
 */
export function planFolder(dir: string, content: FolderContent): FolderPlan {
  try {
    return plan(dir, content);
  } catch (error) {
    throw writeError(dir, error);
  }
}

function plan(dir: string, content: FolderContent): FolderPlan {
  checkFolder(dir, content.settings);
  const parts = divide(content.groups, content.shardBytes);
  const shards = parts.map((groups, i) => {
    const file = parts.length === 1 ? SINGLE_FILE : shardName(i, parts.length);
    const layout = new SafetensorsLayout(groups.flatMap(({ tensors }) => tensors));
    return { file, groups, layout, finished: isWritten(join(dir, file), layout) };
  });
  let neededBytes = content.copies.reduce((sum, file) => sum + Deno.statSync(file).size, 0);
  for (const { layout, finished } of shards) neededBytes += finished ? 0 : layout.byteLength;
  let free = freeBytes(dir);
  // The partial file of an interrupted run will be overwritten.
  for (const { file } of shards) {
    if (free !== undefined) free += allottedBytes(partOf(join(dir, file)));
  }
  checkSpace(dir, neededBytes, free);
  const byteLength = content.groups.reduce((sum, group) => sum + groupBytes(group), 0);
  return { dir, content, shards, byteLength, neededBytes, freeBytes: free };
}

/**
 * Writes the folder. An interrupted run leaves whole shards, and the same command continues after
 * them.
 * @param onProgress called with the bytes of tensors written so far and the bytes of all
 * @throws {Error} when another process writes into the folder, or did since it was planned; when
 * the system refuses to write, saying why
 */
export async function writeFolder(
  plan: FolderPlan,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<void> {
  try {
    await write(plan, onProgress);
  } catch (error) {
    throw writeError(plan.dir, error);
  }
}

async function write(
  { dir, content }: FolderPlan,
  onProgress: (done: number, total: number) => void,
): Promise<void> {
  Deno.mkdirSync(dir, { recursive: true });
  using _ = lock(dir);
  await writeLocked({ dir, content }, onProgress);
}

async function writeLocked(
  { dir, content }: Pick<FolderPlan, "dir" | "content">,
  onProgress: (done: number, total: number) => void,
): Promise<void> {
  // Another process may have written between the plan and the lock.
  const { shards, byteLength } = planFolder(dir, content);
  writeJson(join(dir, UNFINISHED), content.settings);
  let done = 0;
  let turned = performance.now();
  const advance = (bytes: number) => onProgress(done += bytes, byteLength);
  for (const { file, groups, layout, finished } of shards) {
    if (finished) {
      advance(groups.reduce((sum, group) => sum + groupBytes(group), 0));
      continue;
    }
    using writer = new SafetensorsWriter(join(dir, file), layout);
    const append: Append = async (name, bytes) => {
      writer.append(name, bytes);
      advance(bytes.length);
      if (performance.now() - turned < TURN) return;
      await new Promise((resolve) => setTimeout(resolve));
      turned = performance.now();
    };
    for (const group of groups) await group.write(append);
    await writer.finish();
  }
  for (const file of content.copies) copy(file, join(dir, basename(file)));
  for (const [name, text] of Object.entries(content.texts ?? {})) {
    Deno.writeTextFileSync(join(dir, name), text);
  }
  if (shards.length > 1) writeJson(join(dir, INDEX_FILE), indexOf(shards, byteLength));
  // Written last, because only this file makes the folder a model.
  writeJson(join(dir, "config.json"), content.config);
  Deno.removeSync(join(dir, UNFINISHED));
}

/**
 * Plans {@linkcode writeWholeFolder}. The beginning of another folder, left there by a process that was
 * killed, is removed.
 * @throws {Error} as {@linkcode planFolder}
 */
export function planWholeFolder(dir: string, content: FolderContent): FolderPlan {
  checkFree(dir);
  const part = unfinishedFolder(dir);
  if (existsSync(part)) {
    using _ = lock(part);
    if (!isBegun(part, content.settings)) clear(part);
  }
  return planFolder(part, content);
}

/**
 * Writes the folder beside its name, and gives it its name when it is complete: under that name there is
 * never a part of it. An error removes what was written. Where the process was killed, the same content
 * goes on from the last whole shard, and any other begins anew.
 * @param onProgress as for {@linkcode writeFolder}
 * @throws {Error} as {@linkcode planFolder} and {@linkcode writeFolder}
 */
export async function writeWholeFolder(
  dir: string,
  content: FolderContent,
  onProgress: (done: number, total: number) => void = () => {},
): Promise<void> {
  const part = unfinishedFolder(dir);
  try {
    planWholeFolder(dir, content);
    Deno.mkdirSync(part, { recursive: true });
    {
      using _ = lock(part);
      try {
        await writeLocked({ dir: part, content }, onProgress);
      } catch (error) {
        clear(part);
        throw error;
      }
    }
    if (existsSync(dir)) Deno.removeSync(dir);
    Deno.renameSync(part, dir);
  } catch (error) {
    throw writeError(dir, error);
  } finally {
    removeEmpty(part);
  }
}

/** Where {@linkcode writeWholeFolder} writes until the folder is complete. */
export function unfinishedFolder(dir: string): string {
  return partOf(resolve(dir));
}

/** Removes what {@linkcode writeWholeFolder} of this process has written, when the process is told to end. */
export function abandonWholeFolder(dir: string): void {
  const part = unfinishedFolder(dir);
  if (existsSync(part)) Deno.removeSync(part, { recursive: true });
}

/** @throws {Error} when there is anything in the folder */
export function checkFree(dir: string): void {
  checkFolder(dir, {});
  if (existsSync(join(dir, UNFINISHED))) throw occupied(dir, [...Deno.readDirSync(dir)].length);
}

/**
 * Whether a folder holds the beginning of the same content, or nothing.
 * @throws {Error} when it holds anything but the beginning of a folder
 */
function isBegun(dir: string, settings: JsonObject): boolean {
  try {
    checkFolder(dir, settings);
    return true;
  } catch (error) {
    if (existsSync(join(dir, UNFINISHED))) return false;
    throw error;
  }
}

/** Removes all but the lock from a folder that was begun. */
function clear(dir: string): void {
  for (const { name } of [...Deno.readDirSync(dir)]) {
    if (name !== LOCK) Deno.removeSync(join(dir, name), { recursive: true });
  }
}

/** Removes a folder that holds nothing. */
function removeEmpty(dir: string): void {
  try {
    Deno.removeSync(dir);
  } catch {
    // It is not there, or another process writes into it.
  }
}

/** Locks the folder against other processes until it is disposed of. */
function lock(dir: string): Disposable {
  const path = join(dir, LOCK);
  const file = Deno.openSync(path, { write: true, create: true });
  // A lock file that another process has removed since it was opened locks nobody out.
  const isStanding = () => existsSync(path) && Deno.statSync(path).ino === file.statSync().ino;
  if (!file.tryLockSync(true) || !isStanding()) {
    file.close();
    throw new Error(
      `${dir}: another process is writing this folder. Wait until it ends, or choose another name.`,
    );
  }
  return {
    [Symbol.dispose]() {
      Deno.removeSync(path);
      file.close();
    },
  };
}

/** Divides the groups, in order, into shards that are as full as allowed. */
function divide(groups: readonly TensorGroup[], shardBytes: number): TensorGroup[][] {
  const parts: TensorGroup[][] = [[]];
  let bytes = 0;
  for (const group of groups) {
    const more = groupBytes(group);
    if (bytes > 0 && bytes + more > shardBytes) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)!.push(group);
    bytes += more;
  }
  return parts;
}

function groupBytes({ tensors }: TensorGroup): number {
  return tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
}

function shardName(index: number, count: number): string {
  const digits = (value: number) => String(value).padStart(5, "0");
  return `model-${digits(index + 1)}-of-${digits(count)}.safetensors`;
}

/** Checks that the folder is missing, empty, or begun with the same settings. */
function checkFolder(dir: string, settings: JsonObject): void {
  let names: string[];
  try {
    names = [...Deno.readDirSync(dir)].map(({ name }) => name).filter((name) => name !== LOCK);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    if (!Deno.statSync(dir).isDirectory) {
      throw new Error(`${dir} is a file, expected a new or empty folder. Choose another name.`);
    }
    throw error;
  }
  if (names.length === 0) return;
  if (!names.includes(UNFINISHED)) throw occupied(dir, names.length);
  const begun = readJsonObject(join(dir, UNFINISHED), MAX_RECORD, CheckpointError);
  const different = [...new Set([...Object.keys(begun), ...Object.keys(settings)])]
    .filter((key) => JSON.stringify(begun[key]) !== JSON.stringify(settings[key]))
    .map((key) => `${key} ${JSON.stringify(begun[key])}, not ${JSON.stringify(settings[key])}`);
  if (different.length === 0) return;
  throw new Error(
    `${dir} holds the beginning of another folder: ${different.join("; ")}. Run that command ` +
      `again to finish it, or remove it.`,
  );
}

function occupied(dir: string, files: number): Error {
  return new Error(
    `${dir} holds ${files} ${files === 1 ? "file" : "files"}, expected a new or empty folder. ` +
      "Choose another name, or remove it.",
  );
}

/** Whether a shard was written: a shard gets its name only when it is complete. */
function isWritten(path: string, { header, byteLength }: SafetensorsLayout): boolean {
  try {
    if (Deno.statSync(path).size !== byteLength) return false;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
  const found = new Uint8Array(header.length);
  using file = Deno.openSync(path);
  for (let done = 0; done < found.length;) {
    const count = file.readSync(found.subarray(done));
    if (count === null) return false;
    done += count;
  }
  return found.every((byte, i) => byte === header[i]);
}

function indexOf(shards: readonly Shard[], byteLength: number): JsonObject {
  const files = new Map(
    shards.flatMap(({ file, layout }) => [...layout.places.keys()].map((name) => [name, file])),
  );
  const names = [...files.keys()].sort();
  return {
    metadata: { total_size: byteLength },
    weight_map: Object.fromEntries(names.map((name) => [name, files.get(name)])),
  };
}

/** Copies a file; it replaces the copy of an earlier run, which may be read-only. */
function copy(from: string, to: string): void {
  try {
    Deno.removeSync(to);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  Deno.copyFileSync(from, to);
}

function writeJson(path: string, value: JsonObject): void {
  Deno.writeTextFileSync(`${path}.part`, JSON.stringify(value, null, 2) + "\n");
  Deno.renameSync(`${path}.part`, path);
}
