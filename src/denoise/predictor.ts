/**
 * The interface through which denoising uses a model: it takes sequences and returns a prediction
 * for each position asked for. `src/model` implements it on the GPU, `test/reference` in plain
 * loops.
 */

import type { Commit, Prediction, TokenChoice } from "./prediction.ts";
import type { Remasking, SelectionRule } from "./selection.ts";

export { GREEDY, NO_TOKEN } from "./prediction.ts";
export type { LogitChange, ScoredToken, TokenSampling, TokenScores } from "./prediction.ts";
export type { Commit, Prediction, TokenChoice };

/** One sequence of a forward pass, and the predictions wanted of it. */
export interface ForwardInput {
  /** Token ids, `[length]`. */
  readonly ids: Uint32Array;
  /**
   * `[length]`, 1 for a real token, 0 for a position whose key is hidden from every query. Absent:
   * all ones. No prediction can be made at a hidden position.
   */
  readonly attentionMask?: Uint8Array;
  /** Positions to predict at, ascending. */
  readonly positions: Uint32Array;
  /**
   * For each of `positions` a token whose probability is also wanted, or {@linkcode NO_TOKEN}.
   * Absent: none.
   */
  readonly judged?: Uint32Array;
  /**
   * Decided positions to predict at as if they were masked, ascending. Normally a decided
   * position's logits see its own token. Each entry adds a shadow row, which holds the mask at that
   * position. It sees its own key in place of that position's, and every other key; no other row
   * sees it. A prediction at such a position comes from the shadow row (the shadow block of Hong et
   * al. 2025, WINO, arXiv 2507.18578).
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

/** A model that runs forward passes. */
export interface Predictor {
  /**
   * Runs one forward pass over a batch of sequences. A sequence's result has the same bits whatever
   * else is in the batch.
   * @returns for each input, its predictions in the order of `positions`
   */
  predict(inputs: readonly ForwardInput[]): Promise<Prediction[][]>;
  /**
   * Opens a batch of sequences that are kept with the model. If a step's policy is implemented
   * there, several steps run without predictions being read back. Absent: every step is read back.
   */
  openCanvas?(sequences: readonly CanvasSequence[]): Promise<Canvas>;
  /**
   * Milliseconds of forward passes charged so far to this predictor's calls, where several requests
   * share passes: each pays for its rows. Absent: a call costs the time that it takes.
   */
  charged?(): number;
  /**
   * Milliseconds that a pass over `rows` rows of this predictor would be charged now, beside what
   * other requests have lately run in the same passes. Absent: not known before it is measured.
   */
  price?(rows: number): number;
}

/** One sequence on a {@linkcode Canvas}. */
export interface CanvasSequence {
  /** Prompt followed by the generation, with masks at undecided positions, `[length]`. */
  readonly ids: Uint32Array;
  /** As in {@linkcode ForwardInput}. */
  readonly attentionMask?: Uint8Array;
  /** First position of the generation. */
  readonly promptLength: number;
  /** As in {@linkcode ForwardInput}; commits to `ids` are also made in its ids. */
  readonly guidance?: { readonly scale: number; readonly unconditionalIds: Uint32Array };
  /** Token ids that end the answer, for {@linkcode CanvasStep.stopAtEnd}. */
  readonly endTokens: readonly number[];
  /** The id of a position that is not decided. */
  readonly maskToken: number;
}

/** Absolute positions `[first, end)`. */
export interface PositionRange {
  readonly first: number;
  readonly end: number;
}

/** One denoising step, the same for every sequence of the canvas. */
export interface CanvasStep {
  /** Masked positions in `[blockStart, blockEnd)` are candidates; `blockStart` is 0 by default. */
  readonly blockStart?: number;
  readonly blockEnd: number;
  /** Limit of the most confident candidates that are committed (fewer if there are fewer). */
  readonly commits: number;
  /** Rule that selects among them; default `count`. */
  readonly rule?: SelectionRule;
  /**
   * What is done with keys and values. Absent: all positions are run and nothing is kept.
   * `refresh`: all positions are run and kept. A range: only its positions are run, against the
   * kept keys and values of the others. A model may round what it keeps; then a step also sees its
   * own positions rounded. With guidance the unconditional sequence has kept keys and values of
   * its own. Only for one sequence.
   */
  readonly cache?: "refresh" | PositionRange;
  /**
   * Positions from here on are left out of the pass, as keys and as queries (suffix pruning);
   * default: none. With guidance also of the unconditional sequence. Only for one sequence.
   */
  readonly horizon?: number;
  /** How candidates are ranked. */
  readonly remasking: Remasking;
  /** How tokens are chosen, one per sequence. */
  readonly choices: readonly TokenChoice[];
  /**
   * Whether a sequence does nothing more once its generation is decided up to and including its
   * first end token.
   */
  readonly stopAtEnd: boolean;
}

/** Sequences that are kept with the model. */
export interface Canvas {
  /**
   * Whether `run` accepts a step, because its ranking and rule are implemented with the model. For
   * another step, call `predict` and write its commits back with `setIds`.
   */
  hasTwin(step: CanvasStep): boolean;
  /**
   * Runs the steps in order and reads back once; or only the first of them, at least one, where
   * other requests share the passes. An aborted signal ends it between two steps if steps are slow,
   * else after all of them; the canvas is then unusable.
   * @returns for each step that ran and each sequence the commits, positions ascending
   * @throws the signal's reason
   * @throws {RangeError} for a step that {@linkcode Canvas.hasTwin} refuses
   */
  run(steps: readonly CanvasStep[], signal?: AbortSignal): Promise<Commit[][][]>;
  /**
   * Runs one forward pass over several states of the canvas's one sequence and predicts at
   * `positions` of each. The canvas's ids do not change. With `refresh` there must be one state,
   * and its keys and values are kept. With a range only its positions are run: each state has its
   * own keys and values there, uses the kept ones elsewhere, and does not change what is kept. A
   * state's result has the same bits as a step with this `cache` on that state.
   * @param asked states, whose ids have one length: the canvas's, or less to leave a suffix out;
   * with `guidance`, of the canvas's scale, exactly if the canvas has it
   * @returns for each state, its predictions in the order of `positions`
   * @throws {RangeError} for several sequences, for guidance that is not the canvas's, and for a
   * range when nothing is kept
   */
  predict(
    asked: readonly Pick<ForwardInput, "ids" | "positions" | "judged" | "guidance" | "choice">[],
    cache: NonNullable<CanvasStep["cache"]>,
  ): Promise<Prediction[][]>;
  /** Replaces the ids of a sequence, and those of its unconditional twin if it has guidance. */
  setIds(sequence: number, ids: Uint32Array, unconditionalIds?: Uint32Array): void;
  /** Frees what the canvas holds. */
  destroy(): void;
}
