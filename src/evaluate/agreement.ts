/**
 * Measures how far a pruned or quantised model departs from its original, on the original's states.
 */

import { denoise } from "../denoise/denoise.ts";
import { GREEDY, type Prediction, type Predictor } from "../denoise/predictor.ts";
import { applyCommits, maskedPositions, newSequence, type Sequence } from "../denoise/sequence.ts";
import type { ForwardResult, Model } from "../model/model.ts";

/** Shares of an answer that are still masked in the compared states, from all to a quarter. */
export const MASK_RATIOS = [1, 0.75, 0.5, 0.25] as const;

/** Confidence from which a token counts as sure: Fast-dLLM's threshold. */
export const SURE = 0.9;

/** A partly denoised sequence. */
export interface MaskedState {
  readonly sequence: Sequence;
  /** One of {@linkcode MASK_RATIOS}. */
  readonly maskRatio: number;
  /** End of the block that is being decided. */
  readonly blockEnd: number;
}

/** Options of denoising answers to get states. */
export interface StateOptions {
  readonly genLength: number;
  readonly blockLength: number;
  /** Denoising steps, a multiple of the number of blocks. */
  readonly steps: number;
}

/** Agreement of two models on the states of one mask ratio. */
export interface Agreement {
  readonly maskRatio: number;
  readonly states: number;
  /** Number of masked positions, all of which are compared. */
  readonly positions: number;
  /** Positions with the same likeliest token. */
  readonly sameToken: number;
  /** Positions where the original is sure, and how many of them have the same likeliest token. */
  readonly sure: number;
  readonly sameSure: number;
  /** States at which both models would commit the same token at the same position next. */
  readonly sameCommit: number;
  /** Sum and maximum of `|p - p'|`, where p and p' are each model's largest probability. */
  readonly confidenceError: number;
  readonly largestConfidenceError: number;
}

/** Relative errors `|x' - x| / |x|`, as root mean squares over all rows. */
export interface StateError {
  /** Error of the hidden states after the last layer. */
  readonly hidden: number;
  /** Error of the logits. */
  readonly logits: number;
}

/**
 * Denoises a prompt greedily with the original and yields its state at each of
 * {@linkcode MASK_RATIOS}.
 * @throws {ScheduleError} when length, blocks and steps do not fit together
 */
export async function* maskedStates(
  original: Predictor,
  prompt: ArrayLike<number>,
  { genLength, blockLength, steps }: StateOptions,
  { maskTokenId, eosTokenId }: Pick<Model["config"], "maskTokenId" | "eosTokenId">,
): AsyncGenerator<MaskedState, void, void> {
  let sequence = newSequence(prompt, genLength, maskTokenId);
  const run = denoise([sequence], original, {
    blockLength,
    steps,
    seeds: [0],
    eosToken: eosTokenId,
    endTokens: [],
    stopAtEnd: false,
  });
  let next = 0;
  const due = () => {
    const masked = maskedPositions(sequence, sequence.ids.length);
    if (masked.length === 0 || masked.length > MASK_RATIOS[next] * genLength) return undefined;
    // With few steps, one step may pass several ratios.
    while (masked.length <= MASK_RATIOS[next + 1] * genLength) next++;
    const maskRatio = MASK_RATIOS[next++];
    const block = Math.floor((masked[0] - prompt.length) / blockLength);
    return { sequence, maskRatio, blockEnd: prompt.length + (block + 1) * blockLength };
  };
  const start = due();
  if (start) yield start;
  for await (const { commits: [commits] } of run) {
    sequence = applyCommits(sequence, commits);
    const state = due();
    if (state) yield state;
    if (next === MASK_RATIOS.length) return;
  }
}

/**
 * Wraps a model so that it predicts as a step that keeps keys and values does. A refresh gives the
 * same bits as a part that runs right after it.
 */
