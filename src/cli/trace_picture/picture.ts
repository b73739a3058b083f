/** A trace as a picture: positions to the right, denoising steps downwards. */

import { encode } from "fast-png";
import type { Trace } from "../../denoise/trace.ts";
import type { Gpu } from "../../gpu/device.ts";
import { type Colour, drawQuads, type Image, type Quad } from "./draw_quads.ts";
import { TEXT, textQuads, textWidth, wrapWords } from "./glyphs.ts";
import {
  cellQuads,
  colourOf,
  type Grid,
  MASKED,
  type Outcome,
  paleOf,
  REMASKED,
  WHITE,
} from "./cells.ts";

/** Limit of a picture's width and height, in pixels. */
export const PICTURE_LIMIT = 4096;
/** Colour of axes, borders and letters. */
export const INK: Colour = [0.15, 0.17, 0.2];

/** Side in pixels that the grid should fill: cells are as large as it allows, within limits. */
const COMFORTABLE = 1280;
const SMALLEST_CELL = 4;
const LARGEST_CELL = 16;
/** Least width in pixels: the legend and the title need it, even for a short generation. */
const LEAST_WIDTH = 560;
/** Blocks narrower than this many pixels get no borders: they would hide the cells. */
const LEAST_BORDERED = 8;
const MARGIN = 16;
const TICK = 6;
const SWATCH = 16;

/** The parts of a picture and their places. */
export interface PictureLayout {
  readonly width: number;
  readonly height: number;
  readonly grid: Grid;
  /** Legend entries, each with the top left corner of its first swatch. */
  readonly legend: readonly {
    readonly label: string;
    readonly left: number;
    readonly top: number;
  }[];
  readonly quads: readonly Quad[];
}

/** Lays out a trace, at most {@linkcode PICTURE_LIMIT} pixels wide and high. */
export function layoutTrace(trace: Trace): PictureLayout {
  const { settings, steps } = trace;
  const { genLength, blockLength } = settings;
  const rows = Math.max(1, steps.length);
  const quads: Quad[] = [];
  const left = MARGIN + Math.max(textWidth("step"), textWidth(String(rows - 1))) + TICK + 6;
  // The widest title, and its legend, take less than this above and below the grid.
  const most = { width: PICTURE_LIMIT - left - MARGIN, height: PICTURE_LIMIT - 20 * TEXT.line };
  const cellWidth = cellSize(genLength, most.width);
  const cellHeight = cellSize(rows, most.height);
  const gridWidth = Math.floor(genLength * cellWidth);
  const gridHeight = Math.floor(rows * cellHeight);
  const width = Math.max(LEAST_WIDTH, left + gridWidth + MARGIN);

  let y = MARGIN;
  const write = (text: string) => {
    for (const line of wrapWords(text, width - 2 * MARGIN)) {
      quads.push(...textQuads(line, MARGIN, y, INK));
      y += TEXT.line;
    }
  };
  for (const sentence of titleOf(trace)) write(sentence);
  y += TEXT.line / 2;
  quads.push(...textQuads("step", left - TICK - 6 - textWidth("step"), y, INK));
  const top = y + TEXT.line;
  const grid: Grid = { left, top, cellWidth, cellHeight, columns: genLength, rows };
  quads.push(...cellQuads(trace, grid));
  const bordered = blockLength * cellWidth >= LEAST_BORDERED;
  for (let position = blockLength; bordered && position < genLength; position += blockLength) {
    const at = left + Math.floor(position * cellWidth);
    quads.push({ left: at - 1, top, width: 2, height: gridHeight, colour: INK });
  }
  y = top + gridHeight;
  quads.push(
    { left: left - 2, top, width: 2, height: gridHeight + 2, colour: INK },
    { left: left - 2, top: y, width: gridWidth + 2, height: 2, colour: INK },
  );
  const labelWidth = textWidth(String(genLength - 1)) + 2 * TEXT.advance;
  for (const position of ticks(genLength, labelWidth / cellWidth)) {
    const centre = Math.floor(left + (position + 0.5) * cellWidth);
    const label = String(position);
    quads.push({ left: centre - 1, top: y + 2, width: 2, height: TICK, colour: INK });
    const start = Math.min(centre - textWidth(label) / 2, width - MARGIN - textWidth(label));
    quads.push(...textQuads(label, Math.floor(start), y + TICK + 6, INK));
  }
  for (const step of ticks(steps.length, 3 * TEXT.height / cellHeight)) {
    const centre = Math.floor(top + (step + 0.5) * cellHeight);
    const label = String(step);
    quads.push({ left: left - 2 - TICK, top: centre - 1, width: TICK, height: 2, colour: INK });
    const start = left - TICK - 6 - textWidth(label);
    quads.push(...textQuads(label, start, centre - TEXT.height / 2, INK));
  }
  y += TICK + 6 + TEXT.line;
  quads.push(...textQuads("position in the generation", left, y, INK));
  y += TEXT.line + MARGIN;

  const legend = layoutLegend(y, width);
  quads.push(...legend.quads);
  y = legend.bottom;
  write(NOTE);
  return { width, height: y + MARGIN, grid, legend: legend.entries, quads };
}

