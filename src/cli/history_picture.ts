/** The history of a training run as a picture: loss above, agreement below, both by steps. */

import { evaluatedLines, type HistoryLine } from "../compress/run/history.ts";
import type { Gpu } from "../gpu/device.ts";
import { type Curve, CURVE_COLOURS, drawChart, type Panel } from "./chart.ts";
import type { Image } from "./trace_picture/draw_quads.ts";

const [AVERAGE, LOSS, ...OTHERS] = CURVE_COLOURS;

/** Panels of a history: its loss, and its agreement if there was an evaluation. */
export function historyPanels(lines: readonly HistoryLine[]): Panel[] {
  const evaluated = evaluatedLines(lines);
  const curve = (label: string, colour: Curve["colour"], value: (i: number) => number): Curve => ({
    label,
    colour,
    marked: true,
    points: evaluated.map(({ step }, i) => ({ x: step, y: value(i) })),
  });
  const ratios = evaluated[0]?.evaluation.ratios ?? [];
  const x = { label: "step", low: 0, high: Math.max(1, ...lines.map(({ step }) => step)) };
  const loss = lines.flatMap(({ step, loss }) => loss === undefined ? [] : { x: step, y: loss });
  return [
    { x, y: { label: "loss" }, curves: [{ label: "loss", colour: LOSS, points: loss }] },
    {
      x,
      y: { label: "agreement with the teacher" },
      curves: [
        curve("average", AVERAGE, (i) => evaluated[i].evaluation.average),
        ...ratios.map((ratio, at) =>
          curve(
            `mask ${ratio}`,
            OTHERS[at % OTHERS.length],
            (i) => evaluated[i].evaluation.agreement[at],
          )
        ),
        curve("confident-correct", LOSS, (i) => evaluated[i].evaluation.confidentCorrect ?? NaN),
      ],
    },
  ];
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
  return drawChart(gpu, title, historyPanels(lines));
}
