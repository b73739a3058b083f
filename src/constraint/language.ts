/**
 * Regular languages over bytes, as values: what an answer may be. Schemas and patterns become such
 * values, and `automaton.ts` makes them run.
 *
 * A language that holds no text at all is `undefined`. Every function here passes that on, so that
 * no value has a part which leads nowhere: whatever begins like a member can be completed to one.
 */

/** A language. `size` is about the number of states that it takes. */
export type Language =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array; readonly size: number }
  | { readonly kind: "range"; readonly low: number; readonly high: number; readonly size: number }
  | { readonly kind: "sequence"; readonly parts: readonly Language[]; readonly size: number }
  | { readonly kind: "choice"; readonly options: readonly Language[]; readonly size: number }
  | ListLanguage
  | { readonly kind: "members"; readonly members: readonly Member[]; readonly size: number }
  | StateLanguage;

/** States and the bytes between them; the first one begins (intersection.ts makes it). */
export interface StateLanguage {
  readonly kind: "states";
  readonly states: readonly {
    readonly edges: readonly { readonly low: number; readonly high: number; readonly to: number }[];
    readonly accepts: boolean;
  }[];
  readonly size: number;
}

/** `least` to `most` times `item`, with a separator between each two. */
interface ListLanguage {
  readonly kind: "list";
  readonly item: Language;
  readonly separator: Language;
  readonly least: number;
  /** May be Infinity. */
  readonly most: number;
  readonly size: number;
}

/** A member of an object, which stands in its place or, if it is optional, is left out. */
export interface Member {
  readonly language: Language;
  readonly required: boolean;
}

/** A language, or none. */
export type Maybe = Language | undefined;

/** States that one language may take; a larger one is refused where it is written. */
export const MOST_STATES = 60_000;

/** The language of one text. */
export function literal(text: string): Language {
  const bytes = new TextEncoder().encode(text);
  return { kind: "bytes", bytes, size: bytes.length };
}

/** The language of the empty text. */
export const EMPTY: Language = literal("");

/** One byte from `low` to `high`. */
export function byteRange(low: number, high: number): Language {
  return { kind: "range", low, high, size: 1 };
}

/** One after another. */
export function sequence(...parts: readonly Maybe[]): Maybe {
  if (parts.some((part) => part === undefined)) return undefined;
  const all = (parts as readonly Language[]).filter((part) => part !== EMPTY);
  if (all.length === 0) return EMPTY;
  return all.length === 1 ? all[0] : { kind: "sequence", parts: all, size: sizeOf(all) };
}

/** One of several. */
export function choice(...options: readonly Maybe[]): Maybe {
  const some = options.filter((option) => option !== undefined);
  if (some.length < 2) return some[0];
  return { kind: "choice", options: some, size: sizeOf(some) + some.length };
}

/** Nothing, or one. */
export function optional(part: Maybe): Language {
  return choice(EMPTY, part)!;
}

/**
 * `least` to `most` times `item`. An upper bound that would take too many states is lowered: what is
 * left out are only members of the language that no canvas is long enough for.
 */
export function list(
  item: Maybe,
  least: number,
  most: number,
  separator: Language = EMPTY,
): Maybe {
  if (item === undefined) return least === 0 ? EMPTY : undefined;
  if (most < least) return undefined;
  if (most === 0) return EMPTY;
  const each = item.size + separator.size + 2;
  const bound = most === Infinity
    ? most
    : Math.min(most, Math.max(least, Math.floor(MOST_STATES / 4 / each), 1));
  const copies = bound === Infinity ? Math.max(1, least) : bound;
  return { kind: "list", item, separator, least, most: bound, size: copies * each };
}

/** Members in their order with `, ` between each two; those that are not required may be absent. */
export function members(all: readonly Member[]): Language {
  if (all.length === 0) return EMPTY;
  return {
    kind: "members",
    members: all,
    size: sizeOf(all.map(({ language }) => language)) + 6 * all.length,
  };
}

function sizeOf(parts: readonly Language[]): number {
  return parts.reduce((sum, { size }) => sum + size + 1, 0);
}
