/** Checks that a folder's disk has space for what is to be written. */

import { statfsSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Free bytes on the disk where `path` is or would be. Undefined if the system does not report them,
 * or without read access and `--allow-sys=statfs`.
 */
export function freeBytes(path: string): number | undefined {
  for (let at = resolve(path);; at = dirname(at)) {
    try {
      const { bavail, bsize } = statfsSync(at);
      return bavail * bsize;
    } catch (error) {
      const missing = (error as { code?: string }).code === "ENOENT";
      if (!missing || dirname(at) === at) return undefined;
    }
  }
}

/** Bytes that a file takes on its disk, without holes in it; 0 if there is no file. */
export function allottedBytes(path: string): number {
  try {
    const { blocks, size } = Deno.statSync(path);
    return blocks === null ? size : 512 * blocks;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/**
 * Checks that a disk has space.
 * @param free result of {@linkcode freeBytes}; undefined counts as enough
 * @throws {Error} naming the folder, the bytes needed and the bytes free
 */
export function checkSpace(path: string, needed: number, free: number | undefined): void {
  if (free === undefined || needed <= free) return;
  throw new Error(
    `${path}: ${gigabytes(needed)} are needed and ${gigabytes(free)} are free on this disk. ` +
      `Free ${gigabytes(needed - free)}, or choose a folder on another disk.`,
  );
}

/** Formats bytes in units of 10^9, or of 10^6 for small numbers. */
export function gigabytes(bytes: number): string {
  return bytes >= 1e8 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(2)} MB`;
}
