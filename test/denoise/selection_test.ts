import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { randomRank } from "../../src/denoise/noise.ts";
import type { Prediction } from "../../src/denoise/predictor.ts";
import {
  passing,
  REMASKINGS,
  selectCommits,
  type SelectionRule,
} from "../../src/denoise/selection.ts";

function prediction(position: number, oddsAgainst: number): Prediction {
  const confidence = 1 / (1 + oddsAgainst);
  return {
    position,
    token: position + 100,
    oddsAgainst,
    uncertainty: oddsAgainst,
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

Deno.test("what ranks is the uncertainty; what is committed keeps the token's probability", () => {
  const odd = (position: number, oddsAgainst: number, uncertainty: number) => ({
    ...prediction(position, oddsAgainst),
    uncertainty,
  });
  const found = [odd(1, 0.01, 4), odd(2, 9, 0.5), odd(3, 1, 1), odd(4, 0.5, Infinity)];
  assertEquals(positions(found, 1), [2]);
  assertEquals(positions(found, 2), [2, 3]);
  assertEquals(positions(found, 3), [1, 2, 3]);
  const [surest] = selectCommits(found, 1, byConfidence);
  assertEquals([surest.confidence, surest.logProbability], [1 / 10, -Math.log1p(9)]);
  // Confidences by the measure: 2 / 3, 1 / 2, 1 / 5, 0.
  const rules: [SelectionRule, number[]][] = [
    [{ kind: "threshold", threshold: 0.6 }, [2]],
    [{ kind: "threshold", threshold: 0.5 }, [2, 3]],
    [{ kind: "factor", factor: 1.5 }, [2, 3]],
    [{ kind: "factor", factor: 3.2 }, [1, 2, 3, 4]],
  ];
  for (const [rule, expected] of rules) {
    const commits = selectCommits(found, 4, byConfidence, rule);
    assertEquals(commits.map(({ position }) => position), expected, JSON.stringify(rule));
  }
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

/** Fast-dLLM's rules as their paper and code state them, in confidences, largest first. */
function passingByDefinition(confidences: readonly number[], rule: SelectionRule): number {
  const count = confidences.length;
  const from = (fails: (confidence: number, rank: number) => boolean) => {
    for (let rank = 1; rank < count; rank++) if (fails(confidences[rank], rank)) return rank;
    return count;
  };
  if (rule.kind === "count") return count;
  if (rule.kind === "threshold") return from((confidence) => confidence < rule.threshold);
  const first = from((confidence, rank) => confidence < 1 - rule.factor / (rank + 2));
  return first === count - 1 ? count : first;
}

/** Confidences that no rule drawn below meets to the last bit. */
const confidencesArb = fc.array(fc.constantFrom(0, 0.13, 0.31, 0.47, 0.61, 0.83, 0.91, 0.97), {
  maxLength: 12,
}).map((confidences) => confidences.sort((a, b) => b - a));

const ruleArb: fc.Arbitrary<SelectionRule> = fc.oneof(
  fc.constant({ kind: "count" } as const),
  fc.constantFrom(1e-3, 0.3, 0.5, 0.9, 0.95, 1).map((threshold) =>
    ({ kind: "threshold", threshold }) as const
  ),
  fc.constantFrom(1e-3, 0.25, 0.5, 1, 1.5, 3, 20).map((factor) =>
    ({ kind: "factor", factor }) as const
  ),
);

const oddsOf = (confidence: number) => 1 / confidence - 1;

Deno.test("as many pass as the rule's definition says", () => {
  const seen = new Set<string>();
  fc.assert(
    fc.property(confidencesArb, ruleArb, (confidences, rule) => {
      const expected = passingByDefinition(confidences, rule);
      assertEquals(passing(confidences.map(oddsOf), rule), expected);
      const kind = expected === confidences.length ? "all" : expected === 1 ? "one" : "some";
      seen.add(`${rule.kind} ${kind}`);
    }),
    { numRuns: 1000 },
  );
  const cases = ["threshold", "factor"].flatMap((rule) =>
    ["all", "some", "one"].map((kind) => `${rule} ${kind}`)
  );
  assertEquals([...seen].sort(), ["count all", ...cases].sort());
});

Deno.test("the rules at their edges", () => {
  const threshold = (threshold: number) => ({ kind: "threshold", threshold }) as const;
  const factor = (factor: number) => ({ kind: "factor", factor }) as const;
  const cases: [number[], SelectionRule, number][] = [
    [[], threshold(0.9), 0],
    [[], factor(1), 0],
    [[7], threshold(0.9), 1],
    [[7], factor(1), 1],
    // Met exactly: 1 / (1 + 1) >= 0.5.
    [[1, 1, 1.001], threshold(0.5), 2],
    // Only what is certain, and the first.
    [[0, 0, 1e-30], threshold(1), 2],
    [[0.1, 0.2], threshold(1), 1],
    [[Infinity, Infinity], threshold(1e-9), 1],
    // Odds up to 1/2, 1/3, 1/4 at ranks 1, 2, 3.
    [[9, 0.4, 0.3, 0.2], factor(1), 4],
    [[9, 0.4, 0.3, 0.9], factor(1), 4],
    [[9, 0.4, 0.8, 0.9], factor(1), 2],
    [[9, 9], factor(1), 2],
    [[9, 9, 9], factor(1), 1],
    // A factor above rank + 2 lets anything pass.
    [[9, Infinity, Infinity, Infinity], factor(5), 4],
    [[9, 9, Infinity, Infinity, Infinity, Infinity], factor(4), 3],
  ];
  for (const [odds, rule, expected] of cases) {
    assertEquals(passing(odds, rule), expected, `${odds} ${JSON.stringify(rule)}`);
  }
});

Deno.test("a rule keeps a prefix of the ranking, not empty, and at most the count", () => {
  fc.assert(
    fc.property(confidencesArb, ruleArb, fc.integer({ min: 1, max: 14 }), (sure, rule, count) => {
      const found = sure.map((confidence, i) => prediction((7 * i) % 16, oddsOf(confidence)));
      const commits = selectCommits(found, count, byConfidence, rule);
      const kept = Math.min(count, passingByDefinition(sure, rule));
      assertEquals(commits, selectCommits(found, kept, byConfidence));
      assertEquals(commits.length > 0, sure.length > 0);
    }),
  );
});
