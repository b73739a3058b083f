/** The best candidates of each sequence are committed: held against `selectCommits`. */

import { randomRank } from "../../src/denoise/noise.ts";
import type { Prediction } from "../../src/denoise/predictor.ts";
import { selectCommits, type SelectionRule } from "../../src/denoise/selection.ts";
import { commit, LOG_ENTRY_WORDS } from "../../src/kernels/commit.ts";
import { type Place, PLACE_WORDS, RANKINGS, writePlace } from "../../src/kernels/place.ts";
import { PREDICTION_WORDS } from "../../src/kernels/predict.ts";
import { ASKED_WORDS, STEP_PLAN_WORDS, writeStepPlan } from "../../src/kernels/step_plan.ts";
import { defineCase, untouchedReference } from "./case.ts";

/** What a step does with a sequence. */
interface Choice {
  readonly commits: number;
  /** Default `low_confidence`. */
  readonly ranking?: keyof typeof RANKINGS;
  readonly stopAtEnd?: boolean;
  /** Default `count`. */
  readonly rule?: SelectionRule;
}

interface Size extends Choice {
  readonly name: string;
  /** Candidates of each sequence. */
  readonly counts: readonly number[];
  /** Of each sequence, what differs from the others'. Their places, numbers and logs are in random order. */
  readonly own?: readonly Partial<Choice>[];
  /** Uncertainties are one of so many values, and tie. */
  readonly levels: number;
  /** Rows of the prompt, in every sequence. */
  readonly promptRows?: number;
  /** Positions come in pairs whose random ranks tie. */
  readonly randomTies?: boolean;
  /** Uncertainties, the same in every sequence, in place of levels. */
  readonly odds?: readonly number[];
  readonly guided?: boolean;
}

interface Inputs extends Size {
  readonly rowsEach: number;
  readonly capacity: number;
  /** One a sequence, and what it does. */
  readonly places: readonly Place[];
  readonly choices: readonly Choice[];
  readonly ids: Uint32Array<ArrayBuffer>;
  /** `[sequences, capacity]`; rows of candidates ascending. */
  readonly rows: Uint32Array;
  /** `[sequences, capacity]` */
  readonly predictions: readonly Prediction[];
  readonly seeds: readonly number[];
  /** Absolute position of a sequence's n-th row: the noise of a random rank is keyed by it. */
  readonly positions: readonly number[];
}

/** Where a size names no ranking. */
const BY_CONFIDENCE = "low_confidence";
/** Every ranking that has a twin. */
const NAMES = Object.keys(RANKINGS) as (keyof typeof RANKINGS)[];

const MASK = 30;
const END_TOKENS = [4, 9];
const VOCABULARY = 12;
const STEP = 17;
const PLAN_OFFSET = 2;
const PLACE_OFFSET = 1;
const LOG_OFFSET = 3;
const LOG_WORDS = ["u32", "u32", "f32", "f32"] as const;
const SEED = 11;

/** Positions of `count` pairs with equal 24-bit ranks, ascending; one in 256 has a partner. */
function tyingPositions(count: number): number[] {
  const seen = new Map<number, number>();
  const pairs: number[] = [];
  for (let position = 0; pairs.length < 2 * count && position < 2 ** 16; position++) {
    const rank = randomRank(SEED, STEP, position);
    const partner = seen.get(rank);
    if (partner !== undefined) pairs.push(partner, position);
    seen.set(rank, position);
  }
  return pairs.sort((a, b) => a - b);
}

