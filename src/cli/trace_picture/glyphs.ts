/**
 * Letters of 5 x 9 dots (two rows below the line), so that pictures do not depend on system fonts.
 */

import type { Colour, Quad } from "./draw_quads.ts";

/** Glyphs as text: thirteen side by side, with their characters above. */
const SHEET = `
0      1      2      3      4      5      6      7      8      9      A      B      C
.###.  ..#..  .###.  #####  ...#.  #####  ..##.  #####  .###.  .###.  .###.  ####.  .###.
#...#  .##..  #...#  ...#.  ..##.  #....  .#...  ....#  #...#  #...#  #...#  #...#  #...#
#..##  ..#..  ....#  ..#..  .#.#.  ####.  #....  ...#.  #...#  #...#  #...#  #...#  #....
#.#.#  ..#..  ...#.  ...#.  #..#.  ....#  ####.  ..#..  .###.  .####  #...#  ####.  #....
##..#  ..#..  ..#..  ....#  #####  ....#  #...#  .#...  #...#  ....#  #####  #...#  #....
#...#  ..#..  .#...  #...#  ...#.  #...#  #...#  .#...  #...#  ...#.  #...#  #...#  #...#
.###.  .###.  #####  .###.  ...#.  .###.  .###.  .#...  .###.  .##..  #...#  ####.  .###.
.....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....
.....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....

D      E      F      G      H      I      J      K      L      M      N      O      P
###..  #####  #####  .###.  #...#  .###.  ..###  #...#  #....  #...#  #...#  .###.  ####.
#..#.  #....  #....  #...#  #...#  ..#..  ...#.  #..#.  #....  ##.##  #...#  #...#  #...#
#...#  #....  #....  #....  #...#  ..#..  ...#.  #.#..  #....  #.#.#  ##..#  #...#  #...#
#...#  ####.  ####.  #.###  #####  ..#..  ...#.  ##...  #....  #.#.#  #.#.#  #...#  ####.
#...#  #....  #....  #...#  #...#  ..#..  ...#.  #.#..  #....  #...#  #..##  #...#  #....
#..#.  #....  #....  #...#  #...#  ..#..  #..#.  #..#.  #....  #...#  #...#  #...#  #....
###..  #####  #....  .####  #...#  .###.  .##..  #...#  #####  #...#  #...#  .###.  #....
.....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....
.....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....

Q      R      S      T      U      V      W      X      Y      Z      a      b      c
.###.  ####.  .####  #####  #...#  #...#  #...#  #...#  #...#  #####  .....  #....  .....
#...#  #...#  #....  ..#..  #...#  #...#  #...#  #...#  #...#  ....#  .....  #....  .....
#...#  #...#  #....  ..#..  #...#  #...#  #...#  .#.#.  #...#  ...#.  .###.  #.##.  .###.
#...#  ####.  .###.  ..#..  #...#  #...#  #.#.#  ..#..  .#.#.  ..#..  ....#  ##..#  #....
#.#.#  #.#..  ....#  ..#..  #...#  #...#  #.#.#  .#.#.  ..#..  .#...  .####  #...#  #....
#..#.  #..#.  ....#  ..#..  #...#  .#.#.  #.#.#  #...#  ..#..  #....  #...#  #...#  #...#
.##.#  #...#  ####.  ..#..  .###.  ..#..  .#.#.  #...#  ..#..  #####  .####  ####.  .###.
.....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....
.....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....  .....

d      e      f      g      h      i      j      k      l      m      n      o      p
....#  .....  ..##.  .....  #....  ..#..  ...#.  #....  .##..  .....  .....  .....  .....
....#  .....  .#..#  .....  #....  .....  .....  #....  ..#..  .....  .....  .....  .....
.##.#  .###.  .#...  .####  #.##.  .##..  ..##.  #..#.  ..#..  ##.#.  #.##.  .###.  ####.
#..##  #...#  ###..  #...#  ##..#  ..#..  ...#.  #.#..  ..#..  #.#.#  ##..#  #...#  #...#
#...#  #####  .#...  #...#  #...#  ..#..  ...#.  ##...  ..#..  #.#.#  #...#  #...#  #...#
#...#  #....  .#...  #...#  #...#  ..#..  ...#.  #.#..  ..#..  #...#  #...#  #...#  #...#
.####  .###.  .#...  .####  #...#  .###.  ...#.  #..#.  .###.  #...#  #...#  .###.  ####.
.....  .....  .....  ....#  .....  .....  #..#.  .....  .....  .....  .....  .....  #....
.....  .....  .....  .###.  .....  .....  .##..  .....  .....  .....  .....  .....  #....

q      r      s      t      u      v      w      x      y      z      .      ,      :
.....  .....  .....  .#...  .....  .....  .....  .....  .....  .....  .....  .....  .....
.....  .....  .....  .#...  .....  .....  .....  .....  .....  .....  .....  .....  .##..
.####  #.##.  .###.  ###..  #...#  #...#  #...#  #...#  #...#  #####  .....  .....  .##..
#...#  ##..#  #....  .#...  #...#  #...#  #...#  .#.#.  #...#  ...#.  .....  .....  .....
#...#  #....  .###.  .#...  #...#  #...#  #.#.#  ..#..  #...#  ..#..  .....  .....  .##..
#...#  #....  ....#  .#..#  #..##  .#.#.  #.#.#  .#.#.  #...#  .#...  .##..  .##..  .##..
.####  #....  ####.  ..##.  .##.#  ..#..  .#.#.  #...#  .####  #####  .##..  .##..  .....
....#  .....  .....  .....  .....  .....  .....  .....  ....#  .....  .....  ..#..  .....
....#  .....  .....  .....  .....  .....  .....  .....  .###.  .....  .....  .#...  .....

-      +      =      _      /      (      )      %      ?
.....  .....  .....  .....  .....  ...#.  .#...  ##...  .###.
.....  ..#..  .....  .....  ....#  ..#..  ..#..  ##..#  #...#
.....  ..#..  #####  .....  ...#.  .#...  ...#.  ...#.  ....#
#####  #####  .....  .....  ..#..  .#...  ...#.  ..#..  ...#.
.....  ..#..  #####  .....  .#...  .#...  ...#.  .#...  ..#..
.....  ..#..  .....  .....  #....  ..#..  ..#..  #..##  .....
.....  .....  .....  #####  .....  ...#.  .#...  ...##  ..#..
.....  .....  .....  .....  .....  .....  .....  .....  .....
.....  .....  .....  .....  .....  .....  .....  .....  .....
`;

