/**
 * Everything that denoising knows of a model: sequences go in, a prediction for each position asked
 * for comes out. `src/model` implements it on the GPU, `test/reference` in plain loops.
 */

/**
 * What a position's confidence c is, within the noise-free softmax: `probability`, that of the chosen
 * token; `margin`, the largest probability less the second largest (Kim et al. 2025, arXiv 2502.06768;
 * `topk_margin` in Dream's published code); `entropy`, none in [0, 1]: positions are ranked by the
 * softmax's entropy in nats, the lowest first (`entropy` in Dream's).
 */
export type ConfidenceMeasure = "probability" | "margin" | "entropy";

/** How a token is chosen from a row of logits, and how sure the choice counts. */
export interface TokenChoice {
  /** 0 takes the largest logit; above 0 adds Gumbel noise scaled by it (noise.ts). */
  readonly temperature: number;
  /** Seed of the noise, an integer in [0, 2^53). */
  readonly seed: number;
  /** Denoising step of the request, from 0: with seed, position and token it keys the noise.
   * Positions count from the first that the attention mask shows. */
  readonly step: number;
  /** Tokens whose logit counts as -inf for choice and softmax alike (`logits_eos_inf`). */
  readonly bannedTokens: readonly number[];
  /**
   * Tokens whose logit becomes -inf after the choice and before the softmax that gives confidence
   * (`confidence_eos_eot_inf`); a position that chose one has confidence 0.
   */
  readonly unconfidentTokens: readonly number[];
  /** By which positions are ranked; default `probability`. */
  readonly measure?: ConfidenceMeasure;
}

/** The choice at temperature 0 with nothing hidden. */
export const GREEDY: TokenChoice = {
  temperature: 0,
  seed: 0,
  step: 0,
  bannedTokens: [],
  unconfidentTokens: [],
};

/** Stands in {@linkcode ForwardInput.judged} where no token is judged. */
export const NO_TOKEN = 0xffffffff;

/** One sequence of a forward pass. */
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

/** The model's answer at one position. */
export interface Prediction {
  /** Absolute position in the sequence. */
  readonly position: number;
  /** The chosen token id (`x0` in the published code). */
  readonly token: number;
  /**
   * Odds against the chosen token, `(1 - p) / p`, with p its noise-free softmax probability. Ranking
   * by it ascending ranks by p descending, without p's saturation at 1 in f32. Infinity for p = 0.
   */
  readonly oddsAgainst: number;
  /**
   * The ranking key, lowest first, by the choice's measure: of a confidence c it is `(1 - c) / c`, so
   * for `probability` it is `oddsAgainst`; for `entropy` the entropy itself. With m the largest logit,
   * `s = sum of exp(l - m)` over all tokens but one that has it, and g the second-largest logit's
   * distance from m: margin `(s + exp(-g)) / (1 - exp(-g))`, Infinity at g = 0; entropy
   * `log1p(s) + (sum of exp(l - m) (m - l)) / (1 + s)`. Infinity where an unconfident token was chosen,
   * whatever the measure.
   */
  readonly uncertainty: number;
  /** p itself, `1 / (1 + oddsAgainst)` (`x0_p` in the published code). */
  readonly confidence: number;
  /** Natural logarithm of p. */
  readonly logProbability: number;
  /** Natural logarithm of the sum of `exp(logit)` over the softmax's tokens. */
  readonly logSumExp: number;
  /**
   * Noise-free probability of the token that was judged here, 0 for one that the softmax leaves out.
   * Absent where none was.
   */
  readonly judgedConfidence?: number;
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

/**
 * Which of the ranked candidates a step commits, c their confidences by the step's measure, largest
 * first; that must be a probability or a margin for a rule that compares c.
 * `count`: as many as the step's `commits`. `threshold`: all with c >= threshold, and always the first.
 * `factor`: those before the first i > 0 with c_i < 1 - factor / (i + 2); when only the last fails it is
 * committed too (Wu et al. 2025, Fast-dLLM, arXiv 2505.22618, and its published code).
 */
export type SelectionRule =
  | { readonly kind: "count" }
  | { readonly kind: "threshold"; readonly threshold: number }
  | { readonly kind: "factor"; readonly factor: number };

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
  /** Rank by the choices' measure of confidence, or by noise keyed by seed, step and position. */
  readonly remasking: "low_confidence" | "random";
  /** How tokens are chosen, one per sequence. */
  readonly choices: readonly TokenChoice[];
  /**
   * A sequence whose generation is decided up to and with its first end token does nothing from then
   * on.
   */
  readonly stopAtEnd: boolean;
}

/** A token fixed at a position. */
export interface Commit {
  /** Absolute position in the sequence. */
  readonly position: number;
  /** The token id. */
  readonly token: number;
  /** Its noise-free probability at the step that committed it. */
  readonly confidence: number;
  /** Natural logarithm of that probability. */
  readonly logProbability: number;
}

/** Sequences that live with the model. */
export interface Canvas {
  /**
   * Runs the steps one behind another and reads back once. An aborted signal ends it between two
   * steps where steps are slow, else behind them; the canvas is then of no more use.
   * @returns per step, per sequence, what was committed, positions ascending
   * @throws the signal's reason
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
