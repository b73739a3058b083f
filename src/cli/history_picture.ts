/** The history of a training run as a picture: loss above, agreement below, both by steps. */

import { evaluatedLines, type HistoryLine } from "../compress/run/history.ts";
import type { Gpu } from "../gpu/device.ts";
import { type Colour, drawQuads, type Image, type Quad } from "./trace_picture/draw_quads.ts";
import { TEXT, textQuads, textWidth } from "./trace_picture/glyphs.ts";
import { INK } from "./trace_picture/picture.ts";

const WHITE: Colour = [1, 1, 1];
const RULE: Colour = [0.88, 0.9, 0.92];
const LOSS: Colour = [0.16, 0.42, 0.68];
/** Colours of the average, of each mask ratio and of confident-correct. */
const COLOURS: readonly Colour[] = [
  INK,
  [0.2, 0.6, 0.35],
  [0.85, 0.5, 0.15],
  [0.75, 0.25, 0.25],
  [0.5, 0.35, 0.7],
];

const MARGIN = 16;
/** Pixels of a panel. */
const PANEL = { width: 640, height: 220 } as const;
const GAP = 8;
/** Lines across a panel, with their values beside them. */
const RULES = 4;
const SWATCH = 12;
/** Side of a measured point. */
const DOT = 5;

/** A measured value. */
interface Point {
  readonly step: number;
  readonly value: number;
}

/** Points of one colour, joined. */
export interface Curve {
  readonly label: string;
  readonly colour: Colour;
  readonly points: readonly Point[];
  /** Whether points are marked. */
  readonly marked: boolean;
}

/** A panel of curves, and the values at its bottom and top. */
export interface Panel {
  readonly curves: readonly Curve[];
  readonly low: number;
  readonly high: number;
  readonly top: number;
}

/** The parts of a picture and their places. */
export interface HistoryPictureLayout {
  readonly width: number;
  readonly height: number;
  readonly panels: readonly Panel[];
  readonly quads: readonly Quad[];
}

/** Curves of a history: those of the loss, and those of the agreement if there was an evaluation. */
function panelsOf(lines: readonly HistoryLine[]): Curve[][] {
  const loss = lines.flatMap(({ step, loss }) => loss === undefined ? [] : { step, value: loss });
  const evaluated = evaluatedLines(lines);
  const curve = (label: string, at: number, value: (i: number) => number): Curve => ({
    label,
    colour: COLOURS[at % COLOURS.length],
    points: evaluated.map(({ step }, i) => ({ step, value: value(i) }))
      .filter(({ value }) => Number.isFinite(value)),
    marked: true,
  });
  const ratios = evaluated[0]?.evaluation.ratios ?? [];
  const agreement = evaluated.length === 0 ? [] : [
    curve("average", 0, (i) => evaluated[i].evaluation.average),
    ...ratios.map((ratio, at) =>
      curve(`mask ${ratio}`, at + 1, (i) => evaluated[i].evaluation.agreement[at])
    ),
    curve("confident-correct", 4, (i) => evaluated[i].evaluation.confidentCorrect ?? NaN),
  ];
  const first = loss.length > 0
    ? [[{ label: "loss", colour: LOSS, points: loss, marked: false }]]
    : [];
  return agreement.length > 0 ? [...first, agreement] : first;
}

/** Lays out a history. */
export function layoutHistory(
  title: string,
  lines: readonly HistoryLine[],
): HistoryPictureLayout {
  const last = Math.max(1, ...lines.map(({ step }) => step));
  const left = MARGIN + textWidth("0.0000") + GAP;
  const width = left + PANEL.width + MARGIN;
  const quads: Quad[] = [...textQuads(title, MARGIN, MARGIN, INK)];
  const panels: Panel[] = [];
  let y = MARGIN + TEXT.line + GAP;
  for (const curves of panelsOf(lines)) {
    let x = left;
    for (const { label, colour } of curves) {
      const size = SWATCH + GAP + textWidth(label);
      if (x > left && x + size > width - MARGIN) {
        x = left;
        y += TEXT.line;
      }
      quads.push({ left: x, top: y + 1, width: SWATCH, height: SWATCH, colour });
      quads.push(...textQuads(label, x + SWATCH + GAP, y, INK));
      x += size + GAP + TEXT.advance;
    }
    const top = y + TEXT.line + GAP;
    const values = curves.flatMap(({ points }) => points.map(({ value }) => value));
    const [low, high] = boundsOf(values);
    const panel = { curves, low, high, top };
    panels.push(panel);
    quads.push(...rules(panel, left));
    for (const one of curves) quads.push(...curveQuads(one, panel, left, last));
    y = top + PANEL.height + GAP;
    quads.push(...textQuads("0", left, y, INK));
    const end = `step ${last}`;
    quads.push(...textQuads(end, left + PANEL.width - textWidth(end), y, INK));
    y += TEXT.line + 2 * GAP;
  }
  return { width, height: y + MARGIN, panels, quads };
}

/** The values at the bottom and the top of a panel: never the same, so that there is a scale. */
function boundsOf(values: readonly number[]): [low: number, high: number] {
  const low = Math.min(...values);
  const high = Math.max(...values);
  return high > low ? [low, high] : [low - 0.5, high + 0.5];
}

function rules({ low, high, top }: Panel, left: number): Quad[] {
  return Array.from({ length: RULES + 1 }, (_, i) => {
    const y = top + Math.round(PANEL.height * i / RULES);
    const value = high - (high - low) * i / RULES;
    const text = value >= 100 ? value.toFixed(1) : value.toFixed(value >= 10 ? 3 : 4);
    return [
      { left, top: y, width: PANEL.width, height: 1, colour: RULE },
      ...textQuads(text, left - GAP - textWidth(text), y - TEXT.height / 2, INK),
    ];
  }).flat();
}

/** Draws a curve as upright bars, one a column of pixels, since quads are all that is drawn. */
function curveQuads(
  { points, colour, marked }: Curve,
  { low, high, top }: Panel,
  left: number,
  last: number,
): Quad[] {
  const at = points.map(({ step, value }) => ({
    x: left + Math.round((PANEL.width - 1) * step / last),
    y: top + (PANEL.height - 1) * (high - value) / (high - low),
  }));
  const quads: Quad[] = [];
  for (let i = 1; i < at.length; i++) {
    const [from, to] = [at[i - 1], at[i]];
    const columns = Math.max(1, to.x - from.x);
    for (let column = 0; column < columns; column++) {
      const y = from.y + (to.y - from.y) * column / columns;
      const next = from.y + (to.y - from.y) * (column + 1) / columns;
      const upper = Math.floor(Math.min(y, next));
      const height = Math.max(2, Math.ceil(Math.abs(next - y)));
      quads.push({ left: from.x + column, top: upper, width: 1, height, colour });
    }
  }
  if (!marked) return quads;
  const half = (DOT - 1) / 2;
  for (const { x, y } of at) {
    quads.push({ left: x - half, top: Math.round(y) - half, width: DOT, height: DOT, colour });
  }
  return quads;
}

/**
 * Draws a history.
 * @throws {GpuError} when the device fails
 */
export function drawHistory(
  gpu: Gpu,
  title: string,
  lines: readonly HistoryLine[],
): Promise<Image> {
  const layout = layoutHistory(title, lines);
  return drawQuads(gpu, layout.quads, layout, WHITE);
}