export function keeping(
  model: Pick<Model, "openCanvas"> & { readonly config: Pick<Model["config"], "maskTokenId"> },
): Predictor {
  return {
    async predict(inputs) {
      const answers: Prediction[][] = [];
      for (const input of inputs) {
        const { ids, attentionMask } = input;
        const { maskTokenId: maskToken } = model.config;
        const sequence = { ids, attentionMask, promptLength: 0, endTokens: [], maskToken };
        const canvas = await model.openCanvas([sequence]);
        try {
          answers.push(...await canvas.predict([input], "refresh"));
        } finally {
          canvas.destroy();
        }
      }
      return answers;
    },
  };
}

/** Compares two models' predictions at every masked position of some states. */
export async function compare(
  original: Predictor,
  other: Predictor,
  states: readonly MaskedState[],
): Promise<Agreement[]> {
  const inputs = states.map(({ sequence: { ids, ...sequence } }) => ({
    ids,
    positions: maskedPositions({ ids, ...sequence }, ids.length),
    choice: GREEDY,
  }));
  const expected = await original.predict(inputs);
  const found = await other.predict(inputs);
  return states.map((state, i) => compareState(state, expected[i], found[i]));
}

function compareState(
  { maskRatio, blockEnd }: MaskedState,
  expected: readonly Prediction[],
  found: readonly Prediction[],
): Agreement {
  const errors = expected.map(({ confidence }, i) => Math.abs(confidence - found[i].confidence));
  const same = expected.map(({ token }, i) => token === found[i].token);
  const sure = expected.map(({ confidence }) => confidence >= SURE);
  const next = firstCommit(expected, blockEnd);
  const otherNext = firstCommit(found, blockEnd);
  const sameNext = next.position === otherNext.position && next.token === otherNext.token;
  const count = (flags: readonly boolean[]) => flags.filter(Boolean).length;
  return {
    maskRatio,
    states: 1,
    positions: expected.length,
    sameToken: count(same),
    sure: count(sure),
    sameSure: count(same.map((flag, i) => flag && sure[i])),
    sameCommit: sameNext ? 1 : 0,
    confidenceError: errors.reduce((sum, error) => sum + error, 0),
    largestConfidenceError: Math.max(0, ...errors),
  };
}

/** The prediction that low-confidence remasking commits first within the block. */
function firstCommit(predictions: readonly Prediction[], blockEnd: number): Prediction {
  return predictions.filter(({ position }) => position < blockEnd)
    .reduce((best, other) => other.oddsAgainst < best.oddsAgainst ? other : best);
}

/** Adds up agreements. */
export function total(agreements: readonly Agreement[]): Agreement {
  return agreements.reduce((a, b) => ({
    maskRatio: a.maskRatio === b.maskRatio ? a.maskRatio : NaN,
    states: a.states + b.states,
    positions: a.positions + b.positions,
    sameToken: a.sameToken + b.sameToken,
    sure: a.sure + b.sure,
    sameSure: a.sameSure + b.sameSure,
    sameCommit: a.sameCommit + b.sameCommit,
    confidenceError: a.confidenceError + b.confidenceError,
    largestConfidenceError: Math.max(a.largestConfidenceError, b.largestConfidenceError),
  }));
}

/**
 * Compares all hidden states and logits of a forward pass; all of them are read back.
 * @param kept whether to compare passes that keep keys and values (default false)
 */
export async function stateError(
  original: Pick<Model, "forward" | "config">,
  other: Pick<Model, "forward">,
  { sequence: { ids } }: MaskedState,
  kept = false,
): Promise<StateError> {
  const expected = await original.forward(ids, { kept });
  const found = await other.forward(ids, { kept });
  const last = `block.${original.config.layers - 1}.out`;
  const states = ({ hidden }: ForwardResult) => hidden.get(last)!;
  return {
    hidden: relativeError(states(expected), states(found)),
    logits: relativeError(expected.logits, found.logits),
  };
}

function relativeError(expected: Float32Array, found: Float32Array): number {
  let error = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    error += (found[i] - expected[i]) ** 2;
    size += expected[i] ** 2;
  }
  return Math.sqrt(error / size);
}
