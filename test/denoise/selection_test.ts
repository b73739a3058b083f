import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { randomRank } from "../../src/denoise/noise.ts";
import type { Prediction } from "../../src/denoise/predictor.ts";
import { REMASKINGS, selectCommits } from "../../src/denoise/selection.ts";

function prediction(position: number, oddsAgainst: number): Prediction {
  const confidence = 1 / (1 + oddsAgainst);
  return {
    position,
    token: position + 100,
    oddsAgainst,
    confidence,
    logProbability: -Math.log1p(oddsAgainst),
    logSumExp: 0,
  };
}

const byConfidence = { remasking: "low_confidence", seed: 1, step: 0 } as const;

function positions(predictions: Prediction[], count: number): number[] {
  return selectCommits(predictions, count, byConfidence).map((commit) => commit.position);
}

/** Odds with many ties, Infinity among them, at positions in any order. */
const predictionsArb = fc.uniqueArray(fc.nat(40), { maxLength: 12 }).chain((at) =>
  fc.tuple(
    ...at.map((position) =>
      fc.constantFrom(0, 1e-20, 0.5, 1, Infinity).map((odds) => prediction(position, odds))
    ),
  )
);

Deno.test("the most confident go first and come out by position", () => {
  const found = [prediction(7, 0.1), prediction(2, 3), prediction(4, 0.2), prediction(9, 0.05)];
  assertEquals(positions(found, 2), [7, 9]);
  assertEquals(positions(found, 3), [4, 7, 9]);
  assertEquals(selectCommits(found, 1, byConfidence), [{
    position: 9,
    token: 109,
    confidence: 1 / 1.05,
    logProbability: -Math.log1p(0.05),
  }]);
});

Deno.test("odds tie as f32 and ties go to the lower position", () => {
  assertEquals(positions([prediction(5, 0.1), prediction(3, 0.1 + 1e-12)], 1), [3]);
  assertEquals(positions([prediction(5, 1e-20), prediction(3, 1.1e-20)], 1), [5]);
  assertEquals(positions([prediction(5, Infinity), prediction(3, Infinity)], 1), [3]);
  assertEquals(positions([prediction(5, 1e30), prediction(3, Infinity)], 1), [5]);
});

Deno.test("random goes by the noise of seed, step and position, whatever the confidence", () => {
  const found = [0, 1, 2, 3, 4, 5, 6, 7].map((position) => prediction(position, position));
  const orders = new Set<string>();
  for (let step = 0; step < 10; step++) {
    const ranking = { remasking: "random", seed: 3, step } as const;
    const commits = selectCommits(found, 3, ranking);
    const expected = [0, 1, 2, 3, 4, 5, 6, 7]
      .sort((a, b) => randomRank(3, step, a) - randomRank(3, step, b))
      .slice(0, 3)
      .sort((a, b) => a - b);
    assertEquals(commits.map((commit) => commit.position), expected);
    orders.add(String(expected));
  }
  assert(orders.size > 1);
});

Deno.test("a selection does not depend on the order of candidates, and grows with the count", () => {
  fc.assert(fc.property(
    predictionsArb,
    fc.constantFrom(...REMASKINGS),
    fc.nat(14),
    fc.nat(1000),
    (predictions, remasking, count, seed) => {
      const ranking = { remasking, seed, step: 2 };
      const commits = selectCommits(predictions, count, ranking);
      assertEquals(commits.length, Math.min(count, predictions.length));
      assertEquals(commits, commits.toSorted((a, b) => a.position - b.position));
      assertEquals(selectCommits(predictions.toReversed(), count, ranking), commits);
      const more = selectCommits(predictions, count + 1, ranking);
      assertEquals(
        commits.filter((commit) => more.some((other) => other.position === commit.position)),
        commits,
      );
    },
  ));
});

Deno.test("no candidate left out is more confident than one taken", () => {
  fc.assert(fc.property(predictionsArb, fc.nat(12), (predictions, count) => {
    const taken = new Set(positions(predictions, count));
    const inside = predictions.filter(({ position }) => taken.has(position));
    for (const out of predictions.filter(({ position }) => !taken.has(position))) {
      for (const { position, oddsAgainst } of inside) {
        assert(oddsAgainst <= out.oddsAgainst);
        if (oddsAgainst === out.oddsAgainst) assert(position < out.position);
      }
    }
  }));
});
