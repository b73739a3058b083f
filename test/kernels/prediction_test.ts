import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { gumbel, predictRow } from "../../src/denoise/noise.ts";
import {
  GREEDY,
  NO_TOKEN,
  type Prediction,
  type TokenChoice,
} from "../../src/denoise/predictor.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { CANDIDATE_WORDS, head, headTiles } from "../../src/kernels/head.ts";
import { predict, PREDICTION_WORDS } from "../../src/kernels/predict.ts";
import {
  ASKED_WORDS,
  NO_TOKEN as KERNEL_NO_TOKEN,
  STEP_PLAN_WORDS,
  writeStepPlan,
} from "../../src/kernels/step_plan.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { forms } from "../gpu/device.ts";
import { CaseTensors } from "./case.ts";
import { hostMatrix, uploadMatrix } from "./matrix.ts";
import { Random } from "./random.ts";

/**
 * Rows whose logits are the ones given, bit for bit: a hidden state with a single 1 takes one value
 * of each token's weights.
 */
interface Rows {
  /** `[rows, vocabulary]`; with guidance (conditional, unconditional) pairs. */
  readonly logits: readonly Float32Array[];
  readonly positions: readonly number[];
  readonly choices: readonly TokenChoice[];
  /** Default: at some rows none, at the others tokens all over the vocabulary. */
  readonly judged?: readonly number[];
  /** `cfg_scale + 1`. */
  readonly guidance?: number;
  readonly partColumns?: number;
}

function judgedTokens({ positions, logits, judged }: Rows): readonly number[] {
  return judged ?? positions.map((_, i) => i % 3 === 0 ? NO_TOKEN : (37 * i) % logits[0].length);
}

/** Head and predict on the GPU. */
async function predictRows(gpu: Gpu, rows: Rows): Promise<Prediction[]> {
  const { logits, positions, choices, guidance, partColumns } = rows;
  using tensors = new CaseTensors(gpu);
  using recorder = new Recorder(gpu);
  using readback = new Readback(gpu);
  const inner = logits.length;
  const vocabulary = logits[0].length;
  const values = new Float32Array(vocabulary * inner);
  const x = new Float32Array(inner * paddedInner(inner));
  logits.forEach((row, r) => {
    row.forEach((logit, token) => values[token * inner + r] = logit);
    x[r * paddedInner(inner) + r] = 1;
  });
  const weights = uploadMatrix(tensors, hostMatrix("f32", inner, values), partColumns);
  const entries = positions.length;
  const judged = judgedTokens(rows);
  const tiles = headTiles(weights);
  const asked = new Uint32Array(ASKED_WORDS * entries);
  const plans = new Uint32Array(STEP_PLAN_WORDS * entries);
  choices.forEach((choice, i) => {
    asked.set([i, positions[i], i, judged[i]], ASKED_WORDS * i);
    const { bannedTokens: banned, unconfidentTokens: unconfident } = choice;
    const range = { candidateFirst: 0, candidateEnd: 0 };
    const plan = { ...choice, ...range, commits: 0, banned, unconfident };
    writeStepPlan(plans, STEP_PLAN_WORDS * i, plan);
  });
  const candidates = tensors.untouched("candidates", CANDIDATE_WORDS * entries * tiles).tensor;
  const answers = tensors.untouched("answers", PREDICTION_WORDS * entries).tensor;
  const bound = {
    x: tensors.of("x", x),
    asked: tensors.of("asked", asked),
    plans: tensors.of("plans", plans),
    candidates,
  };
  head(recorder, bound, weights, { entries, planOffset: 0, guidance });
  predict(recorder, candidates, answers, { entries, tiles });
  const bytes = await readback.read(recorder, answers, 4 * PREDICTION_WORDS * entries);
  const words = new Uint32Array(bytes);
  const numbers = new Float32Array(bytes);
  return positions.map((position, i) => {
    const at = PREDICTION_WORDS * i;
    const [oddsAgainst, logProbability, logSumExp] = numbers.subarray(at + 1, at + 4);
    const confidence = 1 / (1 + oddsAgainst);
    return {
      position,
      token: words[at],
      oddsAgainst,
      confidence,
      logProbability,
      logSumExp,
      ...judged[i] !== NO_TOKEN && { judgedConfidence: 1 / (1 + numbers[at + 4]) },
    };
  });
}

/** The logits that decide, in f64. */
function guided({ logits, guidance }: Rows, entry: number): Float64Array {
  if (guidance === undefined) return Float64Array.from(logits[entry]);
  const unconditional = logits[2 * entry + 1];
  return Float64Array.from(
    logits[2 * entry],
    (logit, token) => unconditional[token] + guidance * (logit - unconditional[token]),
  );
}

