/** Whether a folder's disk has room for what is about to be written. */

import { statfsSync } from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Bytes that may still be written where `path` is or would be; undefined where the system does not
 * tell or asking is not permitted (it takes read access and `--allow-sys=statfs`).
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

/** Bytes that a file takes on its disk, which holes in it do not; 0 where there is none. */
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
 * @param free as {@linkcode freeBytes} says; unknown is taken for enough
 * @throws {Error} naming the folder, what it takes and what is free
 */
export function checkSpace(path: string, needed: number, free: number | undefined): void {
  if (free === undefined || needed <= free) return;
  throw new Error(
    `${path}: ${gigabytes(needed)} are needed and ${gigabytes(free)} are free on this disk. ` +
      `Free ${gigabytes(needed - free)}, or choose a folder on another disk.`,
  );
}

/** Bytes in units of 10^9, or of 10^6 where there are few. */
export function gigabytes(bytes: number): string {
  return bytes >= 1e8 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(2)} MB`;
}
