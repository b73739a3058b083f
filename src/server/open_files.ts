/** How many connections the process can have: each is an open file, and the system limits those. */

import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Files that the process opens itself from now on: to load a model, for its threads and its log. */
const RESERVE = 48;
/** Connections that may wait to be taken. */
const MOST_WAITING = 128;

/** What a listener may have. */
export interface FittingConnections {
  /** Connections at once. */
  readonly connections: number;
  /** Connections that the system keeps until they are taken. */
  readonly backlog: number;
}

/**
 * Finds out how many connections fit, by opening files, before other threads need any: nothing tells the limit without more
 * permissions. A connection that cannot be taken for want of a file ends the listening, without a
 * word (Deno 2.9). One beyond the most is taken and closed at once; all that wait are taken before
 * the first of them is closed, so that there must be files for these too.
 * @param most connections that are wanted
 * @returns `most`, or fewer where the system allows fewer; `most` where it cannot be tried
 */
export function connectionsThatFit(most: number): FittingConnections {
  const wanted = most + 2 * MOST_WAITING + RESERVE;
  const files: number[] = [];
  let free = wanted;
  try {
    // What is compiled in is no file of the system's.
    const own = Deno.build.standalone ? Deno.execPath() : fileURLToPath(import.meta.url);
    while (files.length < wanted) files.push(openSync(own, "r"));
  } catch (error) {
    const { code } = error as { readonly code?: string };
    if (code === "EMFILE" || code === "ENFILE") free = files.length;
  } finally {
    for (const file of files) closeSync(file);
  }
  const backlog = Math.max(1, Math.min(MOST_WAITING, Math.floor(free / 8)));
  return { connections: Math.max(0, Math.min(most, free - 2 * backlog - RESERVE)), backlog };
}
