/**
 * Fields of a request that this server does not know. Clients send many that change nothing here, so
 * they are not refused: they are named, in the header `x-unmask-ignored` and in the log.
 */

/** Told of each field that is ignored, by its path without indices: `messages[].name`. */
export type OnIgnored = (path: string) => void;

/** The header that names them. */
export const IGNORED_HEADER = "X-Unmask-Ignored";

/** Names that are told; of the others only how many there are. */
const MOST_NAMES = 20;
/** Characters of a name that are told. */
const MOST_CHARACTERS = 64;

/**
 * Ignored fields as they may stand in a header and in a log: each name once and cut short, without
 * any character that could end a header or a line.
 */
export function writtenNames(paths: readonly string[]): readonly string[] {
  const names = [...new Set(paths)];
  const written = names.slice(0, MOST_NAMES).map((name) => {
    const cut = name.length > MOST_CHARACTERS ? `${name.slice(0, MOST_CHARACTERS)}...` : name;
    return cut.replace(/[^\w.$[\]-]/g, "?");
  });
  const others = names.length - written.length;
  return others > 0 ? [...written, `and ${others} more`] : written;
}
