/** What a simulated load is made of: recorded answers, and recorded costs of passes. */

import type { MeasuredPass } from "../../engine/batching/cost_curve.ts";
import answers from "./recorded_answers.json" with { type: "json" };
import curves from "./cost_curves.json" with { type: "json" };

/** One call of the model by a request: passes without anything read back between them. */
export interface RecordedJob {
  /** Of each pass. */
  readonly rows: readonly number[];
  /** Whether the first pass recomputes all keys and values of a canvas. */
  readonly refreshes?: boolean;
}

/** What one answer asked of the model. */
export interface RecordedAnswer {
  /** The strategy, its cache if it has one, and the length of blocks if it is not the model's. */
  readonly setting: string;
  /** Tokens of the answer. */
  readonly tokens: number;
  /** Passes up to the first text. */
  readonly beforeText: number;
  readonly jobs: readonly RecordedJob[];
}

/** What passes of a model cost on a device. */
export interface RecordedCurve {
  readonly model: string;
  readonly device: string;
  /** How the times were found. */
  readonly source: string;
  readonly points: readonly MeasuredPass[];
}

/** Where the answers come from. */
export const ANSWERS_SOURCE: string = answers.source;
/** Answers of the embedded model. */
export const RECORDED_ANSWERS: readonly RecordedAnswer[] = answers.answers;
/** Curves by name. */
export const RECORDED_CURVES: Readonly<Record<string, RecordedCurve>> = curves;
