/** An analysis as a picture: agreement without each layer as bars, without blocks as a heat map. */

import type { Analysis } from "../compress/prune/analysis.ts";
import type { Gpu } from "../gpu/device.ts";
import { type Colour, drawQuads, type Image, type Quad } from "./trace_picture/draw_quads.ts";
import { TEXT, textQuads, textWidth, wrapWords } from "./trace_picture/glyphs.ts";
import { INK } from "./trace_picture/picture.ts";

const WHITE: Colour = [1, 1, 1];
const RULE: Colour = [0.88, 0.9, 0.92];
const AVERAGE: Colour = [0.16, 0.42, 0.68];
/** Marks of the mask ratios across a bar. */
const MARKS: readonly Colour[] = [[0.2, 0.6, 0.35], [0.85, 0.5, 0.15], [0.75, 0.25, 0.25]];
const INACTIVE: Colour = [0.6, 0.63, 0.67];
/** Colours of no agreement and of full agreement. */
const COLD: Colour = [0.97, 0.93, 0.85];
const HOT: Colour = [0.1, 0.3, 0.55];

const MARGIN = 16;
const GAP = 8;
const HEIGHT = 200;
/** Width of a layer's column: that of a share with two digits, with room around it. */
const COLUMN = textWidth("0.00") + 12;
const ROW = 28;
const SWATCH = 12;
/** Agreement from which letters on a cell are white. */
const DARK = 0.55;

/** A cell of the heat map. */
export interface HeatCell {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly value: number;
}

/** The parts of a picture and their places. */
export interface AnalysisLayout {
  readonly width: number;
  readonly height: number;
  /** Heights of the bars, by layer. */
  readonly bars: readonly number[];
  readonly cells: readonly HeatCell[];
  readonly quads: readonly Quad[];
}

/** Lays out an analysis: layers from left to right. */
export function layoutAnalysis(analysis: Analysis): AnalysisLayout {
  const { model, layers, ablations, widths, examples, ffn_size } = analysis;
  const alone = ablations.filter(({ skipped }) => skipped.length === 1);
  const blocks = Map.groupBy(
    ablations.filter(({ skipped }) => skipped.length > 1),
    ({ skipped }) => skipped.length,
  );
  const labels = ["1.0", "inactive", ...[...blocks.keys()].map((length) => `${length} layers`)];
  const left = MARGIN + Math.max(...labels.map(textWidth)) + GAP;
  const width = Math.max(560, left + layers * COLUMN + MARGIN);
  const quads: Quad[] = [];
  let y = MARGIN;
  const write = (text: string) => {
    for (const line of wrapWords(text, width - 2 * MARGIN)) {
      quads.push(...textQuads(line, MARGIN, y, INK));
      y += TEXT.line;
    }
  };
  const label = (text: string, top: number) =>
    quads.push(...textQuads(text, left - GAP - textWidth(text), top, INK));
  const columnOf = (layer: number) => left + layer * COLUMN;
  const centred = (text: string, layer: number, top: number, colour: Colour) =>
    quads.push(
      ...textQuads(text, columnOf(layer) + Math.round((COLUMN - textWidth(text)) / 2), top, colour),
    );

  write(`${model}: agreement with the whole model on ${examples} examples, without each layer.`);
  const ratios = alone[0]?.byRatio.map(({ maskRatio }) => `mask ${maskRatio}`) ?? [];
  let x = MARGIN;
  for (const [i, text] of ["average", ...ratios].entries()) {
    const colour = i === 0 ? AVERAGE : MARKS[(i - 1) % MARKS.length];
    quads.push({ left: x, top: y, width: SWATCH, height: SWATCH, colour });
    quads.push(...textQuads(text, x + SWATCH + GAP, y, INK));
    x += SWATCH + GAP + textWidth(text) + 2 * TEXT.advance;
  }
  y += TEXT.line + GAP;
  for (const value of [0, 0.5, 1]) {
    const top = y + Math.round((1 - value) * HEIGHT);
    quads.push({ left, top, width: layers * COLUMN, height: 1, colour: value > 0 ? RULE : INK });
    label(value.toFixed(1), top - TEXT.height / 2);
  }
  const bars: number[] = [];
  for (const { skipped: [layer], agreement, byRatio } of alone) {
    const height = Math.round(agreement * HEIGHT);
    bars.push(height);
    const place = { left: columnOf(layer) + 6, width: COLUMN - 12 };
    quads.push({ ...place, top: y + HEIGHT - height, height, colour: AVERAGE });
    for (const [i, one] of byRatio.entries()) {
      if (!Number.isFinite(one.agreement)) continue;
      const top = y + HEIGHT - Math.round(one.agreement * HEIGHT) - 1;
      quads.push({ ...place, top, height: 3, colour: MARKS[i % MARKS.length] });
    }
  }
  y += HEIGHT + GAP;
  for (let layer = 0; layer < layers; layer++) centred(`${layer}`, layer, y, INK);
  y += TEXT.line + GAP;

  write("Without a block of layers that begins here:");
  const cells: HeatCell[] = [];
  for (const [length, some] of blocks) {
    label(`${length} layers`, y + (ROW - TEXT.height) / 2);
    for (const { skipped: [first], agreement } of some) {
      const cell = { left: columnOf(first), top: y, width: COLUMN - 1, value: agreement };
      cells.push(cell);
      quads.push({ ...cell, height: ROW - 1, colour: heat(agreement) });
      const colour = agreement > DARK ? WHITE : INK;
      centred(agreement.toFixed(2), first, y + (ROW - TEXT.height) / 2, colour);
    }
    y += ROW;
  }
  if (blocks.size === 0) write("none was measured.");
  y += GAP;

  write("Share of inactive neurons:");
  label("inactive", y + (ROW - TEXT.height) / 2);
  for (const { layer, inactive } of widths) {
    const share = inactive / ffn_size;
    const height = Math.round(share * (ROW - 1));
    const place = { left: columnOf(layer), width: COLUMN - 1 };
    quads.push({ ...place, top: y, height: ROW - 1, colour: RULE });
    quads.push({ ...place, top: y + ROW - 1 - height, height, colour: INACTIVE });
    centred(share.toFixed(2), layer, y + (ROW - TEXT.height) / 2, INK);
  }
  return { width, height: y + ROW + MARGIN, bars, cells, quads };
}

/** The colour of an agreement, from cold to hot. */
function heat(agreement: number): Colour {
  const mix = (i: 0 | 1 | 2) => COLD[i] + (HOT[i] - COLD[i]) * Math.min(1, Math.max(0, agreement));
  return [mix(0), mix(1), mix(2)];
}

/**
 * Draws an analysis.
 * @throws {GpuError} when the device's textures are too small for it, or the device fails
 */
export function drawAnalysis(gpu: Gpu, analysis: Analysis): Promise<Image> {
  const layout = layoutAnalysis(analysis);
  return drawQuads(gpu, layout.quads, layout, WHITE);
}
