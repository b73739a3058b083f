/** Jobs as a model makes them: what they ask, checked, and the parts of which they consist. */

import type { CanvasStep, Commit, ForwardInput, Prediction } from "../../denoise/predictor.ts";
import { checkChoice, checkInput } from "../input.ts";
import type { ModelConfig } from "../model_config.ts";
import type { RowQuestion } from "../prediction_pass.ts";
import { checkRanked, type RankChoice, type Ranking, type RankQuestion } from "../ranked_pass.ts";
import { rowsOf, withoutIdleGuidance } from "../rows.ts";
import type { AskedState, HostCanvas, RowSpan, TwinStep } from "./host_canvas.ts";
import { pick } from "./host_canvas.ts";
import type { PassPart, RunSequence } from "./pass_layout.ts";
import type { PassJob } from "./pass_job.ts";

/** What a question asks: predictions at some rows, their best tokens, or all of their logits. */
export type Asked =
  | { readonly kind: "predictions" } & Omit<RowQuestion, "guidance">
  | { readonly kind: "ranking" } & RankQuestion
  | { readonly kind: "logits"; readonly rows: readonly number[] };

/** A sequence that one pass runs, and what it is asked. */
export interface Question {
  readonly kind: "question";
  /** Rows, those of the twin included. */
  readonly rows: number;
  /** Rows of keys and values that it has for itself during the pass, beside its canvas's. */
  readonly borrowed: number;
  /** The canvas whose keys and values it sees, or whose it makes anew. */
  readonly canvas?: HostCanvas;
  readonly cache?: CanvasStep["cache"];
  readonly span?: RowSpan;
  /** Its sequence and, with guidance, the twin; `keyRows` of a state are set when it runs. */
  readonly sequences: readonly RunSequence[];
  /** What is run of each of them. */
  readonly part: Omit<PassPart, "sequence">;
  /** What is asked; rows are counted in what is run. */
  readonly asked: Asked;
  /** Scale of the guidance, undefined without. */
  readonly scale: number | undefined;
}

/** Steps of a canvas. */
export interface CanvasRun {
  readonly kind: "steps";
  /** Rows of its widest pass. */
  readonly rows: number;
  readonly borrowed: 0;
  readonly canvas: HostCanvas;
  readonly steps: readonly TwinStep[];
}

/** What cannot be divided among passes. */
export type Unit = Question | CanvasRun;

/** What a part of a job gave: what was asked, or commits of the steps that ran. */
export type UnitResult = Prediction[] | Ranking | Float32Array | Commit[][][];

/** A job, and what it consists of. */
export class ModelJob<T> implements PassJob<T> {
  /** Whether it was run. */
  done = false;

  constructor(
    readonly rows: number,
    readonly passes: number,
    readonly refreshes: boolean,
    readonly units: readonly Unit[],
    /** The canvas that it belongs to. */
    readonly canvas: HostCanvas | undefined,
  ) {}

  /** Its result, from those of its units: predictions are asked of several sequences, all else of one. */
  resultOf(results: readonly UnitResult[]): T {
    const isOne = this.units.some((unit) =>
      unit.kind === "steps" || unit.asked.kind !== "predictions"
    );
    return (isOne ? results[0] : results) as T;
  }
}

/** @throws {RangeError} naming what is wrong with an input */
export function predictJob(
  config: ModelConfig,
  inputs: readonly ForwardInput[],
): ModelJob<Prediction[][]> {
  inputs.forEach((input, i) => {
    checkInput(config, input, `inputs[${i}]`);
    checkChoice(input.choice, `inputs[${i}].choice`);
  });
  const units = inputs.map((input) => {
    const { positions, judged, choice } = input;
    const asked = { kind: "predictions", positions, judged, choice } as const;
    return questionOf(
      withoutIdleGuidance(input),
      config.maskTokenId,
      (rows, rowPositions) => ({ ...asked, rows, rowPositions }),
    );
  });
  const rows = units.reduce((sum, unit) => sum + unit.rows, 0);
  return new ModelJob(rows, inputs.length > 0 ? 1 : 0, false, units, undefined);
}

/** A sequence of which the host asks more than predictions. */
export type WholeInput = Pick<ForwardInput, "ids" | "positions">;

/** @throws {RangeError} naming what is wrong with the input, the choice or `k` */
export function rankJob(
  config: ModelConfig,
  input: WholeInput,
  choice: RankChoice,
  k: number,
): ModelJob<Ranking> {
  checkRanked(k);
  checkChoice({ ...choice, bannedTokens: [], unconfidentTokens: [] }, "choice");
  const { positions } = input;
  if (positions.length === 0) {
    throw new RangeError("input.positions is empty, expected one at least");
  }
  return wholeJob(config, input, (rows) => ({ kind: "ranking", rows, positions, choice, k }));
}

/** @throws {RangeError} naming what is wrong with the input */
export function logitsJob(config: ModelConfig, input: WholeInput): ModelJob<Float32Array> {
  return wholeJob(config, input, (rows) => ({ kind: "logits", rows }));
}

