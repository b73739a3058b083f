import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { TemperatureCase } from "../../src/evaluate/parity/golden_files.ts";
import {
  gumbel,
  hash,
  predictRow,
  randomRank,
  sampleToken,
  uniform,
} from "../../src/denoise/noise.ts";
import { confidenceOf } from "../../src/denoise/confidence.ts";
import { GREEDY, NO_TOKEN } from "../../src/denoise/predictor.ts";
import { readGolden } from "../reference/golden.ts";

const seedArb = fc.maxSafeNat();
const shortArb = fc.integer({ min: 0, max: 0xffff });
const tokenArb = fc.integer({ min: 0, max: 0xffffffff });
const logitsArb = fc.array(fc.double({ min: -40, max: 40, noNaN: true }), {
  minLength: 2,
  maxLength: 12,
});

/** pcg4d over big integers, written from the paper's listing. */
function pcg4d(key: readonly bigint[]): bigint[] {
  const wrap = (value: bigint) => BigInt.asUintN(32, value);
  let [x, y, z, w] = key.map((value) => wrap(value * 1664525n + 1013904223n));
  const mix = () => {
    x = wrap(x + y * w);
    y = wrap(y + z * x);
    z = wrap(z + x * y);
    w = wrap(w + y * z);
  };
  mix();
  [x, y, z, w] = [x, y, z, w].map((value) => value ^ (value >> 16n));
  mix();
  return [x, y, z, w];
}

Deno.test("hash is the last word of pcg4d, and no two keys share its input", () => {
  fc.assert(fc.property(seedArb, shortArb, shortArb, tokenArb, (seed, step, position, token) => {
    const high = BigInt(seed) >> 32n;
    const key = [
      BigInt(token),
      BigInt(position) | ((high >> 16n) << 16n),
      BigInt(step) | BigInt.asUintN(32, high << 16n),
      BigInt.asUintN(32, BigInt(seed)),
    ];
    assertEquals(BigInt(hash(seed, step, position, token)), pcg4d(key)[3]);
    // The key holds all five numbers in bits of their own, so they can be read back.
    const back = (((key[1] >> 16n) << 16n | key[2] >> 16n) << 32n) | key[3];
    assertEquals([Number(back), Number(key[1] & 0xffffn), Number(key[2] & 0xffffn)], [
      seed,
      position,
      step,
    ]);
  }));
});

Deno.test("hash is even along every number of its key, in its high and its low bits", () => {
  const draws = 1 << 16;
  const axes: Record<string, (i: number) => number> = {
    token: (i) => hash(1, 2, 3, i),
    position: (i) => hash(1, 2, i, 3),
    step: (i) => hash(1, i, 2, 3),
    seed: (i) => hash(i, 1, 2, 3),
    rank: (i) => randomRank(i >> 8, 0, i & 0xff) << 8,
  };
  for (const [axis, draw] of Object.entries(axes)) {
    for (const shift of [24, 8]) {
      const counts = new Float64Array(256);
      for (let i = 0; i < draws; i++) counts[(draw(i) >>> shift) & 0xff]++;
      const expected = draws / 256;
      const chi = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      // 255 degrees of freedom: 6 standard deviations of sqrt(2 * 255) either side.
      assert(Math.abs(chi - 255) < 6 * Math.sqrt(510), `${axis} >> ${shift}: chi-square ${chi}`);
    }
  }
});

Deno.test("uniform stays inside (0, 1) and its noise is finite at both ends", () => {
  for (const bits of [0, 1, 2 ** 31, 2 ** 32 - 1]) {
    const v = uniform(bits);
    assert(v > 0 && v < 1);
    assert(Number.isFinite(-Math.log(-Math.log1p(-v))));
  }
});

Deno.test("gumbel is -ln(-ln u) with u = 1 - v", () => {
  fc.assert(fc.property(seedArb, shortArb, shortArb, tokenArb, (seed, step, position, token) => {
    const u = 1 - uniform(hash(seed, step, position, token));
    assertAlmostEquals(gumbel(seed, step, position, token), -Math.log(-Math.log(u)), 1e-5);
  }));
});

Deno.test("the mean of the noise is Euler's constant, its variance pi^2 / 6", () => {
  const draws = 200_000;
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < draws; i++) {
    const value = gumbel(5, i >> 12, i & 0xfff, 17);
    sum += value;
    squares += value ** 2;
  }
  const mean = sum / draws;
  assertAlmostEquals(mean, 0.5772156649, 0.02);
  assertAlmostEquals(squares / draws - mean ** 2, Math.PI ** 2 / 6, 0.05);
});

Deno.test("random ranks have 24 bits", () => {
  fc.assert(fc.property(seedArb, shortArb, shortArb, (seed, step, position) => {
    const rank = randomRank(seed, step, position);
    assert(Number.isInteger(rank) && rank >= 0 && rank < 2 ** 24);
    assertEquals(Math.fround(rank), rank);
  }));
});

