/** The report of `unmask bench serving` as a chart: throughput and waiting against clients. */

import type { ServedLevel, ServingBench } from "../bench/serving.ts";
import { type Curve, CURVE_COLOURS, type Panel } from "./chart.ts";

/** Panels: answers a second to those of one client, beside what is possible; first text; total. */
export function servingPanels({ settings, shared, adapter }: ServingBench): Panel[] {
  const curves = (y: (level: ServedLevel) => number): Curve[] =>
    settings.map(({ name, levels }, i) => ({
      label: name,
      colour: CURVE_COLOURS[1 + i % (CURVE_COLOURS.length - 1)],
      marked: true,
      points: levels.map((level) => ({ x: level.concurrency, y: y(level) })),
    }));
  const possible: Curve = {
    label: "possible by the time of shared steps",
    colour: CURVE_COLOURS[0],
    points: shared.map(({ sequences, gain }) => ({ x: sequences, y: gain })),
  };
  const x = { low: 0, label: "clients at once" };
  return [
    {
      x,
      y: { low: 0, label: `answers a second to those of one client, ${adapter}` },
      curves: [possible, ...curves(({ toAlone }) => toAlone)],
    },
    {
      x,
      y: { low: 0, label: "p95 until first text to that of one client" },
      curves: curves(({ firstToAlone }) => firstToAlone),
    },
    {
      x,
      y: { low: 0, label: "p95 until the end, seconds" },
      curves: curves(({ fastest }) => fastest.totalMilliseconds.p95 / 1000),
    },
  ];
}
