/** Draws each position at each step of a trace as a coloured rectangle. */

import type { Trace, TracedToken } from "../../denoise/trace.ts";
import type { Colour, Quad } from "./draw_quads.ts";

/** The grid of positions (to the right) and steps (downwards), in pixels. */
export interface Grid {
  readonly left: number;
  readonly top: number;
  /** Width of one cell; if it is below 1, several cells share a pixel. */
  readonly cellWidth: number;
  readonly cellHeight: number;
  /** Number of positions. */
  readonly columns: number;
  /** Number of steps. */
  readonly rows: number;
}

/** Cells of at least this many pixels are separated by a line of one pixel. */
const LEAST_PARTED = 6;

/** Colours at confidence 1, from a palette that is safe for the colour-blind (Okabe, Ito). */
const HUES = {
  committed: rgb(0x0060a8),
  accepted: rgb(0x008a64),
  rejected: rgb(0xd1480a),
} as const;

/** What happened to a token; the hue of its cell shows it. */
export type Outcome = keyof typeof HUES;

/** Colour of a position that is still masked after the step. */
export const MASKED: Colour = rgb(0xc6cad1);
/** Colour of a position that the step masked again. */
export const REMASKED: Colour = rgb(0xb84fa0);
/** Colour of the background. */
export const WHITE: Colour = [1, 1, 1];

function rgb(hex: number): Colour {
  return [hex >> 16 & 255, hex >> 8 & 255, hex & 255].map((byte) => byte / 255) as [
    number,
    number,
    number,
  ];
}

function tint(colour: Colour, strength: number): Colour {
  const part = (value: number) => 1 + strength * (value - 1);
  return [part(colour[0]), part(colour[1]), part(colour[2])];
}

/** Colour of a token at the step that committed or refused it; deeper with more confidence. */
export function colourOf(outcome: Outcome, confidence: number): Colour {
  return tint(HUES[outcome], 0.4 + 0.6 * confidence);
}

/** Colour of a token at the steps after the one that committed it. */
export function paleOf(outcome: "committed" | "accepted"): Colour {
  return tint(HUES[outcome], 0.17);
}

/** A rectangle of cells, rounded to whole pixels and at least one pixel large. */
export function cellsAt(
  grid: Grid,
  position: number,
  step: number,
  columns = 1,
  rows = 1,
): Pick<Quad, "left" | "top" | "width" | "height"> {
  const span = (start: number, size: number, from: number, count: number, all: number) => {
    const last = start + Math.floor(all * size) - 1;
    const first = Math.min(last, start + Math.floor(from * size));
    const end = start + Math.floor((from + count) * size);
    return [first, Math.max(1, end - first)];
  };
  const [left, width] = span(grid.left, grid.cellWidth, position, columns, grid.columns);
  const [top, height] = span(grid.top, grid.cellHeight, step, rows, grid.rows);
  return { left, top, width, height };
}

/** The cells of a trace: unchanged cells are drawn first, changed cells over them. */
export function cellQuads({ settings, steps }: Trace, grid: Grid): Quad[] {
  const held: Quad[] = [];
  const changed: Quad[] = [];
  const since = new Map<number, { readonly step: number; readonly by: "committed" | "accepted" }>();
  const hold = (position: number, until: number) => {
    const start = since.get(position);
    since.delete(position);
    if (start === undefined || until <= start.step + 1) return;
    const place = cellsAt(grid, position, start.step + 1, 1, until - start.step - 1);
    held.push({ ...place, colour: paleOf(start.by) });
  };
  for (
    const [row, { commits, proposed = [], accepted, rejected, remasked = [] }] of steps.entries()
  ) {
    const at = (position: number) => cellsAt(grid, position, row);
    const refused = new Map<number, TracedToken>();
    const wrong = new Set(rejected);
    for (const guess of proposed) if (wrong.has(guess.position)) refused.set(guess.position, guess);
    const right = new Set(accepted);
    // A refused guess is drawn at the foot of its cell if the cell shows something else.
    const aboveFoot = (position: number) => {
      const place = at(position);
      const foot = refused.has(position) ? Math.floor(place.height / 3) : 0;
      return { ...place, height: place.height - foot };
    };
    for (const { position, confidence } of refused.values()) {
      changed.push({ ...at(position), colour: colourOf("rejected", confidence) });
    }
    for (const position of remasked) {
      hold(position, row);
      changed.push({ ...aboveFoot(position), colour: REMASKED });
    }
    for (const { position, confidence } of commits) {
      hold(position, row);
      const by = right.has(position) ? "accepted" : "committed";
      since.set(position, { step: row, by });
      changed.push({ ...aboveFoot(position), colour: colourOf(by, confidence) });
    }
  }
  for (const position of [...since.keys()]) hold(position, steps.length);
  const all = cellsAt(grid, 0, 0, settings.genLength, Math.max(1, steps.length));
  return [{ ...all, colour: MASKED }, ...held, ...changed, ...gaps(grid, all)];
}

/** Background lines between the cells, if the cells are large enough. */
function gaps(grid: Grid, all: Pick<Quad, "left" | "top" | "width" | "height">): Quad[] {
  const { columns, rows, cellWidth, cellHeight, left, top } = grid;
  const lines: Quad[] = [];
  for (let i = 1; i <= columns && cellWidth >= LEAST_PARTED; i++) {
    lines.push({ ...all, left: left + i * cellWidth - 1, width: 1, colour: WHITE });
  }
  for (let i = 1; i <= rows && cellHeight >= LEAST_PARTED; i++) {
    lines.push({ ...all, top: top + i * cellHeight - 1, height: 1, colour: WHITE });
  }
  return lines;
}
