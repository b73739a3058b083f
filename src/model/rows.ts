/**
 * Lays whole sequences out as rows for the GPU. Hidden positions are left out, and guidance adds an
 * unconditional twin of each sequence.
 */

/** A sequence to be laid out. */
export interface SequenceToPack {
  /** `[length]` */
  readonly ids: Uint32Array;
  /** `[length]`, 0 hides a position */
  readonly attentionMask?: Uint8Array;
  /** Visible positions that are run a second time, as masks; ascending */
  readonly shadows?: Uint32Array;
  readonly guidance?: { readonly scale: number; readonly unconditionalIds: Uint32Array };
}

/** The rows of a sequence's visible positions. */
export interface PackedSequence {
  readonly firstRow: number;
  /** Absolute positions of its rows, ascending. */
  readonly positions: Uint32Array;
}

/** Rows of a batch, as they are uploaded. */
export interface PackedRows {
  /** `[rows]` token ids; with guidance the twins stand behind all conditional rows */
  readonly ids: Uint32Array<ArrayBuffer>;
  /** `[rows]` positions for rotation and noise, counted from the sequence's first visible one */
  readonly rowPositions: Uint32Array<ArrayBuffer>;
  /** `[sequences, 4]` (first row, rows, first key, keys), twins behind */
  readonly ranges: Uint32Array<ArrayBuffer>;
  /** The conditional sequences, in order. */
  readonly sequences: readonly PackedSequence[];
  /** Number of rows from a row to its twin; 0 without guidance. */
  readonly twinRows: number;
}

/** Removes guidance of scale 0 from a sequence: its second sequence would change nothing. */
export function withoutIdleGuidance<T extends SequenceToPack>(sequence: T): T {
  return sequence.guidance?.scale === 0 ? { ...sequence, guidance: undefined } : sequence;
}

/** Number of rows of a sequence, including its shadows and its twin. */
export function rowsOf(sequence: SequenceToPack): number {
  const visible = sequence.attentionMask?.reduce((sum, bit) => sum + bit, 0) ?? sequence.ids.length;
  return (visible + (sequence.shadows?.length ?? 0)) * (sequence.guidance ? 2 : 1);
}

/**
 * Lays sequences out as rows. A hidden position has no row: no query sees its key, and nobody asks
 * for its result. This gives the same values as an additive mask. A padded sequence has the same
 * bits as an unpadded one, since rotation depends only on distances.
 * @param sequences sequences that all have guidance or all have none; shadows are left out
 */
export function packRows(sequences: readonly SequenceToPack[]): PackedRows {
  const visible = sequences.map(({ ids, attentionMask }) =>
    Uint32Array.from(ids.keys()).filter((position) => attentionMask?.[position] !== 0)
  );
  const half = visible.reduce((sum, { length }) => sum + length, 0);
  const guided = sequences.length > 0 && sequences[0].guidance !== undefined;
  const rows = guided ? 2 * half : half;
  const ids = new Uint32Array(rows);
  const rowPositions = new Uint32Array(rows);
  const ranges: number[] = [];
  let row = 0;
  const add = (index: number, source: Uint32Array) => {
    const first = row;
    const positions = visible[index];
    for (const position of positions) {
      ids[row] = source[position];
      rowPositions[row++] = position - positions[0];
    }
    ranges.push(first, positions.length, first, positions.length);
    return first;
  };
  const packed = sequences.map((sequence, i): PackedSequence => ({
    firstRow: add(i, sequence.ids),
    positions: visible[i],
  }));
  if (guided) sequences.forEach(({ guidance }, i) => add(i, guidance!.unconditionalIds));
  return {
    ids,
    rowPositions,
    ranges: Uint32Array.from(ranges),
    sequences: packed,
    twinRows: guided ? half : 0,
  };
}

/** Rows of absolute positions of a packed sequence. */
export function askedRows(
  packed: PackedRows,
  index: number,
  positions: Uint32Array,
): number[] {
  const { firstRow, positions: visible } = packed.sequences[index];
  const rows = new Map(Array.from(visible, (position, i) => [position, firstRow + i]));
  return Array.from(positions, (position) => rows.get(position)!);
}

/** Copies the first `columns` of every row `[stride]`. */
export function unpad(
  values: Float32Array,
  rows: number,
  stride: number,
  columns: number,
): Float32Array {
  const result = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    result.set(values.subarray(row * stride, row * stride + columns), row * columns);
  }
  return result;
}
