/** Sets of characters, and how they are spelled in bytes: as plain UTF-8 or inside a JSON string. */

import { byteRange, choice, type Language, literal, type Maybe, sequence } from "./language.ts";

/** Code points from the first to the second, both included. */
export type CodeRange = readonly [low: number, high: number];

/** How a character is written. */
export type Spelling = "raw" | "json";

/** Every code point except the halves of surrogate pairs, which UTF-8 does not have. */
export const ANY: readonly CodeRange[] = [[0, 0xd7ff], [0xe000, 0x10ffff]];

/** Control characters that JSON has a short escape for. */
const ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x22, '\\"'],
  [0x5c, "\\\\"],
  [0x08, "\\b"],
  [0x09, "\\t"],
  [0x0a, "\\n"],
  [0x0c, "\\f"],
  [0x0d, "\\r"],
]);

/** Sorts and joins ranges, without surrogates. */
export function normalized(ranges: readonly CodeRange[]): CodeRange[] {
  const cut = ranges.flatMap(([low, high]) =>
    ANY.map(([first, last]): CodeRange => [Math.max(low, first), Math.min(high, last)])
  ).filter(([low, high]) => low <= high).sort((a, b) => a[0] - b[0]);
  const joined: [number, number][] = [];
  for (const [low, high] of cut) {
    const last = joined.at(-1);
    if (last && low <= last[1] + 1) last[1] = Math.max(last[1], high);
    else joined.push([low, high]);
  }
  return joined;
}

/** All other code points. */
export function complement(ranges: readonly CodeRange[]): CodeRange[] {
  const others: CodeRange[] = [];
  let from = 0;
  for (const [low, high] of normalized(ranges)) {
    if (from < low) others.push([from, low - 1]);
    from = high + 1;
  }
  if (from <= 0x10ffff) others.push([from, 0x10ffff]);
  return normalized(others);
}

/**
 * One character of a set. In JSON a control character without a short escape is left out, unless
 * the set has nothing else.
 */
export function character(ranges: readonly CodeRange[], spelling: Spelling): Maybe {
  const all = normalized(ranges);
  if (spelling === "raw") return choice(...all.flatMap(utf8));
  const holds = (code: number) => all.some(([low, high]) => low <= code && code <= high);
  const escaped = [...ESCAPES].filter(([code]) => holds(code)).map(([, text]) => literal(text));
  const plain = normalized(complement([[0, 0x1f], [0x22, 0x22], [0x5c, 0x5c]]))
    .flatMap(([low, high]) => all.map(([a, b]): CodeRange => [Math.max(a, low), Math.min(b, high)]))
    .filter(([low, high]) => low <= high);
  if (escaped.length + plain.length > 0) return choice(...plain.flatMap(utf8), ...escaped);
  const codes = Array.from({ length: 0x20 }, (_, code) => code).filter(holds);
  return choice(
    ...codes.map((code) => literal(JSON.stringify(String.fromCharCode(code)).slice(1, -1))),
  );
}

/** The UTF-8 sequences of a range (Thompson's splitting, as in Go's and Rust's regex libraries). */
function utf8([low, high]: CodeRange): Language[] {
  for (const last of [0x7f, 0x7ff, 0xffff]) {
    if (low <= last && last < high) return [...utf8([low, last]), ...utf8([last + 1, high])];
  }
  if (high <= 0x7f) return [byteRange(low, high)];
  const first = encoded(low);
  const last = encoded(high);
  // Split until all bytes but one part of the front are whole ranges.
  for (let tail = 1; tail < first.length; tail++) {
    const mask = (1 << (6 * tail)) - 1;
    if ((low & ~mask) === (high & ~mask)) continue;
    if ((low & mask) !== 0) return [...utf8([low, low | mask]), ...utf8([(low | mask) + 1, high])];
    if ((high & mask) !== mask) {
      return [...utf8([low, (high & ~mask) - 1]), ...utf8([high & ~mask, high])];
    }
  }
  return [sequence(...[...first].map((byte, i) => byteRange(byte, last[i])))!];
}

function encoded(code: number): Uint8Array {
  return new TextEncoder().encode(String.fromCodePoint(code));
}
