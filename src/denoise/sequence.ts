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
 * holds a token, including padding, becomes a mask. Later commits are made in both sequences.
 */
export function unconditionalIds(sequence: Sequence): Uint32Array {
  return new Uint32Array(sequence.ids.length).fill(sequence.maskToken);
}

/**
 * First position that the attention mask shows, 0 without a mask. The noise counts positions from
 * it, so that padding does not change an answer.
 */
export function firstVisible(attentionMask: Uint8Array | undefined): number {
  return Math.max(0, attentionMask?.indexOf(1) ?? 0);
}
