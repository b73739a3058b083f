/** Sequences: prompt and generation as token ids, in immutable values. */

import type { Commit } from "./predictor.ts";

/**
 * Prompt and generation of one answer. It is never changed in place; see {@linkcode applyCommits}.
 */
export interface Sequence {
  /** Prompt followed by the generation, `[length]`. */
  readonly ids: Uint32Array;
  /** First position of the generation. */
  readonly promptLength: number;
  /**
   * First position of the answer, if its beginning stands before `promptLength`: a text to continue.
   * Guidance keeps what stands from here on. Default: `promptLength`.
   */
  readonly answerStart?: number;
  /** The id of a position that is not decided. */
  readonly maskToken: number;
  /** 1 for a real token, 0 for padding, `[length]`; absent: all ones. */
  readonly attentionMask?: Uint8Array;
}

/**
 * Makes a sequence of a prompt followed by `genLength` masks.
 * @param attentionMask mask of the prompt, `[promptIds.length]`; ones are added for the generation
 * @throws {RangeError} when the mask and the prompt differ in length
 */
export function newSequence(
  promptIds: ArrayLike<number>,
  genLength: number,
  maskToken: number,
  attentionMask?: ArrayLike<number>,
): Sequence {
  const promptLength = promptIds.length;
  const ids = new Uint32Array(promptLength + genLength).fill(maskToken);
  ids.set(promptIds);
  if (attentionMask === undefined) return { ids, promptLength, maskToken };
  if (attentionMask.length !== promptLength) {
    throw new RangeError(
      `attentionMask has ${attentionMask.length} entries for a prompt of ${promptLength} tokens: ` +
        "give one per prompt token",
    );
  }
  const mask = new Uint8Array(ids.length).fill(1);
  mask.set(attentionMask);
  return { ids, promptLength, maskToken, attentionMask: mask };
}

/** A token that is decided before the first step. */
export interface GivenToken {
  /** Position in the generation, from 0. */
  readonly position: number;
  /** The token id. */
  readonly token: number;
}

/**
 * Returns the sequence with tokens that are decided before the first step. Guidance takes them for
 * part of the prompt, as the published code does with whatever is no mask at its start.
 * @throws {RangeError} when a position is outside the generation or already decided
 */
export function withGiven(sequence: Sequence, given: readonly GivenToken[]): Sequence {
  const { promptLength } = sequence;
  return applyCommits(
    sequence,
    given.map(({ position, token }) => ({
      position: position < 0 ? -1 : promptLength + position,
      token,
      confidence: 1,
      logProbability: 0,
    })),
  );
}

/** Whether part of the generation is decided, so that a block may need fewer steps than planned. */
export function isBegun({ ids, promptLength, maskToken }: Sequence): boolean {
  return ids.subarray(promptLength).some((id) => id !== maskToken);
}

/** Number of positions after the prompt. */
export function generationLength(sequence: Sequence): number {
  return sequence.ids.length - sequence.promptLength;
}

/** Masked positions in `[0, end)` that the attention mask does not hide, ascending. */
export function maskedPositions(sequence: Sequence, end: number): Uint32Array {
  const { ids, maskToken, attentionMask } = sequence;
  const positions: number[] = [];
  for (let i = 0; i < Math.min(end, ids.length); i++) {
    if (ids[i] === maskToken && attentionMask?.[i] !== 0) positions.push(i);
  }
  return Uint32Array.from(positions);
}

/**
 * Returns the sequence with tokens written at masked positions.
 * @throws {RangeError} when a commit's position is outside the sequence or already decided
 */
export function applyCommits(sequence: Sequence, commits: readonly Commit[]): Sequence {
  if (commits.length === 0) return sequence;
  const ids = sequence.ids.slice();
  for (const { position, token } of commits) {
    if (ids[position] !== sequence.maskToken) {
      throw new RangeError(
        `commit of token ${token} at position ${position}: expected the mask ` +
          `${sequence.maskToken}, found ${ids[position] ?? `the end at ${ids.length}`}`,
      );
    }
    ids[position] = token;
  }
  return { ...sequence, ids };
}

/**
 * Whether the generation holds an end token with no masked position before it. Then later positions
 * cannot change the answer.
 */
export function decidedUpToEnd(sequence: Sequence, endTokens: readonly number[]): boolean {
  const { ids, promptLength, maskToken } = sequence;
  for (let i = promptLength; i < ids.length; i++) {
    if (ids[i] === maskToken) return false;
    if (endTokens.includes(ids[i])) return true;
  }
  return false;
}

/**
 * Initial ids of the second sequence of classifier-free guidance, `[length]`. Every position that
 * holds a token, including padding, becomes a mask; only a beginning of the answer that stands before
 * `promptLength` is kept. Later commits are made in both sequences.
 */
export function unconditionalIds(
  { ids, promptLength, answerStart = promptLength, maskToken }: Sequence,
): Uint32Array {
  const unconditional = new Uint32Array(ids.length).fill(maskToken);
  unconditional.set(ids.subarray(answerStart, promptLength), answerStart);
  return unconditional;
}

/**
 * First position that the attention mask shows, 0 without a mask. The noise counts positions from
 * it, so that padding does not change an answer.
 */
export function firstVisible(attentionMask: Uint8Array | undefined): number {
  return Math.max(0, attentionMask?.indexOf(1) ?? 0);
}
