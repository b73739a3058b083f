/** `unmask bench simulate`: simulates load, and draws it. */

import {
  chosenCurves,
  simulate,
  type SimulatedLoads,
  type SimulationReport,
} from "../bench/simulation/simulate.ts";
import { printSimulation } from "../bench/simulation/simulation_tables.ts";
import { WAYS } from "../bench/simulation/ways.ts";
import { ARRIVALS, type Arrivals } from "../bench/simulation/arrivals.ts";
import type { LoadOutcome } from "../bench/simulation/simulated_load.ts";
import { CURVE_COLOURS, drawChart, type Panel } from "./chart.ts";
import { type DeviceFlags, deviceOf, openDevice } from "./device_options.ts";
import { pngOf } from "./trace_picture/picture.ts";

/** Flags of the command. */
export interface SimulateFlags extends DeviceFlags {
  /** Names of curves. */
  readonly only?: readonly string[];
  readonly picture?: string;
}

/** Seconds are shown up to this many times the most at the lowest load. */
const MOST_TIMES = 6;

/** Simulates and prints; `--picture` draws the first curve. */
export async function runSimulation(flags: SimulateFlags): Promise<SimulationReport> {
  const report = simulate(chosenCurves(flags.only));
  printSimulation(report);
  if (flags.picture) {
    const [{ loads: [loads], ...curve }] = report.curves;
    using gpu = await openDevice(deviceOf(flags));
    const title = `${curve.model}, ${curve.device}`;
    await Deno.writeFile(flags.picture, pngOf(await drawChart(gpu, title, loadPanels(loads))));
  }
  return report;
}

/** Latencies and answers against load, one line a way. */
export function loadPanels(loads: SimulatedLoads): readonly Panel[] {
  const seconds = (of: (outcome: LoadOutcome) => number, label: string) =>
    ARRIVALS.map((arrivals) =>
      panel(loads, arrivals, (one) => of(one) / 1000, `${label}, ${arrivals}`)
    );
  const [poisson] = ARRIVALS;
  return [
    ...seconds(({ firstText }) => firstText.p95, "simulated seconds to the first text, p95"),
    ...seconds(({ total }) => total.p95, "simulated seconds to the whole answer, p95").slice(0, 1),
    panel(
      loads,
      poisson,
      ({ answersPerSecond }) => answersPerSecond,
      `simulated answers/s, ${poisson}`,
    ),
  ];
}

function panel(
  { points: all, capacity }: SimulatedLoads,
  arrivals: Arrivals,
  of: (outcome: LoadOutcome) => number,
  label: string,
): Panel {
  const points = all.filter((point) => point.arrivals === arrivals && point.load !== undefined);
  const curves = WAYS.map(({ name }, i) => ({
    label: name,
    colour: CURVE_COLOURS[[4, 1, 2][i]],
    marked: true,
    points: points.map(({ load, outcomes }) => ({ x: load!, y: of(outcomes[name]) })),
  }));
  const values = curves.flatMap((curve) => curve.points.map(({ y }) => y));
  const lowest = Math.max(...curves.map((curve) => curve.points[0].y));
  const high = Math.min(Math.max(...values), MOST_TIMES * lowest);
  return {
    curves,
    x: { low: 0, label: `requests/s, in multiples of ${capacity.toPrecision(2)}` },
    y: { low: 0, high: roundedUp(high), label },
  };
}

/** To one even digit, so that the lines across a panel have short names. */
function roundedUp(value: number): number {
  const digit = 2 * 10 ** Math.floor(Math.log10(value));
  return Number((digit * Math.ceil(value / digit)).toPrecision(2));
}