/** Ids, finished flags and log after the step. */
export function reference(inputs: Inputs) {
  const { counts, promptRows = 0, guided, rowsEach } = inputs;
  const { capacity, rows, predictions, seeds, places, choices } = inputs;
  const ids = Float64Array.from(inputs.ids);
  const finished = new Float64Array(counts.length);
  const log = untouchedReference(LOG_ENTRY_WORDS * logEnd(inputs), LOG_WORDS);
  counts.forEach((count, sequence) => {
    const { commits, rule, stopAtEnd } = choices[sequence];
    const own = predictions.slice(sequence * capacity, sequence * capacity + count);
    const ranking = {
      remasking: choices[sequence].ranking ?? BY_CONFIDENCE,
      seed: seeds[sequence],
      step: STEP,
    };
    const start = places[sequence].logFirst;
    const committed = selectCommits(own, commits, ranking, rule);
    // One at a time, so that the log's order is the ranking's.
    for (let rank = 0; rank < committed.length; rank++) {
      const before = selectCommits(own, rank, ranking).map(({ position }) => position);
      const { position, token } = selectCommits(own, rank + 1, ranking)
        .find((commit) => !before.includes(commit.position))!;
      const slot = own.findIndex((prediction) => prediction.position === position);
      const row = rows[sequence * capacity + slot];
      ids[row] = token;
      if (guided) ids[row + counts.length * rowsEach] = token;
      const { oddsAgainst, logProbability } = own[slot];
      log.set([row, token, oddsAgainst, logProbability], LOG_ENTRY_WORDS * (start + 1 + rank));
      if (!committed.some((commit) => commit.position === position)) {
        throw new Error(`rank ${rank} of ${own.length} was left out, a later one was not`);
      }
    }
    const answer = ids.slice(sequence * rowsEach + promptRows, (sequence + 1) * rowsEach);
    const end = answer.findIndex((token) => END_TOKENS.includes(token));
    const mask = answer.indexOf(MASK);
    const stops = stopAtEnd && end >= 0 && (mask < 0 || end < mask);
    if (stops) finished[places[sequence].sequence] = 1;
    // The header holds whole numbers, though two of its words are read as f32.
    const header = LOG_ENTRY_WORDS * start;
    log.set([committed.length, count, bitsAsFloat(stops ? 1 : 0), 0], header);
  });
  return { ids, finished, log };
}

/** Entries of the log that a sequence may write. */
function logEntries(inputs: Pick<Inputs, "capacity" | "choices">, sequence: number): number {
  return 1 + Math.min(inputs.choices[sequence].commits, inputs.capacity);
}

/** Entries of the log up to the last sequence's end. */
function logEnd(inputs: Inputs): number {
  return Math.max(...inputs.places.map(({ logFirst }, i) => logFirst + logEntries(inputs, i)));
}

function bitsAsFloat(bits: number): number {
  return new Float32Array(Uint32Array.of(bits).buffer)[0];
}

const threshold = (threshold: number) => ({ kind: "threshold", threshold }) as const;
const factor = (factor: number) => ({ kind: "factor", factor }) as const;

const ruled = (name: string, rule: SelectionRule, odds: number[], commits = odds.length): Size => ({
  name,
  counts: [odds.length],
  commits,
  levels: 1,
  odds,
  rule,
});

/** All, some, one or none pass; the last alone fails; fewer commits than would pass. */
const RULES: readonly Size[] = [
  { name: "threshold", counts: [70, 5, 0, 1], commits: 70, levels: 6, rule: threshold(0.6) },
  { name: "threshold met by all", counts: [40], commits: 40, levels: 1, rule: threshold(0.9) },
  { name: "threshold, fewer commits", counts: [40], commits: 3, levels: 1, rule: threshold(0.9) },
  ruled("threshold met exactly", threshold(0.5), [1.5, 1, 3, 1]),
  ruled("threshold met by none", threshold(0.5), [3, 2, 2, Infinity]),
  ruled("threshold of 1", threshold(1), [1e-30, 0, 0.1, 0, 1e-7]),
  ruled("threshold, infinite odds", threshold(0.01), [Infinity, Infinity, Infinity]),
  ruled("threshold, one candidate", threshold(0.9), [7]),
  {
    name: "threshold, guided stop",
    counts: [20, 8],
    commits: 20,
    levels: 5,
    guided: true,
    stopAtEnd: true,
    rule: threshold(0.5),
  },
  { name: "factor", counts: [70, 5, 0, 1, 33], commits: 70, levels: 40, rule: factor(1) },
  { name: "factor, ties", counts: [50, 31], commits: 50, levels: 2, rule: factor(20.5) },
  { name: "factor that lets all pass", counts: [45], commits: 45, levels: 9, rule: factor(60) },
  // Rank i passes up to odds of f / (i + 2 - f): 1/2, 1/3, 1/4, … for a factor of 1.
  ruled("factor, the last alone fails", factor(1), [0.1, 0.3, 0.9, 0.2]),
  ruled("factor, the last two fail", factor(1), [0.1, 0.8, 0.9, 0.2]),
  ruled("factor, the second of two fails", factor(1), [7, 0.1]),
  ruled("factor, the last fails behind the commits", factor(1), [0.1, 0.2, 0.9, 0.2], 2),
  ruled("factor, none but the first", factor(0.5), [9, 8, 8, 9, Infinity]),
  ruled("factor, infinite odds", factor(1), [0, Infinity, 0.1, Infinity, 0.05]),
];

