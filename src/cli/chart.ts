/** Charts of curves and points, in panels one above the other, drawn by the device as pictures are. */

import type { Gpu } from "../gpu/device.ts";
import { type Colour, drawQuads, type Image, type Quad } from "./trace_picture/draw_quads.ts";
import { TEXT, textQuads, textWidth } from "./trace_picture/glyphs.ts";
import { INK } from "./trace_picture/picture.ts";

/** Colours of curves, in order: black, blue, green, orange, red, violet. */
export const CURVE_COLOURS: readonly Colour[] = [
  INK,
  [0.16, 0.42, 0.68],
  [0.2, 0.6, 0.35],
  [0.85, 0.5, 0.15],
  [0.75, 0.25, 0.25],
  [0.5, 0.35, 0.7],
];

const WHITE: Colour = [1, 1, 1];
const RULE: Colour = [0.88, 0.9, 0.92];
const MARGIN = 16;
/** Pixels of a panel. */
const PANEL = { width: 640, height: 220 } as const;
const GAP = 8;
/** Lines across a panel, with their values beside them. */
const RULES = 4;
const SWATCH = 12;
/** Side of a measured point. */
const DOT = 5;

/** A point of a curve. */
export interface ChartPoint {
  readonly x: number;
  readonly y: number;
  /** Text beside a marked point. */
  readonly label?: string;
}

/** Points of one colour. */
export interface Curve {
  readonly label: string;
  readonly colour: Colour;
  /** Those that are no finite numbers are left out. */
  readonly points: readonly ChartPoint[];
  /** Whether points are joined, in their order; default true. */
  readonly joined?: boolean;
  /** Whether points are marked; default false. */
  readonly marked?: boolean;
}

/** An axis: its ends (default: the least and the largest value) and what stands below or above it. */
export interface Axis {
  readonly low?: number;
  readonly high?: number;
  readonly label: string;
}

/** Curves over one pair of axes. */
export interface Panel {
  readonly curves: readonly Curve[];
  readonly x: Axis;
  readonly y: Axis;
}

/** A panel and its place: the values at its edges, and the pixels of its corner. */
export interface PlacedPanel extends Panel {
  readonly bounds: Readonly<Record<"x" | "y", readonly [low: number, high: number]>>;
  readonly left: number;
  readonly top: number;
}

/** The parts of a chart and their places. */
export interface ChartLayout {
  readonly width: number;
  readonly height: number;
  readonly panels: readonly PlacedPanel[];
  readonly quads: readonly Quad[];
}

/** Lays out panels below a title. Panels without a finite point are left out. */
export function layoutChart(title: string, panels: readonly Panel[]): ChartLayout {
  const left = MARGIN + textWidth("0.0000") + GAP;
  const width = left + PANEL.width + MARGIN;
  const quads: Quad[] = [...textQuads(title, MARGIN, MARGIN, INK)];
  const placed: PlacedPanel[] = [];
  let top = MARGIN + TEXT.line + GAP;
  for (const panel of panels.map(finite)) {
    if (panel.curves.length === 0) continue;
    quads.push(...textQuads(panel.y.label, left, top, INK));
    const legend = legendQuads(panel.curves, left, top + TEXT.line, width - MARGIN);
    quads.push(...legend.quads);
    top = legend.bottom + GAP;
    const bounds = { x: boundsOf(panel, "x"), y: boundsOf(panel, "y") };
    const place = { ...panel, bounds, left, top };
    placed.push(place);
    quads.push(...rules(place), ...panel.curves.flatMap((curve) => curveQuads(curve, place)));
    top += PANEL.height + GAP;
    const [low, high] = bounds.x.map(number);
    const middle = left + (PANEL.width - textWidth(panel.x.label)) / 2;
    quads.push(
      ...textQuads(low, left, top, INK),
      ...textQuads(panel.x.label, Math.round(middle), top, INK),
      ...textQuads(high, left + PANEL.width - textWidth(high), top, INK),
    );
    top += TEXT.line + 2 * GAP;
  }
  return { width, height: top + MARGIN, panels: placed, quads };
}

/**
 * Draws panels below a title.
 * @throws {GpuError} when the device fails
 */
