/** Candidates of all vocabulary tiles merged into each row's prediction. */

import { predict } from "../../src/kernels/predict.ts";
import {
  ASKED_WORDS,
  MEASURES,
  NO_TOKEN,
  STEP_PLAN_WORDS,
  writeStepPlan,
} from "../../src/kernels/step_plan.ts";
import { defineCase } from "./case.ts";
import { CANDIDATE_FORM, HIDDEN, PLAN } from "./head.ts";
import type { Random } from "./random.ts";

interface Size {
  readonly name: string;
  readonly entries: number;
  readonly tiles: number;
  /** Distance between two tiles' logits; above 20 a row is surer than p = 1 - 2^-24. */
  readonly spread: number;
  /** The chosen token is left out of the softmax. */
  readonly unconfident?: boolean;
  /** No tile has the judged token. */
  readonly nothingJudged?: boolean;
  /** Every tile has the same score. */
  readonly ties?: boolean;
  /** The measure of confidence, else each in turn. */
  readonly measure?: Measure;
}

interface Inputs {
  readonly entries: number;
  readonly tiles: number;
  /** Of each entry. */
  readonly measures: readonly Measure[];
  readonly candidates: Float32Array<ArrayBuffer>;
}

type Measure = keyof typeof MEASURES;

const WORDS = ["u32", "f32", "f32", "f32", "f32", "f32"] as const;
/** Plans of another step stand before those of this one. */
const PLAN_OFFSET = 3;

/** As the formula says, all of it in f64. */
export function reference({ entries, tiles, measures, candidates }: Inputs) {
  const tokens = new Uint32Array(candidates.buffer);
  const predictions: number[] = [];
  for (let entry = 0; entry < entries; entry++) {
    const at = Array.from({ length: tiles }, (_, i) => CANDIDATE_FORM.length * (entry * tiles + i));
    const best = at.reduce((a, b) =>
      candidates[b] > candidates[a] ||
        (candidates[b] === candidates[a] && tokens[b + 1] < tokens[a + 1])
        ? b
        : a
    );
    const peak = at.reduce((a, b) => candidates[b + 3] > candidates[a + 3] ? b : a);
    const maximum = candidates[peak + 3];
    const s = at.reduce((sum, i) => {
      const own = candidates[i + 4] + (i === peak ? 0 : 1);
      return sum + own * Math.exp(candidates[i + 3] - maximum);
    }, 0);
    const logit = candidates[best + 2];
    const odds = (logit: number) =>
      logit <= HIDDEN ? Infinity : s + (1 + s) * Math.expm1(maximum - logit);
    // Margin: the peak's own runner-up, or another tile's maximum. Entropy: sums moved to one maximum.
    const second = Math.max(
      candidates[peak + 6],
      ...at.filter((i) => i !== peak).map((i) => candidates[i + 3]),
    );
    const gap = maximum - second;
    const weighted = at.reduce((sum, i) => {
      const distance = maximum - candidates[i + 3];
      const own = candidates[i + 6] + (1 + candidates[i + 4]) * distance;
      return sum + Math.exp(-distance) * own;
    }, 0);
    const uncertainty = {
      probability: () => odds(logit),
      margin: () => (s + Math.exp(-gap)) / -Math.expm1(-gap),
      entropy: () => Math.log1p(s) + weighted / (1 + s),
    }[measures[entry]];
    predictions.push(
      tokens[best + 1],
      odds(logit),
      logit <= HIDDEN ? -Infinity : -(Math.log1p(s) + maximum - logit),
      maximum + Math.log1p(s),
      logit <= HIDDEN ? Infinity : uncertainty(),
      odds(Math.max(...at.map((i) => candidates[i + 5]))),
    );
  }
  return { predictions: Float64Array.from(predictions) };
}

