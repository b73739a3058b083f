/** Where a system keeps what can be made again. */

import { isAbsolute, join } from "node:path";

/** The variable that names the folder, and what is in it. */
const CACHE_FOLDERS: Readonly<
  Partial<Record<typeof Deno.build.os, readonly (readonly [string, ...string[]])[]>>
> = {
  windows: [["LOCALAPPDATA", "unmask"]],
  darwin: [["HOME", "Library", "Caches", "unmask"]],
};
const OTHER_CACHE_FOLDERS = [["XDG_CACHE_HOME", "unmask"], ["HOME", ".cache", "unmask"]] as const;

/**
 * This package's folder there; undefined where no variable that may be read names one. Asks for no
 * permission.
 */
export function cacheFolder(os: typeof Deno.build.os = Deno.build.os): string | undefined {
  for (const [variable, ...names] of CACHE_FOLDERS[os] ?? OTHER_CACHE_FOLDERS) {
    const folder = environmentOf(variable);
    // A relative one is to be ignored (XDG Base Directory Specification).
    if (folder && isAbsolute(folder)) return join(folder, ...names);
  }
}

function environmentOf(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
}