const golden = readGolden<{ readonly cases: readonly TemperatureCase[] }>(
  "sampling/temperature.json",
);
for (
  const { temperature, logits, uniform, tokens, confidence, greedy_tokens } of golden.cases
) {
  Deno.test(`golden temperature ${temperature}`, () => {
    assert(logits.length > 0);
    logits.forEach((row, i) => {
      assertEquals(sampleToken(row, uniform[i], temperature), tokens[i]);
      assertEquals(sampleToken(row, uniform[i], 0), greedy_tokens[i]);
      assertEquals(predictRow(Float64Array.from(row), i, GREEDY).token, greedy_tokens[i]);
      const found = confidenceOf(row, tokens[i], new Set());
      assertAlmostEquals(found.confidence, confidence[i], 5e-4);
    });
  });
}

Deno.test("the noisy choice is sampleToken on the key's uniform numbers", () => {
  fc.assert(
    fc.property(logitsArb, seedArb, shortArb, shortArb, (logits, seed, step, position) => {
      const choice = { ...GREEDY, temperature: 0.8, seed, step };
      const u = logits.map((_, token) => 1 - uniform(hash(seed, step, position, token)));
      const { token } = predictRow(Float64Array.from(logits), position, choice);
      assertEquals(token, sampleToken(logits, u, 0.8));
    }),
  );
});

Deno.test("at temperature 1 tokens come as often as the softmax says", () => {
  const logits = Float64Array.of(0, 1, 2, -1, 0.5);
  const sum = logits.reduce((total, logit) => total + Math.exp(logit), 0);
  const counts = new Float64Array(logits.length);
  const draws = 50_000;
  for (let i = 0; i < draws; i++) {
    const choice = { ...GREEDY, temperature: 1, seed: 11, step: i >> 8 };
    counts[predictRow(logits, i & 0xff, choice).token]++;
  }
  counts.forEach((count, token) => {
    const p = Math.exp(logits[token]) / sum;
    assertAlmostEquals(count / draws, p, 6 * Math.sqrt(p * (1 - p) / draws));
  });
});

Deno.test("a judged token has the confidence that it would have if chosen, and none has none", () => {
  fc.assert(fc.property(logitsArb, fc.nat(), fc.array(fc.nat(11)), (logits, pick, hiddenList) => {
    const judged = pick % logits.length;
    const choice = { ...GREEDY, unconfidentTokens: hiddenList };
    const row = Float64Array.from(logits);
    const { judgedConfidence, ...rest } = predictRow(row, 3, choice, judged);
    assertEquals(judgedConfidence, confidenceOf(logits, judged, new Set(hiddenList)).confidence);
    assertEquals(rest, predictRow(row, 3, choice));
    assertEquals(rest, predictRow(row, 3, choice, NO_TOKEN));
  }));
});

Deno.test("odds keep their order where probabilities round to 1", () => {
  const sure = predictRow(Float64Array.of(0, 60), 0, GREEDY);
  const surer = predictRow(Float64Array.of(0, 61), 1, GREEDY);
  assertEquals([sure.confidence, surer.confidence], [1, 1]);
  assertEquals([sure.oddsAgainst, surer.oddsAgainst], [Math.exp(-60), Math.exp(-61)]);
});

Deno.test("ties go to the lower id", () => {
  const found = predictRow(Float64Array.of(1, 3, 3, 0, 3), 0, GREEDY);
  assertEquals(found.token, 1);
  assertAlmostEquals(found.oddsAgainst, 2 + Math.exp(-2) + Math.exp(-3), 1e-12);
  assertEquals(sampleToken([1, 3, 3], [0.5, 0.5, 0.5], 1), 1);
});

Deno.test("a banned token is out of choice and softmax alike", () => {
  const logits = Float64Array.of(5, 1, 0);
  const found = predictRow(logits, 0, { ...GREEDY, bannedTokens: [0] });
  assertEquals(found.token, 1);
  assertAlmostEquals(found.oddsAgainst, Math.exp(-1), 1e-12);
  const noisy = Array.from(
    { length: 200 },
    (_, seed) =>
      predictRow(logits, 0, { ...GREEDY, temperature: 5, seed, bannedTokens: [0] }).token,
  );
  assertEquals(new Set(noisy), new Set([1, 2]));
  assertThrows(
    () => predictRow(logits, 0, { ...GREEDY, bannedTokens: [0, 1, 2] }),
    RangeError,
    "no token of 3",
  );
});

Deno.test("an unconfident token is chosen with confidence 0 and leaves the others' softmax", () => {
  const choice = { ...GREEDY, unconfidentTokens: [0] };
  const chosen = predictRow(Float64Array.of(5, 1, 0), 0, choice);
  assertEquals([chosen.token, chosen.confidence, chosen.oddsAgainst], [0, 0, Infinity]);
  assertEquals(chosen.logProbability, -Infinity);
  assertAlmostEquals(chosen.logSumExp, Math.log(Math.E + 1), 1e-12);
  const other = predictRow(Float64Array.of(0, 1, 0), 0, choice);
  assertEquals(other.token, 1);
  assertAlmostEquals(other.oddsAgainst, Math.exp(-1), 1e-12);
  const all = predictRow(Float64Array.of(0, 1), 0, { ...GREEDY, unconfidentTokens: [0, 1] });
  assertEquals([all.token, all.confidence, all.logSumExp], [1, 0, -Infinity]);
});
