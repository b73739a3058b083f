/** Writes the part of a hub's cache that names what its blobs are: links, branches, and a lock. */

import { dirname, join, relative } from "node:path";
import type { HubFile } from "./api.ts";
import { hashFor, removeIfThere } from "./partial_file.ts";
import { folderName } from "./repository.ts";

/** Makes a link at `path`. */
export type MakeLink = (target: string, path: string) => void;

/** Whether a snapshot has a file of the right size; what it links to counts. */
export function hasFile(dir: string, { name, bytes }: HubFile): boolean {
  return sizeOf(join(dir, name)) === bytes;
}

/** Whether a blob is there, of the right size. */
export function hasBlob(blobs: string, { etag, bytes }: HubFile): boolean {
  return sizeOf(join(blobs, etag)) === bytes;
}

function sizeOf(path: string): number | undefined {
  try {
    const { isFile, size } = Deno.statSync(path);
    return isFile ? size : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Removes a file of a snapshot, and its blob, where the content is not what the hub lists.
 * @returns whether it was so
 */
export async function removeWrong(
  repository: string,
  commit: string,
  file: HubFile,
  signal: AbortSignal,
): Promise<boolean> {
  const blob = join(repository, "blobs", file.etag);
  const named = join(repository, "snapshots", commit, file.name);
  const path = hasFile(join(repository, "snapshots", commit), file) ? named : blob;
  const hash = hashFor(file);
  // The stream closes the file.
  for await (const piece of (await Deno.open(path)).readable) {
    hash.update(piece);
    signal.throwIfAborted();
  }
  if (hash.digest("hex") === file.etag) return false;
  removeIfThere(named);
  removeIfThere(blob);
  return true;
}

/**
 * Names a blob in a snapshot: by a link, as all the hub's tools do. Where no link can be made, the
 * blob itself moves there, as with those tools; if other snapshots may need it, a copy does.
 * @param moves whether nothing else needs the blob
 * @param link for tests
 */
export function nameBlob(
  repository: string,
  commit: string,
  name: string,
  etag: string,
  moves: boolean,
  link: MakeLink = (target, path) => Deno.symlinkSync(target, path),
): void {
  const blob = join(repository, "blobs", etag);
  const path = join(repository, "snapshots", commit, name);
  // A name that begins with a dot is not taken for a file of the model, if this is interrupted.
  const part = join(dirname(path), `.${etag}.unmask.part`);
  Deno.mkdirSync(dirname(path), { recursive: true });
  removeIfThere(part);
  try {
    link(relative(dirname(path), blob), part);
    Deno.renameSync(part, path);
    return;
  } catch {
    // Windows asks for a right, some disks have no links, and Deno makes none without full access.
  }
  removeIfThere(part);
  if (moves) {
    Deno.renameSync(blob, path);
  } else {
    Deno.copyFileSync(blob, part);
    Deno.renameSync(part, path);
  }
}

/** Says which commit a branch or tag is. */
export function writeRef(repository: string, revision: string, commit: string): void {
  const path = join(repository, "refs", revision);
  Deno.mkdirSync(dirname(path), { recursive: true });
  const part = join(repository, `.ref.unmask.part`);
  Deno.writeTextFileSync(part, commit);
  Deno.renameSync(part, path);
}

/**
 * Locks a repository of a cache against other pulls; the system releases it when the process ends.
 * @param signal ends the wait for another process, with its reason
 * @param onWait called if another process has it, before this waits for that
 */
export async function lockRepository(
  cache: string,
  repo: string,
  signal: AbortSignal,
  onWait: () => void,
): Promise<Disposable> {
  const dir = join(cache, ".locks", folderName(repo));
  Deno.mkdirSync(dir, { recursive: true });
  const file = Deno.openSync(join(dir, "unmask.lock"), { write: true, create: true });
  const locked = { [Symbol.dispose]: () => file.close() };
  let coming: Promise<void> | undefined;
  try {
    if (file.tryLockSync(true)) return locked;
    onWait();
    coming = file.lock(true);
    await orStopped(coming, signal);
  } catch (error) {
    // A lock that is waited for cannot be taken back: when it comes, it is let go.
    void Promise.allSettled([coming]).then(() => file.close());
    throw error;
  }
  return locked;
}

/** Waits for what cannot be stopped, but no longer than the signal lets. */
async function orStopped(coming: Promise<void>, signal: AbortSignal): Promise<void> {
  const stopped = Promise.withResolvers<void>();
  const stop = () => stopped.reject(signal.reason);
  signal.addEventListener("abort", stop);
  try {
    signal.throwIfAborted();
    await Promise.race([coming, stopped.promise]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
