/** Errors of a folder that cannot be written, with the folder's name and what to do. */

/** What to do, by the code of the system's error. */
const REMEDIES: Readonly<Record<string, string>> = {
  ENOSPC:
    "The disk is full: free some of it and run the same command again, it goes on from there.",
  EDQUOT: "The quota is used up: free some of it and run the same command again.",
  EFBIG: "The file is too large for this disk: choose another place, or a smaller --shard-size.",
  EROFS: "The file system is read-only: choose another place.",
  EACCES: "You may not write there: choose another place.",
  EPERM: "You may not write there: choose another place.",
  ENOTDIR: "A part of its path is a file: choose another name.",
  ENAMETOOLONG: "Its name is too long: choose a shorter one.",
};

/** Turns a system error into one that says what to do; other errors are returned as they are. */
export function writeError(dir: string, error: unknown): unknown {
  if (error instanceof Deno.errors.NotCapable) {
    return new Error(
      `${dir} cannot be written: Deno was not allowed to. Choose another place, or run with ` +
        `--allow-write and --allow-read for this one.`,
      { cause: error },
    );
  }
  const { code, message } = error instanceof Error
    ? error as Error & { readonly code?: string }
    : {} as Partial<Error & { code: string }>;
  if (code === undefined || !Object.hasOwn(REMEDIES, code)) return error;
  return new Error(`${dir} cannot be written: ${message}. ${REMEDIES[code]}`, { cause: error });
}
