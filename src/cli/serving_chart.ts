/** The report of `unmask bench serving` as a chart: throughput and waiting against clients. */

import type { ServedLevel, ServingBench } from "../bench/serving.ts";
import { possibleGain } from "../bench/serving_tables.ts";
import { type Axis, type Curve, CURVE_COLOURS, type Panel } from "./chart.ts";

/** What bounds the gain, by what steps run. */
const KINDS = [
  ["whole", "possible: shared steps", CURVE_COLOURS[0]],
  ["block", "of cached blocks", [0.6, 0.62, 0.65]],
] as const;

/** Panels: answers a second to those of one client, beside what is possible; first text; total. */
export function servingPanels({ settings, shared }: ServingBench): Panel[] {
  const curves = (y: (level: ServedLevel) => number): Curve[] =>
    settings.map(({ name, levels }, i) => ({
      label: name,
      colour: CURVE_COLOURS[1 + i % (CURVE_COLOURS.length - 1)],
      marked: true,
      points: levels.map((level) => ({ x: level.concurrency, y: y(level) })),
    }));
  const possible = KINDS.map(([kind, label, colour]): Curve => ({
    label,
    colour,
    points: [...new Set(shared.map(({ sequences }) => sequences))].map((x) => ({
      x,
      y: possibleGain(shared, x, [kind]),
    })),
  }));
  const x = { low: 0, label: "clients at once" };
  const faster = [...possible, ...curves(({ toAlone }) => toAlone)];
  const waits = curves(({ firstToAlone }) => firstToAlone);
  const ends = curves(({ fastest }) => fastest.totalMilliseconds.p95 / 1000);
  return [
    { x, y: wholeAxis("answers a second to those of one client", faster), curves: faster },
    { x, y: wholeAxis("p95 until first text to that of one client", waits), curves: waits },
    { x, y: wholeAxis("p95 until the end, seconds", ends), curves: ends },
  ];
}

/** From 0 to a multiple of the lines across a panel, so that whole numbers stand beside them. */
function wholeAxis(label: string, curves: readonly Curve[]): Axis {
  const most = Math.max(...curves.flatMap(({ points }) => points.map(({ y }) => y)));
  return { low: 0, high: 4 * Math.max(1, Math.ceil(most / 4)), label };
}
