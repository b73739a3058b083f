/** What a simulated load is made of: recorded answers, and recorded costs of passes. */

import type { MeasuredPass } from "../../engine/batching/cost_curve.ts";
import { readJobs, type RecordedJob } from "./job_list.ts";
import answers from "./recorded_answers.json" with { type: "json" };
import curves from "./cost_curves.json" with { type: "json" };

/** What one answer asked of the models. */
export interface RecordedAnswer {
  /** The strategy, its cache if it has one, and the length of blocks if it is not the model's. */
  readonly setting: string;
  /** Tokens of the answer. */
  readonly tokens: number;
  /** Passes of both models up to the first text. */
  readonly beforeText: number;
  readonly jobs: readonly RecordedJob[];
}

/** What passes of a model cost on a device. */
export interface ModelCurve {
  readonly model: string;
  /** How the times were found. */
  readonly source: string;
  readonly points: readonly MeasuredPass[];
}

/** What passes of a target and of its draft cost on a device. */
export interface RecordedCurve extends ModelCurve {
  readonly device: string;
  readonly draft: ModelCurve;
}

/** A draft's curve in the file: points, or the share of its target's times. */
type DraftEntry =
  & Omit<ModelCurve, "points">
  & ({ readonly points: readonly MeasuredPass[] } | { readonly share: number });

type CurveEntry = Omit<RecordedCurve, "draft"> & { readonly draft: DraftEntry };

/** Where the answers come from. */
export const ANSWERS_SOURCE: string = answers.source;
/** Answers of the embedded models. */
export const RECORDED_ANSWERS: readonly RecordedAnswer[] = answers.answers.map((answer) => ({
  ...answer,
  jobs: readJobs(answer.jobs),
}));
/** Curves by name. */
export const RECORDED_CURVES: Readonly<Record<string, RecordedCurve>> = Object.fromEntries(
  Object.entries<CurveEntry>(curves).map(([name, curve]) => [name, {
    ...curve,
    draft: draftOf(curve),
  }]),
);

function draftOf({ draft, points }: CurveEntry): ModelCurve {
  if ("points" in draft) return draft;
  const { model, source, share } = draft;
  return {
    model,
    source,
    points: points.map(({ rows, milliseconds }) => ({ rows, milliseconds: share * milliseconds })),
  };
}