/** Distance between best and second score. */
function scoreGap(logits: Float64Array, position: number, choice: TokenChoice): number {
  const { temperature, seed, step, bannedTokens } = choice;
  const scores = Array.from(
    logits,
    (logit, token) => logit + (temperature && temperature * gumbel(seed, step, position, token)),
  ).filter((_, token) => !bannedTokens.includes(token)).sort((a, b) => b - a);
  return scores[0] - scores[1];
}

/** Every field of every row; `tolerance` is relative for odds, absolute for logarithms. */
async function assertPredictions(rows: Rows, tolerance: number): Promise<void> {
  let decided = 0;
  for (const [form, gpu] of forms) {
    const found = await predictRows(gpu, rows);
    found.forEach((prediction, i) => {
      const logits = guided(rows, i);
      const judged = judgedTokens(rows)[i];
      const expected = predictRow(logits, rows.positions[i], rows.choices[i], judged);
      const gap = scoreGap(logits, rows.positions[i], rows.choices[i]);
      // Where scores tie exactly the rule decides; where they nearly tie, rounding may.
      if (gap > 0 && gap < 1e-5) return;
      decided++;
      const where = `${form} row ${i} (gap ${gap})`;
      assertEquals(prediction.token, expected.token, where);
      assertAlmostEquals(prediction.logSumExp, expected.logSumExp, tolerance, where);
      const { judgedConfidence } = prediction;
      assertEquals(judgedConfidence === undefined, expected.judgedConfidence === undefined, where);
      if (expected.judgedConfidence) {
        const share = judgedConfidence! / expected.judgedConfidence;
        assertAlmostEquals(share, 1, tolerance, `${where}: judged ${judged}, off by ${share}`);
      } else {
        assertEquals(judgedConfidence, expected.judgedConfidence, where);
      }
      if (expected.oddsAgainst === Infinity) {
        const { judgedConfidence: _, ...rest } = prediction;
        const { judgedConfidence: __, ...wanted } = expected;
        assertEquals(rest, { ...wanted, logSumExp: rest.logSumExp }, where);
        return;
      }
      const { oddsAgainst, logProbability } = prediction;
      const odds = `${where}: odds expected ${expected.oddsAgainst}, found ${oddsAgainst}`;
      assertAlmostEquals(oddsAgainst / expected.oddsAgainst, 1, tolerance, odds);
      const logs = `${where}: log p ${expected.logProbability}, found ${logProbability}`;
      const allowed = tolerance * Math.min(1, Math.abs(expected.logProbability)) + 1e-6 *
          Math.max(0, Math.abs(expected.logProbability) - 1);
      assertAlmostEquals(logProbability, expected.logProbability, allowed, logs);
    });
  }
  assert(decided > 0.95 * forms.size * rows.positions.length, `${decided} rows were decided`);
}

const SEEDS = [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 52 + 12345, 2 ** 53 - 1];

Deno.test("with noise, head and predict choose the tokens of predictRow", async () => {
  const random = new Random("noise");
  for (const temperature of [0.3, 1, 4]) {
    const count = 56;
    await assertPredictions({
      logits: Array.from({ length: count }, () => random.floats(200, 2)),
      positions: Array.from(random.integers(count, 2 ** 16)),
      choices: Array.from({ length: count }, (_, i) => ({
        ...GREEDY,
        temperature,
        seed: SEEDS[i % SEEDS.length],
        step: random.integer(2 ** 16),
      })),
    }, 2e-5);
  }
});

Deno.test("equal logits: the noise alone decides", async () => {
  const count = 64;
  await assertPredictions({
    logits: Array.from({ length: count }, () => new Float32Array(129).fill(0.5)),
    positions: Array.from({ length: count }, (_, i) => i),
    choices: Array.from({ length: count }, (_, i) => ({
      ...GREEDY,
      temperature: 1,
      seed: 3,
      step: i >> 3,
    })),
  }, 1e-5);
});

Deno.test("without noise, ties go to the lower token, across lanes, tiles and parts", async () => {
  const random = new Random("ties");
  const count = 24;
  const logits = Array.from(
    { length: count },
    () => Float32Array.from({ length: 520 }, () => random.integer(3)),
  );
  // The only two maxima of a row: in one lane, in two, in two tiles, in two parts.
  [[3, 35], [3, 4], [127, 128], [255, 256], [0, 519]].forEach((pair, i) => {
    for (const token of pair) logits[i][token] = 9;
  });
  const rows = {
    logits,
    positions: Array.from({ length: count }, (_, i) => i),
    choices: Array.from({ length: count }, () => GREEDY),
  };
  await assertPredictions(rows, 1e-5);
  await assertPredictions({ ...rows, partColumns: 256 }, 1e-5);
});