/** Size of a cell: whole pixels if they fit. */
function cellSize(count: number, most: number): number {
  const comfortable = Math.floor(COMFORTABLE / count);
  const size = Math.min(LARGEST_CELL, Math.max(SMALLEST_CELL, comfortable));
  if (size * count <= most) return size;
  return most >= count ? Math.floor(most / count) : most / count;
}

function titleOf({ settings, steps }: Trace): string[] {
  const { strategy, cache, genLength, blockLength, seed } = settings;
  const decided = new Set<number>();
  for (const { commits, remasked = [] } of steps) {
    for (const position of remasked) decided.delete(position);
    for (const { position } of commits) decided.add(position);
  }
  const forwards = steps.at(-1)?.nfe ?? 0;
  return [
    `Strategy ${strategy}, cache ${cache}, seed ${seed}.`,
    `${decided.size} of ${genLength} positions decided in blocks of ${blockLength}: ${steps.length} steps, ` +
    `${forwards} forward passes of the target.`,
  ];
}

/** Round numbers in [0, count) that lie at least `apart` from each other. */
function ticks(count: number, apart: number): number[] {
  let distance = 1;
  for (let i = 0; distance < apart; i++) distance = [1, 2, 5][i % 3] * 10 ** Math.floor(i / 3);
  return Array.from({ length: Math.ceil(count / distance) }, (_, i) => i * distance);
}

const NOTE = "Pale to deep: confidence from 0 to 1. Red foot: another guess was rejected there.";
const RAMP = [0, 0.25, 0.5, 0.75, 1];

/** The legend: labels of the colours, and their swatches. */
function legendEntries(): { readonly label: string; readonly swatches: readonly Colour[] }[] {
  const ramp = (outcome: Outcome) => RAMP.map((confidence) => colourOf(outcome, confidence));
  return [
    { label: "committed", swatches: ramp("committed") },
    { label: "guess accepted", swatches: ramp("accepted") },
    { label: "guess rejected", swatches: ramp("rejected") },
    { label: "decided before", swatches: [paleOf("committed"), paleOf("accepted")] },
    { label: "masked again", swatches: [REMASKED] },
    { label: "still masked", swatches: [MASKED] },
  ];
}

function layoutLegend(top: number, width: number) {
  const quads: Quad[] = [];
  const entries: { label: string; left: number; top: number }[] = [];
  let x = MARGIN;
  let y = top;
  for (const { label, swatches } of legendEntries()) {
    const swatchesWidth = swatches.length * SWATCH;
    const entryWidth = swatchesWidth + TEXT.advance + textWidth(label);
    if (x > MARGIN && x + entryWidth > width - MARGIN) {
      x = MARGIN;
      y += TEXT.line;
    }
    entries.push({ label, left: x, top: y });
    quads.push({
      left: x - 1,
      top: y - 2,
      width: swatchesWidth + 2,
      height: SWATCH + 2,
      colour: INK,
    });
    swatches.forEach((colour, i) =>
      quads.push({ left: x + i * SWATCH, top: y - 1, width: SWATCH, height: SWATCH, colour })
    );
    quads.push(...textQuads(label, x + swatchesWidth + TEXT.advance, y, INK));
    x += entryWidth + 2 * TEXT.advance;
  }
  return { quads, entries, bottom: y + TEXT.line + 4 };
}

/**
 * Draws a trace.
 * @throws {GpuError} when the device's textures are too small for it, or the device fails
 */
export function drawTrace(gpu: Gpu, trace: Trace): Promise<Image> {
  const layout = layoutTrace(trace);
  return drawQuads(gpu, layout.quads, layout, WHITE);
}

/** A PNG file, without the alpha channel. */
export function pngOf({ width, height, rgba }: Image): Uint8Array<ArrayBuffer> {
  const data = new Uint8Array(3 * width * height);
  for (let i = 0; i < width * height; i++) data.set(rgba.subarray(4 * i, 4 * i + 3), 3 * i);
  return new Uint8Array(encode({ width, height, data, channels: 3 }));
}
