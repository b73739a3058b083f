/** One micro-batch: sequences laid end to end as rows. */
export interface TrainingBatch {
  /** `[rows]` token ids as the model sees them (noisy). */
  readonly ids: Uint32Array<ArrayBuffer>;
  /** `[rows]` positions for the rotation. */
  readonly positions: Uint32Array<ArrayBuffer>;
  /** `[sequences, 4]` (first row, rows, first key, keys), as attention() takes them. */
  readonly ranges: Uint32Array<ArrayBuffer>;
  /** `[asked]` rows whose prediction enters the loss, ascending. */
  readonly rows: Uint32Array<ArrayBuffer>;
  /** `[asked]` true token of each. */
  readonly targets: Uint32Array<ArrayBuffer>;
  /** `[asked]` weight of each in the loss, already divided by whatever the objective divides by over the whole effective batch. */
  readonly weights: Float32Array<ArrayBuffer>;
}