Deno.test("odds against keep their digits where p rounds to 1, and where it is small", async () => {
  const gaps = [0, 1e-3, 0.5, 5, 16, 20, 24, 27.6, 40, 60, 80];
  const sure = gaps.map((gap) => {
    const row = new Float32Array(140).fill(-gap);
    row[131] = 0;
    return row;
  });
  // Much noise also chooses tokens far below the largest logit.
  const choices = sure.map((_, i): TokenChoice =>
    i % 2 === 0 ? GREEDY : { ...GREEDY, temperature: 50, seed: i, step: 1 }
  );
  await assertPredictions(
    { logits: sure, positions: sure.map((_, i) => i), choices },
    2e-5,
  );
  // Sure rows are told apart although p is 1 for all of them.
  const [, gpu] = [...forms][0];
  const surest = sure.filter((_, i) => gaps[i] >= 24);
  const found = await predictRows(gpu, {
    logits: surest,
    positions: surest.map((_, i) => i),
    choices: surest.map(() => GREEDY),
  });
  const odds = found.map(({ oddsAgainst }) => oddsAgainst);
  assertEquals(odds, odds.toSorted((a, b) => b - a));
  assertEquals(new Set(odds).size, odds.length);
  assert(found.every(({ confidence }) => Math.fround(confidence) === 1));
  assert(odds.at(-1)! > 0 && odds.at(-1)! < 1e-30);
});

Deno.test("banned tokens are never chosen; unconfident ones count as p = 0", async () => {
  const random = new Random("hidden");
  const count = 40;
  const logits = Array.from({ length: count }, () => random.floats(129, 3));
  logits.forEach((row, i) => {
    if (i % 2 === 0) row[128] = 20; // the likeliest, alone in its tile
    if (i % 3 === 0) row[5] = 21;
  });
  const choices = logits.map((_, i): TokenChoice => ({
    temperature: i < 20 ? 0 : 0.8,
    seed: 10 + i,
    step: 2,
    bannedTokens: i % 4 < 2 ? [128] : [5, 6, 7, 8],
    unconfidentTokens: i % 5 < 2 ? [5] : i % 5 === 2 ? [128, 5] : [],
  }));
  await assertPredictions({ logits, positions: logits.map((_, i) => i), choices }, 2e-5);
});

Deno.test("a judged token has its probability, however close to 1 or 0, and 0 if hidden", async () => {
  const tokens = [0, 3, 35, 127, 128, 255, 256, 519];
  const gaps = [0, 1e-4, 3, 12, 17, 30, 60];
  const logits = tokens.flatMap((top) =>
    gaps.map((gap) => {
      const row = new Float32Array(520).fill(-gap - 1);
      row[top] = 0;
      row[(top + 1) % 520] = -gap;
      return row;
    })
  );
  // The likeliest token, and the one behind it.
  for (const next of [0, 1]) {
    const rows = {
      logits,
      positions: logits.map((_, i) => i),
      choices: logits.map(() => GREEDY),
      judged: logits.map((_, i) => (tokens[Math.floor(i / gaps.length)] + next) % 520),
    };
    await assertPredictions(rows, 2e-5);
    await assertPredictions({ ...rows, partColumns: 256 }, 2e-5);
    const hide = (bannedTokens: number[], unconfidentTokens: number[]) =>
      logits.map(() => ({ ...GREEDY, bannedTokens, unconfidentTokens }));
    await assertPredictions({ ...rows, choices: hide(tokens.slice(0, 4), []) }, 2e-5);
    await assertPredictions({ ...rows, choices: hide([], tokens.slice(4)) }, 2e-5);
  }
});

Deno.test("both sides write no token alike", () => {
  assertEquals(KERNEL_NO_TOKEN, NO_TOKEN);
});

Deno.test("guidance combines the pair before choice and softmax", async () => {
  const random = new Random("guided");
  for (const [entries, guidance] of [[3, 1.5], [20, 3]]) {
    const rows = {
      logits: Array.from({ length: 2 * entries }, () => random.floats(150, 2)),
      positions: Array.from({ length: entries }, (_, i) => 7 * i),
      choices: Array.from({ length: entries }, (_, i): TokenChoice => ({
        temperature: i % 2,
        seed: i,
        step: 0,
        bannedTokens: [i],
        unconfidentTokens: [149],
      })),
      guidance,
    };
    await assertPredictions(rows, 4e-5);
  }
});
