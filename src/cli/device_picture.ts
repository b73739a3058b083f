/** The report of `unmask bench device` as a picture: times of passes as bars, with their floors. */

import type { DeviceReport, PassReport } from "../bench/device_report.ts";
import { passName } from "../bench/pass_timing.ts";
import type { Gpu } from "../gpu/device.ts";
import { type Colour, drawQuads, type Image, type Quad } from "./trace_picture/draw_quads.ts";
import { TEXT, textQuads, textWidth, wrapWords } from "./trace_picture/glyphs.ts";
import { INK } from "./trace_picture/picture.ts";

const WHITE: Colour = [1, 1, 1];
/** Colours of a bar: of the whole time, and of the floor by what binds. */
const TIME: Colour = [0.78, 0.83, 0.9];
const FLOOR: Readonly<Record<PassReport["bound"], Colour>> = {
  memory: [0.16, 0.42, 0.68],
  arithmetic: [0.85, 0.5, 0.15],
};

const MARGIN = 16;
/** Length of the longest bar, in pixels. */
const LONGEST = 480;
const BAR = 16;
const GAP = 8;
/** Least length of a bar, so that there is one. */
const LEAST = 1;

/** A bar of the picture: its place, and the share of it that is floor. */
export interface PassBar {
  readonly left: number;
  readonly top: number;
  /** Length of the time, and of the floor, in pixels. */
  readonly width: number;
  readonly floorWidth: number;
}

/** The parts of a picture and their places. */
export interface DevicePictureLayout {
  readonly width: number;
  readonly height: number;
  readonly bars: readonly PassBar[];
  readonly quads: readonly Quad[];
}

/** Lays out a report: a bar for every pass of every scheme, all on one scale from 0 milliseconds. */
export function layoutDevice(report: DeviceReport): DevicePictureLayout {
  const { adapter, model, schemes } = report;
  const passes = schemes.flatMap((scheme) =>
    scheme.passes.map((pass) => ({ pass, label: `${scheme.weights}, ${passName(pass)}` }))
  );
  const values = passes.map(({ pass }) =>
    `${pass.passMilliseconds.toPrecision(3)} ms, ${
      (100 * pass.shareOfFloor).toFixed(0)
    }% of ${pass.bound}`
  );
  const widest = (texts: readonly string[]) => Math.max(0, ...texts.map(textWidth));
  const left = MARGIN + widest(passes.map(({ label }) => label)) + GAP;
  const width = left + LONGEST + GAP + widest(values) + MARGIN;
  const most = Math.max(...passes.map(({ pass }) => longest(pass)), Number.MIN_VALUE);
  const quads: Quad[] = [];
  const bars: PassBar[] = [];
  let y = MARGIN;
  const write = (text: string) => {
    for (const line of wrapWords(text, width - 2 * MARGIN)) {
      quads.push(...textQuads(line, MARGIN, y, INK));
      y += TEXT.line;
    }
  };
  write(`${model.name} on ${adapter.name}`);
  for (const { weights, layers, timedLayers } of schemes) {
    if (timedLayers === 0) write(`${weights}: not timed`);
    else if (timedLayers < layers) {
      write(`${weights}: timed with ${timedLayers} of ${layers} layers, scaled`);
    }
  }
  y += GAP;
  passes.forEach(({ pass, label }, i) => {
    const lengthOf = (milliseconds: number) =>
      Math.max(LEAST, Math.round(LONGEST * milliseconds / most));
    const bar = {
      left,
      top: y,
      width: lengthOf(pass.passMilliseconds),
      floorWidth: lengthOf(pass.floorMilliseconds),
    };
    bars.push(bar);
    quads.push(
      ...textQuads(label, left - GAP - textWidth(label), y + 1, INK),
      { left, top: y, width: bar.width, height: BAR, colour: TIME },
      { left, top: y + BAR / 4, width: bar.floorWidth, height: BAR / 2, colour: FLOOR[pass.bound] },
      ...textQuads(values[i], left + Math.max(bar.width, bar.floorWidth) + GAP, y + 1, INK),
    );
    y += BAR + GAP;
  });
  quads.push({
    left: left - 2,
    top: y - passes.length * (BAR + GAP),
    width: 2,
    height: passes.length * (BAR + GAP),
    colour: INK,
  });
  y += GAP;
  let x = MARGIN;
  for (
    const [label, colour] of [
      ["time", TIME],
      ["floor: memory", FLOOR.memory],
      ["floor: arithmetic", FLOOR.arithmetic],
    ] as const
  ) {
    quads.push({ left: x, top: y, width: BAR, height: BAR, colour });
    quads.push(...textQuads(label, x + BAR + GAP, y + 1, INK));
    x += BAR + 2 * GAP + textWidth(label) + TEXT.advance;
  }
  return { width, height: y + BAR + MARGIN, bars, quads };
}

function longest({ passMilliseconds, floorMilliseconds }: PassReport): number {
  return Math.max(passMilliseconds, floorMilliseconds);
}

/**
 * Draws a report.
 * @throws {GpuError} when the device's textures are too small for it, or the device fails
 */
export function drawDevice(gpu: Gpu, report: DeviceReport): Promise<Image> {
  const layout = layoutDevice(report);
  return drawQuads(gpu, layout.quads, layout, WHITE);
}