/** Ties everywhere, fewer candidates than commits, none at all, twins, and both ways to stop. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "commit",
  tolerance: 0,
  sizes: [
    { name: "1 candidate", counts: [1], commits: 1, levels: 1 },
    { name: "no candidate", counts: [0, 2], commits: 1, levels: 5 },
    { name: "all tie", counts: [40, 33], commits: 7, levels: 1 },
    { name: "some tie", counts: [70, 5, 31], commits: 12, levels: 4 },
    { name: "infinite odds", counts: [9], commits: 8, levels: 2 },
    { name: "fewer than commits", counts: [3, 50], commits: 20, levels: 100 },
    {
      name: "random ties",
      counts: [51],
      commits: 24,
      levels: 1,
      ranking: "random",
      randomTies: true,
    },
    ...NAMES.map((ranking): Size => ({
      name: ranking,
      counts: [65, 12],
      commits: 9,
      levels: 4,
      ranking,
    })),
    {
      name: "stop",
      counts: [6, 3, 1, 0, 9, 4, 2, 1],
      commits: 2,
      levels: 3,
      promptRows: 2,
      stopAtEnd: true,
    },
    { name: "no stop", counts: [2, 1], commits: 2, levels: 3, promptRows: 2 },
    { name: "guided", counts: [20, 8], commits: 6, levels: 5, guided: true, stopAtEnd: true },
    ...RULES,
    {
      name: "of several requests",
      counts: [65, 5, 0, 33, 12, 50, 9],
      commits: 9,
      levels: 6,
      promptRows: 2,
      own: [
        { commits: 70, rule: threshold(0.6) },
        { ranking: "random" },
        { stopAtEnd: true },
        { commits: 33, rule: factor(1), stopAtEnd: true },
        { commits: 1, stopAtEnd: true },
        { commits: 50, rule: factor(20.5) },
        { commits: 9, rule: threshold(0.9), stopAtEnd: true },
      ],
    },
    {
      name: "of several requests, guided",
      counts: [20, 8, 3],
      commits: 6,
      levels: 5,
      guided: true,
      own: [{ stopAtEnd: true }, { ranking: "random" }, { commits: 8, rule: threshold(0.4) }],
    },
  ],
  modelSizes: [{ name: "512 candidates", counts: [512], commits: 8, levels: 1e6 }],
  inputs(size, random) {
    const { counts, levels, guided, randomTies, odds } = size;
    const capacity = Math.max(1, ...counts);
    const rowsEach = capacity + 9;
    const positions = randomTies
      ? tyingPositions(rowsEach / 2)
      : Array.from({ length: rowsEach }, (_, row) => 3 * row + 5);
    const ids = random.integers(counts.length * rowsEach * (guided ? 2 : 1), VOCABULARY);
    const rows = new Uint32Array(counts.length * capacity);
    const predictions: Prediction[] = [];
    counts.forEach((count, sequence) => {
      const first = sequence * rowsEach;
      const masked = random.permutation(rowsEach).slice(0, count).sort((a, b) => a - b);
      for (let slot = 0; slot < capacity; slot++) {
        const row = first + (masked[slot] ?? 0);
        rows[sequence * capacity + slot] = row;
        if (slot < count) ids[row] = MASK;
        // The first level is a chosen token outside the softmax, where there are several.
        const level = random.integer(levels);
        const drawn = level === 0 && levels > 1 ? Infinity : 0.3 * level;
        const uncertainty = Math.fround(odds?.[slot] ?? drawn);
        // The log has the chosen token's own odds, whatever ranked it.
        const oddsAgainst = random.integer(3) === 0 ? Infinity : Math.fround(random.next());
        predictions.push({
          position: positions[row - first],
          token: random.integer(VOCABULARY),
          oddsAgainst,
          uncertainty,
          confidence: 1 / (1 + oddsAgainst),
          logProbability: Math.fround(-Math.log1p(oddsAgainst)),
          logSumExp: 0,
        });
      }
    });
    const seeds = counts.map((_, i) => SEED + i * 2 ** 40);
    const choices = counts.map((_, i): Choice => ({ ...size, ...size.own?.[i] }));
    const turn = counts.map((_, i) => i);
    const [order, numbers] = size.own
      ? [random.permutation(counts.length), random.permutation(counts.length)]
      : [turn, turn];
    const places: Place[] = [];
    let logFirst = LOG_OFFSET;
    for (const [nth, i] of order.entries()) {
      const { ranking = BY_CONFIDENCE, rule, stopAtEnd = false } = choices[i];
      places[i] = {
        sequence: numbers[i],
        firstRow: i * rowsEach,
        hiddenShift: 0,
        twinShift: 0,
        twinRows: counts.length * rowsEach,
        askedFirst: nth * capacity,
        capacity,
        logFirst,
        ranking,
        rule,
        stopAtEnd,
        answer: {
          firstRow: i * rowsEach + (size.promptRows ?? 0),
          endRow: (i + 1) * rowsEach,
          endTokens: END_TOKENS,
        },
      };
      logFirst += logEntries({ choices, capacity }, i);
    }
    return {
      ...size,
      rowsEach,
      capacity,
      ids,
      rows,
      predictions,
      seeds,
      positions,
      places,
      choices,
    };
  },
  upload(tensors, inputs) {
    const { counts, guided, rowsEach, capacity, ids } = inputs;
    const { rows, predictions, seeds, positions, places, choices } = inputs;
    const count = counts.length;
    const asked = new Uint32Array(ASKED_WORDS * rows.length);
    const answers = new Float32Array(PREDICTION_WORDS * rows.length);
    const tokens = new Uint32Array(answers.buffer);
    predictions.forEach(({ token, oddsAgainst, logProbability, logSumExp, uncertainty }, i) => {
      const sequence = Math.floor(i / capacity);
      const at = places[sequence].askedFirst + i % capacity;
      asked.set([rows[i], positions[rows[i] - sequence * rowsEach], sequence], ASKED_WORDS * at);
      answers.set([0, oddsAgainst, logProbability, logSumExp, uncertainty], PREDICTION_WORDS * at);
      tokens[PREDICTION_WORDS * at] = token;
    });
    const plans = new Uint32Array(STEP_PLAN_WORDS * (PLAN_OFFSET + count));
    const placeWords = new Uint32Array(PLACE_WORDS * (PLACE_OFFSET + count));
    seeds.forEach((seed, i) => {
      writeStepPlan(plans, STEP_PLAN_WORDS * (PLAN_OFFSET + i), {
        candidateFirst: 0,
        candidateEnd: rowsEach,
        commits: choices[i].commits,
        step: STEP,
        temperature: 0,
        seed,
        banned: [],
        unconfident: [],
      });
      writePlace(placeWords, PLACE_WORDS * (PLACE_OFFSET + i), places[i]);
    });
    const log = tensors.untouched("log", LOG_ENTRY_WORDS * logEnd(inputs), LOG_WORDS);
    const outputs = {
      ids: { tensor: tensors.of("ids", ids), length: ids.length, words: ["u32"] as const },
      finished: {
        tensor: tensors.of("finished", new Uint32Array(count)),
        length: count,
        words: ["u32"] as const,
      },
      log,
    };
    const bound = {
      asked: tensors.of("asked", asked),
      counts: tensors.of("counts", Uint32Array.from(counts)),
      predictions: tensors.of("predictions", answers),
      plans: tensors.of("plans", plans),
      places: tensors.of("places", placeWords),
      ids: outputs.ids.tensor,
      finished: outputs.finished.tensor,
      commit_log: log.tensor,
    };
    return {
      record: (recorder) =>
        commit(recorder, bound, {
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
  cost: ({ counts }) => ({
    multiplyAdds: 0,
    bytes: counts.reduce((sum, count) => sum + 36 * count, 0),
  }),
});
