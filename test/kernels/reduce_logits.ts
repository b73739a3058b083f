/** Logits in memory, reduced to a candidate for each row and tile of 128 tokens. */

import { reduceLogits } from "../../src/kernels/reduce_logits.ts";
import {
  ASKED_WORDS,
  STEP_PLAN_WORDS,
  type StepPlan,
  writeStepPlan,
} from "../../src/kernels/step_plan.ts";
import { defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";
import { candidate, CANDIDATE_FORM, HIDDEN, PLAN, tilesOf } from "./head.ts";
import { hostMatrix, uploadMatrix } from "./matrix.ts";

interface Size {
  readonly name: string;
  readonly entries: number;
  readonly vocabulary: number;
  /** Of each sequence; entries are dealt to the sequences in turn. */
  readonly plans?: readonly Partial<StepPlan>[];
  /** Tokens above each row's cutoff; default all. */
  readonly passing?: number;
  /** The first tokens have a hidden logit. */
  readonly hidden?: number;
  readonly partColumns?: number;
}

interface Inputs extends Omit<Size, "plans"> {
  readonly plans: readonly StepPlan[];
  readonly logits: Float32Array<ArrayBuffer>;
  readonly cutoffs: Float32Array<ArrayBuffer>;
  readonly positions: Uint32Array;
  readonly judged: Uint32Array;
}

/** Plans of another step stand before those of this one. */
const PLAN_OFFSET = 2;

/** As the head's reference, from the logits given. */
export function reference(inputs: Inputs) {
  const { entries, vocabulary, partColumns, plans, logits, cutoffs, positions, judged } = inputs;
  const tiles = tilesOf(vocabulary, partColumns);
  const candidates: number[] = [];
  for (let entry = 0; entry < entries; entry++) {
    const row = Float64Array.from(logits.subarray(entry * vocabulary, (entry + 1) * vocabulary));
    const own = plans[entry % plans.length];
    const hidden = Array.from(row.keys()).filter((token) => row[token] <= HIDDEN);
    const plan = { ...own, banned: [...own.banned, ...hidden] };
    for (const tile of tiles) {
      const made = candidate(row, tile, plan, positions[entry], judged[entry], cutoffs[entry]);
      // A tile in which nothing may be chosen has a score that never wins, whatever its token.
      candidates.push(...made[0] === HIDDEN ? [HIDDEN, NaN, NaN, ...made.slice(3)] : made);
    }
  }
  const length = candidates.length + CANDIDATE_FORM.length * GUARD_ROWS * tiles.length;
  const all = untouchedReference(length, CANDIDATE_FORM);
  all.set(candidates);
  return { candidates: all };
}

/** Vocabularies around tiles and parts, with noise, cutoffs, hidden and banned tokens. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "reduce_logits",
  tolerance: 1e-5,
  ordersByForm: ({ vocabulary, partColumns = 4 }) => vocabulary % 4 === 0 && partColumns % 4 === 0,
  sizes: [
    { name: "of one", entries: 1, vocabulary: 1 },
    { name: "odd", entries: 5, vocabulary: 131 },
    { name: "noise", entries: 6, vocabulary: 257, plans: [{ temperature: 0.7, seed: 2 ** 40 }] },
    {
      name: "noise, five pass",
      entries: 8,
      vocabulary: 120,
      passing: 5,
      plans: [{ temperature: 3, seed: 9 }, { temperature: 20, seed: 9, banned: [7, 8] }],
    },
    { name: "in parts", entries: 3, vocabulary: 400, partColumns: 150, passing: 200 },
    {
      name: "measures, hidden tokens",
      entries: 6,
      vocabulary: 300,
      hidden: 9,
      plans: [{ measure: "margin", unconfident: [20] }, { measure: "entropy", banned: [299] }, {}],
    },
    {
      name: "measures, odd",
      entries: 4,
      vocabulary: 301,
      hidden: 9,
      plans: [{ measure: "margin" }, { measure: "entropy" }],
    },
  ],
  modelSizes: [{ name: "32 rows of 32768", entries: 32, vocabulary: 32768 }],
  inputs({ plans = [{}], ...size }, random) {
    const { entries, vocabulary, passing = vocabulary, hidden = 0 } = size;
    const logits = random.floats(entries * vocabulary, 4)
      .map((logit, i) => i % vocabulary < hidden ? HIDDEN : logit);
    const rows = Array.from(
      { length: entries },
      (_, entry) => logits.subarray(entry * vocabulary, (entry + 1) * vocabulary),
    );
    return {
      ...size,
      plans: plans.map((plan) => ({ ...PLAN, ...plan })),
      logits,
      cutoffs: Float32Array.from(rows, (row) => row.toSorted()[vocabulary - passing]),
      positions: random.integers(entries, 2 ** 16),
      judged: random.integers(entries, vocabulary),
    };
  },
  upload(tensors, inputs) {
    const { entries, vocabulary, partColumns, plans, positions, judged } = inputs;
    const words = new Uint32Array(STEP_PLAN_WORDS * (PLAN_OFFSET + plans.length));
    plans.forEach((plan, i) => writeStepPlan(words, STEP_PLAN_WORDS * (PLAN_OFFSET + i), plan));
    const asked = new Uint32Array(ASKED_WORDS * entries);
    positions.forEach((position, i) =>
      asked.set([i, position, i % plans.length, judged[i]], ASKED_WORDS * i)
    );
    const tiles = tilesOf(vocabulary, partColumns).length;
    const length = CANDIDATE_FORM.length * (entries + GUARD_ROWS) * tiles;
    const candidates = tensors.untouched("candidates", length, CANDIDATE_FORM);
    // Only its parts matter here.
    const matrix = hostMatrix("f32", 1, new Float32Array(vocabulary));
    const head = uploadMatrix(tensors, matrix, partColumns);
    const bound = {
      logits: tensors.of("logits", inputs.logits),
      cutoffs: tensors.of("cutoffs", inputs.cutoffs),
      asked: tensors.of("asked", asked),
      plans: tensors.of("plans", words),
      candidates: candidates.tensor,
    };
    return {
      record: (recorder) =>
        reduceLogits(recorder, bound, head, {
          entries,
          planOffset: PLAN_OFFSET,
          measured: plans.some(({ measure }) => measure !== undefined),
        }),
      outputs: { candidates },
    };
  },
  reference,
  cost: ({ entries, vocabulary }) => ({ multiplyAdds: 0, bytes: 4 * entries * vocabulary }),
});
