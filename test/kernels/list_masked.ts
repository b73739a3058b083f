/** Which rows of each sequence a step may commit. */

import { listMasked } from "../../src/kernels/list_masked.ts";
import { type Place, PLACE_WORDS, writePlace } from "../../src/kernels/place.ts";
import {
  ASKED_WORDS,
  NO_TOKEN,
  STEP_PLAN_WORDS,
  writeStepPlan,
} from "../../src/kernels/step_plan.ts";
import { defineCase, untouchedReference } from "./case.ts";

interface Size {
  readonly name: string;
  /** Rows of each sequence. */
  readonly lengths: readonly number[];
  /** Rows that may be committed, of each sequence: from here (default 0), */
  readonly candidateFirst?: readonly number[];
  /** up to here. */
  readonly candidateEnd: readonly number[];
  /** Of each sequence, what a row is more than that of its hidden states; default 0. */
  readonly hiddenShift?: readonly number[];
  /** Share of masked rows. */
  readonly masked: number;
  /** Of all sequences, or of each. */
  readonly capacity: number | readonly number[];
  /** Sequences that were decided. */
  readonly finished?: readonly number[];
  readonly guided?: boolean;
  /** Sequences in another order than their rows, numbers and places in asked, with gaps between these. */
  readonly mixed?: boolean;
}

interface Inputs extends Size {
  readonly ids: Uint32Array<ArrayBuffer>;
  readonly positions: Uint32Array<ArrayBuffer>;
  /** One a sequence, in the order of the size's lists. */
  readonly places: readonly Place[];
}

const MASK = 7;
const PLAN_OFFSET = 1;
const PLACE_OFFSET = 2;
/** Free entries of asked between those of sequences, where places are mixed. */
const GAP = 3;

/** Entries of asked up to the last sequence's end. */
function entriesOf(places: readonly Place[]): number {
  return Math.max(...places.map(({ askedFirst, capacity }) => askedFirst + capacity));
}

/** Masked rows ascending; places that stay free repeat the first row that may be committed. */
export function reference(inputs: Inputs) {
  const { candidateFirst, candidateEnd, finished, guided, ids, positions, places } = inputs;
  const entries = entriesOf(places);
  const asked = untouchedReference(ASKED_WORDS * entries, ["u32"]);
  const rows = untouchedReference(entries * (guided ? 2 : 1), ["u32"]);
  const counts = places.map((place, index) => {
    const { firstRow, capacity } = place;
    const found: number[] = [];
    const start = firstRow + (candidateFirst?.[index] ?? 0);
    const end = finished?.includes(index) ? 0 : firstRow + candidateEnd[index];
    for (let row = start; row < end; row++) {
      if (ids[row] === MASK && found.length < capacity) found.push(row);
    }
    for (let slot = 0; slot < capacity; slot++) {
      const row = found[slot] ?? start;
      const at = place.askedFirst + slot;
      asked.set([row, positions[row], index, NO_TOKEN], ASKED_WORDS * at);
      if (guided) rows.set([row - place.hiddenShift, row - place.twinShift], 2 * at);
      else rows[at] = row - place.hiddenShift;
    }
    return found.length;
  });
  return { asked, rows, counts: Float64Array.from(counts) };
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
      hiddenShift: [20],
      masked: 0.5,
      capacity: 45,
    },
    {
      name: "hidden rows ahead of the candidates",
      lengths: [50],
      candidateFirst: [33],
      candidateEnd: [34],
      hiddenShift: [9],
      masked: 1,
      capacity: 4,
    },
    {
      name: "of several requests",
      lengths: [70, 1, 33, 50, 20],
      candidateFirst: [20, 0, 0, 33, 3],
      candidateEnd: [60, 1, 33, 34, 19],
      hiddenShift: [20, -40, 0, -3, 2],
      masked: 0.6,
      capacity: [40, 1, 5, 0, 16],
      finished: [2],
      mixed: true,
    },
    {
      name: "of several requests, guided",
      lengths: [40, 20, 35],
      candidateFirst: [7, 5, 0],
      candidateEnd: [40, 19, 35],
      hiddenShift: [7, -60, 0],
      masked: 0.6,
      capacity: [33, 14, 9],
      guided: true,
      finished: [1],
      mixed: true,
    },
  ],
  modelSizes: [
    { name: "512 rows", lengths: [512], candidateEnd: [512], masked: 0.5, capacity: 512 },
  ],
  inputs(size, random) {
    const { lengths, hiddenShift, capacity, guided, mixed } = size;
    const rows = lengths.reduce((sum, length) => sum + length, 0);
    const ids = random.integers(rows * (guided ? 2 : 1), MASK);
    for (let row = 0; row < rows; row++) if (random.next() < size.masked) ids[row] = MASK;
    const positions = random.integers(ids.length, 1000);
    const turn = lengths.map((_, i) => i);
    const [order, numbers] = mixed
      ? [random.permutation(lengths.length), random.permutation(lengths.length)]
      : [turn, turn];
    const places: Place[] = [];
    let [firstRow, askedFirst] = [0, mixed ? GAP : 0];
    for (const i of order) {
      const shift = hiddenShift?.[i] ?? 0;
      places[i] = {
        sequence: numbers[i],
        firstRow,
        hiddenShift: shift,
        twinShift: shift - rows,
        twinRows: rows,
        askedFirst,
        capacity: typeof capacity === "number" ? capacity : capacity[i],
        logFirst: 0,
        ranking: "low_confidence",
        stopAtEnd: false,
        answer: { firstRow, endRow: firstRow + lengths[i], endTokens: [] },
      };
      firstRow += lengths[i];
      askedFirst += places[i].capacity + (mixed ? GAP : 0);
    }
    return { ...size, ids, positions, places };
  },
  upload(tensors, inputs) {
    const { candidateFirst, candidateEnd, finished, guided, ids, positions, places } = inputs;
    const count = places.length;
    const plans = new Uint32Array(STEP_PLAN_WORDS * (PLAN_OFFSET + count));
    const placeWords = new Uint32Array(PLACE_WORDS * (PLACE_OFFSET + count));
    const flags = new Uint32Array(count);
    places.forEach((place, i) => {
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
      writePlace(placeWords, PLACE_WORDS * (PLACE_OFFSET + i), place);
      flags[place.sequence] = finished?.includes(i) ? 1 : 0;
    });
    const entries = entriesOf(places);
    const outputs = {
      asked: tensors.untouched("asked", ASKED_WORDS * entries, ["u32"]),
      rows: tensors.untouched("rows", entries * (guided ? 2 : 1), ["u32"]),
      counts: tensors.untouched("counts", count, ["u32"]),
    };
    const bound = {
      ids: tensors.of("ids", ids),
      places: tensors.of("places", placeWords),
      row_position: tensors.of("positions", positions),
      plans: tensors.of("plans", plans),
      finished: tensors.of("finished", flags),
      asked: outputs.asked.tensor,
      asked_rows: outputs.rows.tensor,
      counts: outputs.counts.tensor,
    };
    return {
      record: (recorder) =>
        listMasked(recorder, bound, {
          count,
          placeOffset: PLACE_OFFSET,
          planOffset: PLAN_OFFSET,
          maskToken: MASK,
          guided: guided ?? false,
        }),
      outputs,
    };
  },
  reference,
  cost: ({ lengths, capacity }) => ({
    multiplyAdds: 0,
    bytes: lengths.reduce(
      (sum, length, i) =>
        sum + 4 * length + 20 * (typeof capacity === "number" ? capacity : capacity[i]),
      0,
    ),
  }),
});
