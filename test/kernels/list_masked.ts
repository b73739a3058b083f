/** Which rows of each sequence a step may commit. */

import { listMasked } from "../../src/kernels/list_masked.ts";
import {
  ASKED_WORDS,
  NO_TOKEN,
  STEP_PLAN_WORDS,
  writeStepPlan,
} from "../../src/kernels/step_plan.ts";
import { defineCase } from "./case.ts";

interface Size {
  readonly name: string;
  /** Rows of each sequence. */
  readonly lengths: readonly number[];
  /** Rows that may be committed, of each sequence: from here (default 0), */
  readonly candidateFirst?: readonly number[];
  /** up to here. */
  readonly candidateEnd: readonly number[];
  /** The row that is first in the hidden states; default 0. */
  readonly firstHiddenRow?: number;
  /** Share of masked rows. */
  readonly masked: number;
  readonly capacity: number;
  /** Sequences that were decided. */
  readonly finished?: readonly number[];
  readonly guided?: boolean;
}

interface Inputs extends Size {
  readonly ids: Uint32Array<ArrayBuffer>;
  readonly positions: Uint32Array<ArrayBuffer>;
  readonly twinRows: number;
}

const MASK = 7;
const PLAN_OFFSET = 1;

/** Masked rows ascending; places that stay free repeat the first row that may be committed. */
export function reference(inputs: Inputs) {
  const { lengths, candidateFirst, candidateEnd, firstHiddenRow = 0, capacity, finished } = inputs;
  const { guided, ids, positions, twinRows } = inputs;
  const asked: number[] = [];
  const rows: number[] = [];
  const counts: number[] = [];
  let first = 0;
  lengths.forEach((length, sequence) => {
    const found: number[] = [];
    const start = first + (candidateFirst?.[sequence] ?? 0);
    const end = finished?.includes(sequence) ? 0 : first + candidateEnd[sequence];
    for (let row = start; row < end; row++) {
      if (ids[row] === MASK && found.length < capacity) found.push(row);
    }
    counts.push(found.length);
    for (let slot = 0; slot < capacity; slot++) {
      const row = found[slot] ?? start;
      asked.push(row, positions[row], sequence, NO_TOKEN);
      rows.push(row - firstHiddenRow);
      if (guided) rows.push(row - firstHiddenRow + twinRows);
    }
    first += length;
  });
  return {
    asked: Float64Array.from(asked),
    rows: Float64Array.from(rows),
    counts: Float64Array.from(counts),
  };
}

/** Around 32 lanes; sequences without a mask, with nothing but masks, with more than fit. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "list_masked",
  tolerance: 0,
  sizes: [
    { name: "1 row", lengths: [1], candidateEnd: [1], masked: 1, capacity: 1 },
    { name: "none masked", lengths: [5, 40], candidateEnd: [5, 40], masked: 0, capacity: 3 },
    {
      name: "unequal",
      lengths: [33, 1, 70, 8],
      candidateEnd: [32, 1, 65, 0],
      masked: 0.5,
      capacity: 60,
    },
    { name: "all masked", lengths: [64, 31], candidateEnd: [64, 31], masked: 1, capacity: 64 },
    { name: "too many", lengths: [50, 20], candidateEnd: [50, 20], masked: 0.8, capacity: 9 },
    {
      name: "finished",
      lengths: [10, 20, 30],
      candidateEnd: [10, 20, 30],
      masked: 0.6,
      capacity: 25,
      finished: [1],
    },
    {
      name: "guided",
      lengths: [35, 12],
      candidateEnd: [34, 5],
      masked: 0.7,
      capacity: 30,
      guided: true,
    },
    {
      name: "from a block's start",
      lengths: [80, 50, 10],
      candidateFirst: [40, 3, 4],
      candidateEnd: [77, 36, 4],
      masked: 0.6,
      capacity: 30,
    },
    {
      name: "from a block's start, guided, finished",
      lengths: [40, 20],
      candidateFirst: [7, 5],
      candidateEnd: [40, 19],
      masked: 0.6,
      capacity: 20,
      guided: true,
      finished: [1],
    },
    {
      name: "later hidden rows",
      lengths: [70],
      candidateFirst: [20],
      candidateEnd: [60],
      firstHiddenRow: 20,
      masked: 0.5,
      capacity: 45,
    },
    {
      name: "hidden rows ahead of the candidates",
      lengths: [50],
      candidateFirst: [33],
      candidateEnd: [34],
      firstHiddenRow: 9,
      masked: 1,
      capacity: 4,
    },
  ],
  modelSizes: [
    { name: "512 rows", lengths: [512], candidateEnd: [512], masked: 0.5, capacity: 512 },
  ],
  inputs(size, random) {
    const rows = size.lengths.reduce((sum, length) => sum + length, 0);
    const ids = random.integers(rows * (size.guided ? 2 : 1), MASK);
    for (let row = 0; row < rows; row++) if (random.next() < size.masked) ids[row] = MASK;
    const positions = random.integers(ids.length, 1000);
    return { ...size, ids, positions, twinRows: size.guided ? rows : 0 };
  },
  upload(tensors, inputs) {
    const { lengths, candidateFirst, candidateEnd, firstHiddenRow = 0, capacity } = inputs;
    const { finished, ids, positions, twinRows } = inputs;
    const plans = new Uint32Array(STEP_PLAN_WORDS * (PLAN_OFFSET + lengths.length));
    const ranges: number[] = [];
    let first = 0;
    lengths.forEach((length, i) => {
      writeStepPlan(plans, STEP_PLAN_WORDS * (PLAN_OFFSET + i), {
        candidateFirst: candidateFirst?.[i] ?? 0,
        candidateEnd: candidateEnd[i],
        commits: 1,
        step: 0,
        temperature: 0,
        seed: 0,
        banned: [],
        unconfident: [],
      });
      ranges.push(first, length, first, length);
      first += length;
    });
    const places = lengths.length * capacity;
    const outputs = {
      asked: tensors.untouched("asked", ASKED_WORDS * places, ["u32"]),
      rows: tensors.untouched("rows", places * (twinRows > 0 ? 2 : 1), ["u32"]),
      counts: tensors.untouched("counts", lengths.length, ["u32"]),
    };
    const bound = {
      ids: tensors.of("ids", ids),
      sequences: tensors.of("sequences", Uint32Array.from(ranges)),
      row_position: tensors.of("positions", positions),
      plans: tensors.of("plans", plans),
      finished: tensors.of(
        "finished",
        Uint32Array.from(lengths, (_, i) => finished?.includes(i) ? 1 : 0),
      ),
      asked: outputs.asked.tensor,
      asked_rows: outputs.rows.tensor,
      counts: outputs.counts.tensor,
    };
    return {
      record: (recorder) =>
        listMasked(recorder, bound, {
          count: lengths.length,
          capacity,
          planOffset: PLAN_OFFSET,
          maskToken: MASK,
          twinRows,
          firstHiddenRow,
        }),
      outputs,
    };
  },
  reference,
  cost: ({ lengths, capacity }) => ({
    multiplyAdds: 0,
    bytes: lengths.reduce((sum, length) => sum + 4 * length + 20 * capacity, 0),
  }),
});
