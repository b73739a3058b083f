/**
 * Everything that denoising knows of a model: sequences go in, a prediction for each position asked
 * for comes out. `src/model` implements it on the GPU, `test/reference` in plain loops.
 */

import type { Commit, Prediction, TokenChoice } from "./prediction.ts";
import type { Remasking, SelectionRule } from "./selection.ts";

export { GREEDY, NO_TOKEN } from "./prediction.ts";
export type { Commit, Prediction, TokenChoice };

/** One sequence of a forward pass, and what is asked of it. */
export interface ForwardInput {
  /** Token ids, `[length]`. */
  readonly ids: Uint32Array;
  /**
   * `[length]`, 1 for a real token; a 0 hides that position as a key from every query. Absent means
   * all ones. Nothing can be asked at a hidden position.
   */
  readonly attentionMask?: Uint8Array;
  /** Positions to predict at, ascending. */
  readonly positions: Uint32Array;
  /**
   * For each of `positions` a token whose probability is wanted besides, or {@linkcode NO_TOKEN};
   * absent: none.
   */
  readonly judged?: Uint32Array;
  /**
   * Decided positions that are asked as though they were masked, ascending: a decided position's own
   * logits see its token. Each adds a row that holds the mask at that position and sees every key but
   * its position's own, and itself instead; no other row sees it. A prediction at one of these
   * positions is this row's (the shadow block of Hong et al. 2025, WINO, arXiv 2507.18578).
   */
  readonly shadows?: Uint32Array;
  /**
   * Classifier-free guidance: `logits = uncond + (scale + 1) (cond - uncond)`, where `uncond` comes
   * from `unconditionalIds` (`[length]`, the prompt masked). Absent or scale 0: no second sequence.
   */
  readonly guidance?: { readonly scale: number; readonly unconditionalIds: Uint32Array };
  /** How tokens are chosen at this step. */
  readonly choice: TokenChoice;
}

/** Answers forward passes. */
export interface Predictor {
  /**
   * One forward pass over a batch of sequences. A sequence's answer has the same bits whatever else
   * is in the batch.
   * @returns for each input, its predictions in the order of `positions`
   */
  predict(inputs: readonly ForwardInput[]): Promise<Prediction[][]>;
  /**
   * Opens a batch of sequences that live with the model, for policies that have a twin there:
   * several denoising steps then run without handing predictions back. Absent: step by step.
   */
  openCanvas?(sequences: readonly CanvasSequence[]): Promise<Canvas>;
}

/** One sequence on a {@linkcode Canvas}. */
export interface CanvasSequence {
  /** Prompt followed by the generation, masks where nothing is decided, `[length]`. */
  readonly ids: Uint32Array;
  /** As in {@linkcode ForwardInput}. */
  readonly attentionMask?: Uint8Array;
  /** First position of the generation. */
  readonly promptLength: number;
  /** As in {@linkcode ForwardInput}; its ids follow the commits to `ids`. */
  readonly guidance?: { readonly scale: number; readonly unconditionalIds: Uint32Array };
  /** Token ids of which the first one ends the answer, for {@linkcode CanvasStep.stopAtEnd}. */
  readonly endTokens: readonly number[];
  /** The id that stands for "not decided". */
  readonly maskToken: number;
}

/** Absolute positions `[first, end)`. */
export interface PositionRange {
  readonly first: number;
  readonly end: number;
}

/** What one denoising step does, the same for every sequence of the canvas. */
export interface CanvasStep {
  /** Masked positions in `[blockStart, blockEnd)` are candidates; default from 0 on. */
  readonly blockStart?: number;
  readonly blockEnd: number;
  /** How many of the most confident candidates are committed at most (fewer if there are fewer). */
  readonly commits: number;
  /** Which of them; default `count`. */
  readonly rule?: SelectionRule;
  /**
   * Keys and values: absent, all positions are run and nothing is kept; `refresh`, all are run and
   * kept; a range, only its positions are run, against what was kept of the others. A model may round
   * what it keeps; a step then sees its own positions' rounded too. One sequence without guidance.
   */
  readonly cache?: "refresh" | PositionRange;
  /**
   * Positions from here on are left out of the pass, as keys and as queries (suffix pruning); default
   * none. One sequence without guidance.
   */
  readonly horizon?: number;
  /** What ranks them. */
  readonly remasking: Remasking;
  /** How tokens are chosen, one per sequence. */
  readonly choices: readonly TokenChoice[];
  /**
   * A sequence whose generation is decided up to and with its first end token does nothing from then
   * on.
   */
  readonly stopAtEnd: boolean;
}

/** Sequences that live with the model. */
export interface Canvas {
  /**
   * Whether `run` takes such a step: ranking and rule have a twin where the sequences live. Without one
   * the step's predictions are asked for, and its commits written back by `setIds`.
   */
  hasTwin(step: CanvasStep): boolean;
  /**
   * Runs the steps one behind another and reads back once. An aborted signal ends it between two
   * steps where steps are slow, else behind them; the canvas is then of no more use.
   * @returns per step, per sequence, what was committed, positions ascending
   * @throws the signal's reason
   * @throws {RangeError} for a step that has no twin
   */
  run(steps: readonly CanvasStep[], signal?: AbortSignal): Promise<Commit[][][]>;
  /**
   * One forward pass over several states of the canvas's one sequence, which stays as it is: predictions
   * at `positions` of each. At a `refresh` it is one state, whose keys and values are kept; of a range,
   * only its positions are run, each state with its own keys and values there and those kept elsewhere,
   * and what is kept stays. A state's answer has the bits that a step of this `cache` on it would have.
   * @param asked ids alike in length: the canvas's, or up to where the rest is left out of the pass
   * @returns for each state, its predictions in the order of `positions`
   * @throws {RangeError} for several sequences or guidance, and for a range when nothing is kept
   */
  predict(
    asked: readonly Pick<ForwardInput, "ids" | "positions" | "choice">[],
    cache: NonNullable<CanvasStep["cache"]>,
  ): Promise<Prediction[][]>;
  /** Replaces the ids of a sequence, and of its unconditional twin when it has guidance. */
  setIds(sequence: number, ids: Uint32Array, unconditionalIds?: Uint32Array): void;
  /** Frees what the canvas holds. */
  destroy(): void;
}