export function drawChart(gpu: Gpu, title: string, panels: readonly Panel[]): Promise<Image> {
  const layout = layoutChart(title, panels);
  return drawQuads(gpu, layout.quads, layout, WHITE);
}

function finite(panel: Panel): Panel {
  const curves = panel.curves.map((curve) => ({
    ...curve,
    points: curve.points.filter(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)),
  })).filter(({ points }) => points.length > 0);
  return { ...panel, curves };
}

/** Ends of an axis: never the same, so that there is a scale. */
function boundsOf(panel: Panel, axis: "x" | "y"): readonly [low: number, high: number] {
  const values = panel.curves.flatMap(({ points }) => points.map((point) => point[axis]));
  const low = panel[axis].low ?? Math.min(...values);
  const high = panel[axis].high ?? Math.max(...values);
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}

/** A number of an axis in at most six characters, where it is below 100,000. */
function number(value: number): string {
  if (Number.isInteger(value)) return `${value}`;
  return value.toFixed(Math.abs(value) >= 100 ? 1 : Math.abs(value) >= 10 ? 3 : 4);
}

/** Names of curves beside their colours, in as many lines as they need. */
function legendQuads(curves: readonly Curve[], left: number, top: number, right: number) {
  const quads: Quad[] = [];
  let x = left;
  let y = top;
  for (const { label, colour } of curves) {
    const size = SWATCH + GAP + textWidth(label);
    if (x > left && x + size > right) {
      x = left;
      y += TEXT.line;
    }
    quads.push({ left: x, top: y + 1, width: SWATCH, height: SWATCH, colour });
    quads.push(...textQuads(label, x + SWATCH + GAP, y, INK));
    x += size + GAP + TEXT.advance;
  }
  return { quads, bottom: y + TEXT.line };
}

function rules({ bounds: { y: [low, high] }, left, top }: PlacedPanel): Quad[] {
  return Array.from({ length: RULES + 1 }, (_, i) => {
    const y = top + Math.round(PANEL.height * i / RULES);
    const text = number(high - (high - low) * i / RULES);
    return [
      { left, top: y, width: PANEL.width, height: 1, colour: RULE },
      ...textQuads(text, left - GAP - textWidth(text), y - TEXT.height / 2, INK),
    ];
  }).flat();
}

/** Draws a curve as upright bars, one a column of pixels, since quads are all that is drawn. */
function curveQuads(
  { points, colour, joined = true, marked = false }: Curve,
  { bounds, left, top }: PlacedPanel,
): Quad[] {
  const share = (value: number, [low, high]: readonly [number, number]) =>
    Math.min(1, Math.max(0, (value - low) / (high - low)));
  const at = points.map(({ x, y, label }) => ({
    x: left + Math.round((PANEL.width - 1) * share(x, bounds.x)),
    y: top + (PANEL.height - 1) * (1 - share(y, bounds.y)),
    label,
  }));
  const quads: Quad[] = [];
  for (let i = 1; joined && i < at.length; i++) {
    const [from, to] = [at[i - 1], at[i]];
    const columns = Math.max(1, Math.abs(to.x - from.x));
    const step = to.x < from.x ? -1 : 1;
    for (let column = 0; column < columns; column++) {
      const y = from.y + (to.y - from.y) * column / columns;
      const next = from.y + (to.y - from.y) * (column + 1) / columns;
      const upper = Math.floor(Math.min(y, next));
      const height = Math.max(2, Math.ceil(Math.abs(next - y)));
      quads.push({ left: from.x + step * column, top: upper, width: 1, height, colour });
    }
  }
  if (!marked) return quads;
  const half = (DOT - 1) / 2;
  for (const { x, y, label } of at) {
    quads.push({ left: x - half, top: Math.round(y) - half, width: DOT, height: DOT, colour });
    if (label === undefined) continue;
    // Text that would leave the panel stands on the other side.
    const right = x + DOT + textWidth(label) <= left + PANEL.width;
    const beside = right ? x + DOT : x - DOT - textWidth(label);
    quads.push(...textQuads(label, beside, Math.round(y) - TEXT.height / 2, INK));
  }
  return quads;
}
