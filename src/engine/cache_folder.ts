/** The system's cache folder, for files that can be made or fetched again. */

import { isAbsolute, join } from "node:path";

/** Environment variables that name a cache folder, by system. */
const CACHE_FOLDERS: Readonly<
  Partial<Record<typeof Deno.build.os, readonly (readonly [string, ...string[]])[]>>
> = {
  windows: [["LOCALAPPDATA", "unmask"]],
  darwin: [["HOME", "Library", "Caches", "unmask"]],
};
const OTHER_CACHE_FOLDERS = [["XDG_CACHE_HOME", "unmask"], ["HOME", ".cache", "unmask"]] as const;

/**
 * This package's folder in the cache folder; undefined if no readable variable names one. It never
 * prompts for a permission.
 */
export function cacheFolder(
  os: typeof Deno.build.os = Deno.build.os,
  valueOf: (variable: string) => string | undefined = environmentOf,
): string | undefined {
  for (const [variable, ...names] of CACHE_FOLDERS[os] ?? OTHER_CACHE_FOLDERS) {
    const folder = valueOf(variable);
    // A relative path must be ignored (XDG Base Directory Specification).
    if (folder && isAbsolute(folder)) return join(folder, ...names);
  }
}

function environmentOf(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) : undefined;
}
