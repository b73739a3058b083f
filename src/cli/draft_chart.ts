/** Drafts of one target as a chart: speed to plain decoding against agreement, and against cost. */

import type { DraftedSpeed, DraftsBench } from "../bench/drafts.ts";
import { type Curve, CURVE_COLOURS, type Panel } from "./chart.ts";

/** What is drawn of a draft with one strategy. */
type Speed = (speed: DraftedSpeed) => number;

/** Speeds of every strategy by agreement and by cost share: measured here, and bound by weights. */
export function draftPanels({ drafts, adapter }: DraftsBench): Panel[] {
  const strategies = [
    ...new Set(drafts.flatMap(({ strategies }) => strategies.map(({ strategy }) => strategy))),
  ];
  const curves = (x: "agreement" | "costShare", speed: Speed): Curve[] =>
    strategies.map((strategy, i) => ({
      label: strategy,
      colour: CURVE_COLOURS[1 + i % (CURVE_COLOURS.length - 1)],
      joined: false,
      marked: true,
      points: drafts.flatMap((draft) => {
        const found = draft.strategies.find((one) => one.strategy === strategy);
        const at = draft[x];
        if (!found || at === undefined) return [];
        // Once a draft, at its highest point: labels of all points would cover each other.
        const best = Math.max(...draft.strategies.map(speed));
        const label = speed(found) === best ? `${draft.layers} x ${draft.ffnSize}` : undefined;
        return { x: at, y: speed(found), label };
      }),
    }));
  const measured: Speed = ({ toPlain }) => toPlain;
  const bound: Speed = ({ boundByWeights }) => boundByWeights;
  const agreement = { label: "average agreement" };
  const cost = { label: "share of a target pass", low: 0 };
  const here = { label: `speed to plain, ${adapter}`, low: 0 };
  const byWeights = { label: "speed to plain where passes wait for weights", low: 0 };
  return [
    { x: agreement, y: here, curves: curves("agreement", measured) },
    { x: cost, y: here, curves: curves("costShare", measured) },
    { x: agreement, y: byWeights, curves: curves("agreement", bound) },
  ];
}
