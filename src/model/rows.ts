/**
 * Lays sequences out as rows for the GPU. Hidden positions are left out, shadow rows follow their
 * sequence, and guidance adds an unconditional twin of each sequence.
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
  /** Positions of the shadow rows, which follow its own rows. */
  readonly shadows: Uint32Array;
}

/** What shadow rows attend to. */
export interface PackedShadows {
  /** `[sequences with shadows, 4]` (first shadow row, shadows, first key, keys), twins behind */
  readonly ranges: Uint32Array<ArrayBuffer>;
  /** `[rows, 2]` of a shadow: the row whose key it does not see, and its own; zero for other rows */
  readonly keys: Uint32Array<ArrayBuffer>;
}

/** Rows of a batch, as they are uploaded. */
export interface PackedRows {
  /** `[rows]` token ids; with guidance the twins stand behind all conditional rows */
  readonly ids: Uint32Array<ArrayBuffer>;
  /** `[rows]` positions for rotation and noise, counted from the sequence's first visible one */
  readonly rowPositions: Uint32Array<ArrayBuffer>;
  /** `[sequences, 4]` (first row, rows, first key, keys), twins behind; without shadows */
  readonly ranges: Uint32Array<ArrayBuffer>;
  /** Absent if no sequence has shadows. */
  readonly shadows?: PackedShadows;
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
 * @param sequences sequences that all have guidance or all have none
 * @param maskToken token of a shadow row
 */
export function packRows(sequences: readonly SequenceToPack[], maskToken: number): PackedRows {
  const visible = sequences.map(({ ids, attentionMask }) =>
    Uint32Array.from(ids.keys()).filter((position) => attentionMask?.[position] !== 0)
  );
  const shadows = sequences.map((sequence) => sequence.shadows ?? new Uint32Array());
  const lengths = visible.map(({ length }, i) => length + shadows[i].length);
  const half = lengths.reduce((sum, length) => sum + length, 0);
  const guided = sequences.length > 0 && sequences[0].guidance !== undefined;
  const rows = guided ? 2 * half : half;
  const ids = new Uint32Array(rows);
  const rowPositions = new Uint32Array(rows);
  const ranges: number[] = [];
  const shadowRanges: number[] = [];
  const shadowKeys = new Uint32Array(2 * rows);
  let row = 0;
  const add = (index: number, source: Uint32Array) => {
    const first = row;
    const positions = visible[index];
    for (const position of positions) {
      ids[row] = source[position];
      rowPositions[row++] = position - positions[0];
    }
    const { length } = positions;
    ranges.push(first, length, first, length);
    if (shadows[index].length > 0) {
      shadowRanges.push(row, shadows[index].length, first, length);
    }
    for (const position of shadows[index]) {
      shadowKeys.set([first + positions.indexOf(position), row], 2 * row);
      ids[row] = maskToken;
      rowPositions[row++] = position - positions[0];
    }
    return first;
  };
  const packed = sequences.map((sequence, i): PackedSequence => ({
    firstRow: add(i, sequence.ids),
    positions: visible[i],
    shadows: shadows[i],
  }));
  if (guided) sequences.forEach(({ guidance }, i) => add(i, guidance!.unconditionalIds));
  return {
    ids,
    rowPositions,
    ranges: Uint32Array.from(ranges),
    ...shadowRanges.length > 0 && {
      shadows: {
        ranges: Uint32Array.from(shadowRanges),
        keys: shadowKeys,
      },
    },
    sequences: packed,
    twinRows: guided ? half : 0,
  };
}

/**
 * Rows of absolute positions of a packed sequence; a position with a shadow gives the shadow's row.
 */
export function askedRows(
  packed: PackedRows,
  index: number,
  positions: Uint32Array,
): number[] {
  const { firstRow, positions: visible, shadows } = packed.sequences[index];
  const rows = new Map([...visible, ...shadows].map((position, i) => [position, firstRow + i]));
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
