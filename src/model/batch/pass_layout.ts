/** Which row of a pass is which row of which sequence: rows of all jobs, one after another. */

import { type AttentionWork, attentionWork } from "../../kernels/attention.ts";

/** A sequence of a run. Its tokens lie one after another in the run's ids. */
export interface RunSequence {
  /** Tokens of its rows; those of its shadows follow. */
  readonly ids: Uint32Array;
  /** `[rows]` positions for rotation and noise, counted from its first visible one. */
  readonly positions: Uint32Array;
  /**
   * Row of the pool of every key that it can see, for a sequence that keeps keys and values. Its own
   * rows are among them.
   */
  readonly keyRows?: Uint32Array;
  /** The key that its first row is; default 0. */
  readonly firstKey?: number;
}

/** What a pass runs of a sequence. */
export interface PassPart {
  /** Index of the sequence in the run. */
  readonly sequence: number;
  /** Rows `[first, first + rows)` of it are run. */
  readonly first: number;
  readonly rows: number;
  /** It sees the first so many keys: of `keyRows` if they are kept, else of its own rows. */
  readonly keys: number;
  /** Whether its keys and values go to the pool; it then sees those that are there. */
  readonly kept: boolean;
  /** For each of its shadows, which follow its rows in the ids, the row whose key that does not see. */
  readonly shadows?: Uint32Array;
}

/** Rows of a pass whose keys and values lie together: those that are not kept, or those that are. */
export interface LaidGroup {
  /** First row in the pass. */
  readonly first: number;
  readonly rows: number;
  /** `[parts, 4]` (first row of the pass, rows, first key, keys) */
  readonly ranges: Uint32Array<ArrayBuffer>;
  readonly work: AttentionWork;
  /** Whether first keys are entries of the run's key rows; else they are rows themselves. */
  readonly listed: boolean;
}

/** The rows of a pass. */
export interface PassLayout {
  readonly rows: number;
  /** First row in the pass of each part, in the order in which the parts were given. */
  readonly firstRows: readonly number[];
  /** `[rows]`: entry of the run's ids of each row. */
  readonly rowIds: Uint32Array<ArrayBuffer>;
  /** `[rows]`: row of the keys and values of each row, in scratch memory or in the pool. */
  readonly writeRows: Uint32Array<ArrayBuffer>;
  /** Rows whose keys and values are not kept; absent if there are none. */
  readonly loose?: LaidGroup;
  /** Rows whose keys and values are kept. Where all keys of each lie in a row, none need be listed. */
  readonly kept?: LaidGroup;
  /** What shadow rows attend to, beside `loose`. */
  readonly shadows?: {
    readonly ranges: Uint32Array<ArrayBuffer>;
    readonly work: AttentionWork;
    /** `[rows, 2]` of a shadow: the row whose key it does not see, and its own; zero for others. */
    readonly keys: Uint32Array<ArrayBuffer>;
  };
}

/** Where each sequence of a run begins. */
export interface RunPlaces {
  /** In the run's ids. */
  readonly ids: readonly number[];
  /** In the run's lists: there rows of keys stand behind the positions of all ids. */
  readonly keys: readonly number[];
}

/** Lays the sequences of a run end to end. */
export function placesOf(sequences: readonly RunSequence[]): RunPlaces {
  const starts = (end: number, lengthOf: (sequence: RunSequence) => number) => {
    return sequences.map((sequence) => (end += lengthOf(sequence)) - lengthOf(sequence));
  };
  const ids = sequences.reduce((sum, { ids }) => sum + ids.length, 0);
  return {
    ids: starts(0, ({ ids }) => ids.length),
    keys: starts(ids, ({ keyRows }) => keyRows?.length ?? 0),
  };
}

/**
 * Lays the parts of a pass out: those that keep nothing first. A row's results do not depend on where
 * it comes to lie.
 */
export function layoutPass(
  sequences: readonly RunSequence[],
  places: RunPlaces,
  parts: readonly PassPart[],
): PassLayout {
  const rows = parts.reduce((sum, part) => sum + part.rows + (part.shadows?.length ?? 0), 0);
  const rowIds = new Uint32Array(rows);
  const writeRows = new Uint32Array(rows);
  const firstRows: number[] = parts.map(() => 0);
  const shadowKeys = new Uint32Array(parts.some(({ shadows }) => shadows) ? 2 * rows : 0);
  const shadowRanges: number[] = [];
  let row = 0;
  const layGroup = (kept: boolean): LaidGroup | undefined => {
    const first = row;
    const listed = kept && parts.some((part) => part.kept && !liesInRow(sequences, part));
    const ranges: number[] = [];
    for (const [i, part] of parts.entries()) {
      if (part.kept !== kept) continue;
      firstRows[i] = row;
      const { keyRows, firstKey = 0 } = sequences[part.sequence];
      const firstId = places.ids[part.sequence];
      const ownKey = listed ? places.keys[part.sequence] : kept ? keyRows![0] : row;
      if (part.rows > 0) ranges.push(row, part.rows, ownKey, part.keys);
      const [begin, end] = [row, row + part.rows];
      for (let j = part.first; row < end; j++, row++) {
        rowIds[row] = firstId + j;
        writeRows[row] = kept ? keyRows![firstKey + j] : row;
      }
      if (!part.shadows?.length) continue;
      // Shadows lie behind all rows of the sequence.
      const behind = sequences[part.sequence].ids.length - part.shadows.length;
      shadowRanges.push(row, part.shadows.length, begin, part.keys);
      for (const [j, hidden] of part.shadows.entries()) {
        shadowKeys.set([begin + hidden, row], 2 * row);
        rowIds[row] = firstId + behind + j;
        writeRows[row] = row;
        row++;
      }
    }
    if (row === first) return undefined;
    const words = Uint32Array.from(ranges);
    return { first, rows: row - first, ranges: words, work: attentionWork(words), listed };
  };
  const loose = layGroup(false);
  const kept = layGroup(true);
  const ranges = Uint32Array.from(shadowRanges);
  return {
    rows,
    firstRows,
    rowIds,
    writeRows,
    loose,
    kept,
    ...shadowRanges.length > 0 && {
      shadows: { ranges, work: attentionWork(ranges), keys: shadowKeys },
    },
  };
}

/** Whether the keys that a part sees lie one after another. */
function liesInRow(sequences: readonly RunSequence[], { sequence, keys }: PassPart): boolean {
  const rows = sequences[sequence].keyRows!.subarray(0, keys);
  return rows.every((row, i) => row === rows[0] + i);
}

/** Whether the rows of a pass are all rows of the run's ids in order, with nothing kept. */
export function isPlain({ rows, rowIds, kept }: PassLayout, ids: number): boolean {
  return !kept && rows === ids && rowIds.every((id, row) => id === row);
}