/** Columns and rows of a glyph. */
export const GLYPH = { columns: 5, rows: 9 } as const;

/** A glyph's dots, row by row from the top left, in two words with the low one first. */
export type GlyphBits = readonly [low: number, high: number];

const glyphs = new Map<string, GlyphBits>();
for (const band of SHEET.trim().split("\n\n")) {
  const [characters, ...rows] = band.split("\n");
  for (let at = 0; at < characters.length; at += GLYPH.columns + 2) {
    const words: [number, number] = [0, 0];
    rows.map((row) => row.slice(at, at + GLYPH.columns)).join("").split("").forEach((dot, i) => {
      if (dot === "#") words[i >> 5] |= 1 << (i & 31);
    });
    glyphs.set(characters[at], [words[0] >>> 0, words[1]]);
  }
}

/** A character's glyph; a question mark's for an unknown character, undefined for a space. */
export function glyphOf(character: string): GlyphBits | undefined {
  return character === " " ? undefined : glyphs.get(character) ?? glyphs.get("?");
}

/** Side of a dot, in pixels. */
const DOT = 2;

/** Measures of a line of text, in pixels. */
export const TEXT = {
  /** From one character to the next. */
  advance: (GLYPH.columns + 1) * DOT,
  /** Height of a capital letter or a digit. */
  height: 7 * DOT,
  /** From one line to the next. */
  line: (GLYPH.rows + 2) * DOT,
} as const;

/** Width of a line in pixels, from its first dot to its last. */
export function textWidth(text: string): number {
  return Math.max(0, text.length * TEXT.advance - DOT);
}

/** One line of text as quads; `left` and `top` are its top left corner, in pixels. */
export function textQuads(text: string, left: number, top: number, colour: Colour): Quad[] {
  const size = { width: GLYPH.columns * DOT, height: GLYPH.rows * DOT };
  return [...text].flatMap((character, i) => {
    const bits = glyphOf(character);
    return bits ? [{ left: left + i * TEXT.advance, top, ...size, colour, bits }] : [];
  });
}

/** Wraps words into lines of at most `width` pixels; a wider word gets a line of its own. */
export function wrapWords(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const longer = lines.length === 0 ? word : `${lines.at(-1)} ${word}`;
    if (lines.length > 0 && textWidth(longer) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}
