/** Sequences as rows on the GPU: hidden positions are left out, guidance adds a twin to each. */

/** A sequence to be laid out. */
export interface SequenceToPack {
  /** `[length]` */
  readonly ids: Uint32Array;
  /** `[length]`, 0 hides a position */
  readonly attentionMask?: Uint8Array;
  readonly guidance?: { readonly scale: number; readonly unconditionalIds: Uint32Array };
}

/** Where a sequence's visible positions lie. */
export interface PackedSequence {
  readonly firstRow: number;
  /** Absolute positions of its rows, ascending. */
  readonly positions: Uint32Array;
}

/** Rows of a batch as they are uploaded. */
export interface PackedRows {
  /** `[rows]` token ids; with guidance the twins stand behind all conditional rows */
  readonly ids: Uint32Array<ArrayBuffer>;
  /** `[rows]` positions for rotation and noise, counted from the sequence's first visible one */
  readonly rowPositions: Uint32Array<ArrayBuffer>;
  /** `[sequences, 4]` (first row, rows, first key, keys), twins behind */
  readonly ranges: Uint32Array<ArrayBuffer>;
  /** The conditional sequences, in order. */
  readonly sequences: readonly PackedSequence[];
  /** From a row to its twin; 0 without guidance. */
  readonly twinRows: number;
  /** Rows of the longest sequence. */
  readonly longest: number;
}

/** The sequence, without guidance where its scale is 0: a second sequence would change nothing. */
export function withoutIdleGuidance<T extends SequenceToPack>(sequence: T): T {
  return sequence.guidance?.scale === 0 ? { ...sequence, guidance: undefined } : sequence;
}

/** Rows that a sequence takes, its twin included. */
export function rowsOf(sequence: SequenceToPack): number {
  const visible = sequence.attentionMask?.reduce((sum, bit) => sum + bit, 0) ?? sequence.ids.length;
  return visible * (sequence.guidance ? 2 : 1);
}

/**
 * Lays sequences out as rows. A key that is hidden from every query, and whose own query nobody asks
 * for, need not be computed at all: leaving the position out gives what an additive mask gives, and a
 * padded sequence has the same bits as alone, since rotation depends on distances only.
 * @param sequences all with guidance, or none
 */
export function packRows(sequences: readonly SequenceToPack[]): PackedRows {
  const visible = sequences.map(({ ids, attentionMask }) =>
    Uint32Array.from(ids.keys()).filter((position) => attentionMask?.[position] !== 0)
  );
  const half = visible.reduce((sum, positions) => sum + positions.length, 0);
  const guided = sequences.length > 0 && sequences[0].guidance !== undefined;
  const rows = guided ? 2 * half : half;
  const ids = new Uint32Array(rows);
  const rowPositions = new Uint32Array(rows);
  const ranges = new Uint32Array(4 * sequences.length * (guided ? 2 : 1));
  const packed: PackedSequence[] = [];
  let row = 0;
  const add = (index: number, source: Uint32Array) => {
    const positions = visible[index];
    for (const [i, position] of positions.entries()) {
      ids[row + i] = source[position];
      rowPositions[row + i] = position - positions[0];
    }
    row += positions.length;
    return row - positions.length;
  };
  for (const [i, sequence] of sequences.entries()) {
    const firstRow = add(i, sequence.ids);
    packed.push({ firstRow, positions: visible[i] });
    ranges.set([firstRow, visible[i].length, firstRow, visible[i].length], 4 * i);
  }
  if (guided) {
    for (const [i, sequence] of sequences.entries()) {
      const firstRow = add(i, sequence.guidance!.unconditionalIds);
      const length = visible[i].length;
      ranges.set([firstRow, length, firstRow, length], 4 * (sequences.length + i));
    }
  }
  return {
    ids,
    rowPositions,
    ranges,
    sequences: packed,
    twinRows: guided ? half : 0,
    longest: visible.reduce((most, positions) => Math.max(most, positions.length), 0),
  };
}