/** Candidates as the head makes them: the logit at most the maximum, each tile its own tokens. */
function rowOf(random: Random, size: Size, measure: Measure): number[][] {
  const { tiles, spread, unconfident, nothingJudged, ties } = size;
  const top = spread * tiles + random.normal();
  // Judged within a distance whose exponential f32 can hold.
  const judgedRank = random.integer(Math.min(tiles, Math.ceil(60 / (spread + 1))));
  return random.permutation(tiles).map((rank, tile) => {
    const maximum = Math.fround(ties ? 1.5 : top - spread * rank);
    const token = 128 * tile + random.integer(128);
    const logit = unconfident && rank === 0 ? HIDDEN : Math.fround(maximum - rank * 0.01);
    const judged = rank === judgedRank && !nothingJudged ? Math.fround(maximum - 0.25) : HIDDEN;
    const others = spread > 20 ? 1e-20 * random.next() : random.next();
    const aside = {
      probability: 0,
      // Not above another tile's maximum where they lie close: `second` must not tie by chance.
      margin: random.next() < 0.2 ? HIDDEN : Math.fround(maximum - 0.02 - random.next()),
      entropy: others * 3 * random.next(),
    }[measure];
    return [maximum, token, logit, maximum, others, judged, aside];
  });
}

/** More tiles than lanes, sure rows (odds down to 1e-20 and below), hidden tokens, ties. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "predict",
  tolerance: 2e-6,
  sizes: [
    { name: "1 tile", entries: 3, tiles: 1, spread: 1 },
    { name: "33 tiles", entries: 9, tiles: 33, spread: 0.1 },
    { name: "100 tiles", entries: 2, tiles: 100, spread: 0.003 },
    { name: "sure", entries: 5, tiles: 7, spread: 30 },
    { name: "unconfident", entries: 4, tiles: 5, spread: 0.5, unconfident: true },
    { name: "nothing judged", entries: 4, tiles: 3, spread: 0.5, nothingJudged: true },
    { name: "ties", entries: 6, tiles: 40, spread: 0, ties: true },
  ],
  modelSizes: (["probability", "margin", "entropy"] as const).map((measure) => ({
    name: `128 rows, 256 tiles, ${measure}`,
    entries: 128,
    tiles: 256,
    spread: 0.1,
    measure,
  })),
  inputs(size, random) {
    const all = Object.keys(MEASURES) as Measure[];
    const measures = Array.from(
      { length: size.entries },
      (_, entry) => size.measure ?? all[entry % all.length],
    );
    const rows = measures.flatMap((measure) => rowOf(random, size, measure));
    const candidates = Float32Array.from(rows.flat());
    const tokens = new Uint32Array(candidates.buffer);
    rows.forEach(([, token], i) => tokens[CANDIDATE_FORM.length * i + 1] = token);
    return { entries: size.entries, tiles: size.tiles, measures, candidates };
  },
  upload(tensors, { entries, tiles, measures, candidates }) {
    const predictions = tensors.untouched("predictions", WORDS.length * entries, WORDS);
    const asked = new Uint32Array(ASKED_WORDS * entries);
    const plans = new Uint32Array(STEP_PLAN_WORDS * (PLAN_OFFSET + entries));
    measures.forEach((measure, i) => {
      asked.set([i, i, i, NO_TOKEN], ASKED_WORDS * i);
      writeStepPlan(plans, STEP_PLAN_WORDS * (PLAN_OFFSET + i), { ...PLAN, measure });
    });
    const bound = {
      candidates: tensors.of("candidates", candidates),
      asked: tensors.of("asked", asked),
      plans: tensors.of("plans", plans),
      predictions: predictions.tensor,
    };
    return {
      record: (recorder) =>
        predict(recorder, bound, {
          entries,
          tiles,
          planOffset: PLAN_OFFSET,
          measured: measures.some((measure) => measure !== "probability"),
        }),
      outputs: { predictions },
    };
  },
  reference,
  cost: ({ entries, tiles }) => ({ multiplyAdds: 0, bytes: 28 * entries * tiles }),
});