function wholeJob<T>(
  config: ModelConfig,
  input: WholeInput,
  askedOf: (rows: readonly number[]) => Asked,
): ModelJob<T> {
  checkInput(config, input, "input");
  const unit = questionOf(input, config.maskTokenId, askedOf);
  return new ModelJob(unit.rows, 1, false, [unit], undefined);
}

function questionOf(
  input: Omit<ForwardInput, "choice">,
  maskToken: number,
  askedOf: (rows: readonly number[], rowPositions: readonly number[]) => Asked,
): Question {
  const { ids, attentionMask, guidance } = input;
  const visible = Uint32Array.from(ids.keys()).filter((at) => attentionMask?.[at] !== 0);
  const shadows = input.shadows ?? new Uint32Array();
  const shown = Uint32Array.from([...visible, ...shadows]);
  const positions = shown.map((position) => position - visible[0]);
  const sequenceOf = (source: Uint32Array): RunSequence => {
    const tokens = pick(source, shown);
    return { ids: tokens.fill(maskToken, visible.length), positions };
  };
  // A position with a shadow gives the shadow's row.
  const rowAt = new Map(Array.from(shown, (position, row) => [position, row]));
  const rows = Array.from(input.positions, (position) => rowAt.get(position)!);
  const ownRow = new Map(Array.from(visible, (position, row) => [position, row]));
  return {
    kind: "question",
    rows: rowsOf(input),
    borrowed: 0,
    sequences: [ids, ...guidance ? [guidance.unconditionalIds] : []].map(sequenceOf),
    part: {
      first: 0,
      rows: visible.length,
      keys: visible.length,
      kept: false,
      ...shadows.length > 0 && { shadows: shadows.map((position) => ownRow.get(position)!) },
    },
    asked: askedOf(rows, rows.map((row) => positions[row])),
    scale: guidance?.scale,
  };
}

/** The job of some steps of a canvas. */
export function stepsJob(
  canvas: HostCanvas,
  steps: readonly TwinStep[],
): ModelJob<Commit[][][]> {
  const rows = Math.max(0, ...steps.map((step) => canvas.rowsOfStep(step)));
  const unit: CanvasRun = { kind: "steps", rows, borrowed: 0, canvas, steps };
  return new ModelJob(rows, steps.length, steps[0]?.cache === "refresh", [unit], canvas);
}

/**
 * The job of some states of a canvas's one sequence.
 * @throws {RangeError} naming what is wrong with a state
 */
export function statesJob(
  canvas: HostCanvas,
  asked: readonly AskedState[],
  cache: NonNullable<CanvasStep["cache"]>,
): ModelJob<Prediction[][]> {
  const guided = canvas.scale !== undefined;
  const units = asked.map((state, i): Question => {
    checkChoice(state.choice, `asked[${i}].choice`);
    const span = canvas.span(0, cache, state.ids.length);
    const places = canvas.positions[0].subarray(span.first, span.first + span.rows);
    const positions = canvas.rotations[0].subarray(span.first, span.first + span.rows);
    const rowAt = new Map(Array.from(places, (position, row) => [position, row]));
    const rows = Array.from(state.positions, (position) => {
      const row = rowAt.get(position);
      if (row !== undefined) return row;
      throw new RangeError(
        `position ${position} is asked for a prediction, but the pass does not run it`,
      );
    });
    return {
      kind: "question",
      rows: span.rows * (guided ? 2 : 1),
      borrowed: cache === "refresh" ? 0 : span.rows * (guided ? 2 : 1),
      canvas,
      cache,
      span,
      sequences: [state.ids, ...twinIds(canvas, state, i)]
        .map((ids) => ({ ids: pick(ids, places), positions, firstKey: span.first })),
      part: { first: 0, rows: span.rows, keys: span.keys, kept: true },
      asked: {
        kind: "predictions",
        positions: state.positions,
        judged: state.judged,
        choice: state.choice,
        rows,
        rowPositions: rows.map((row) => positions[row]),
      },
      scale: canvas.scale,
    };
  });
  const rows = units.reduce((sum, unit) => sum + unit.rows, 0);
  return new ModelJob(rows, asked.length > 0 ? 1 : 0, cache === "refresh", units, canvas);
}

/** Ids of a state's unconditional twin. @throws {RangeError} when they are not as the canvas's guidance */
function twinIds(canvas: HostCanvas, { ids, guidance }: AskedState, i: number): Uint32Array[] {
  const scale = guidance?.scale === 0 ? undefined : guidance?.scale;
  if (
    scale !== canvas.scale ||
    (scale !== undefined && guidance!.unconditionalIds.length !== ids.length)
  ) {
    throw new RangeError(
      `asked[${i}].guidance must have the canvas's scale (${canvas.scale ?? "none"}) and as many ` +
        `unconditional ids as the state (${ids.length})`,
    );
  }
  return scale === undefined ? [] : [guidance!.unconditionalIds];
}
