/** A sequence as a value: prompt and generation as token ids, split into blocks. */

/** Prompt and generation of one answer. Never changed in place; see `applyCommits`. */
export interface Sequence {
  /** Prompt followed by the generation, `[length]`. */
  readonly ids: Uint32Array;
  /** First position of the generation. */
  readonly promptLength: number;
  /** The id that stands for "not decided". */
  readonly maskToken: number;
  /** 1 for a real token, 0 for padding, `[length]`; absent: all ones. */
  readonly attentionMask?: Uint8Array;
}
