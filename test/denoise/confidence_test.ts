import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import { CONFIDENCE_MEASURES, confidenceOf, uncertaintyOf } from "../../src/denoise/confidence.ts";

const logitsArb = fc.array(fc.double({ min: -40, max: 40, noNaN: true }), {
  minLength: 2,
  maxLength: 12,
});

Deno.test("confidence, odds and log-probability agree with a plain softmax", () => {
  fc.assert(fc.property(logitsArb, fc.nat(), fc.array(fc.nat(11)), (logits, pick, hiddenList) => {
    const token = pick % logits.length;
    const hidden = new Set(hiddenList.filter((i) => i !== token));
    const sum = logits.reduce((s, logit, i) => hidden.has(i) ? s : s + Math.exp(logit), 0);
    const p = Math.exp(logits[token]) / sum;
    const found = confidenceOf(logits, token, hidden);
    assertAlmostEquals(found.confidence, p, 1e-12);
    assertAlmostEquals(found.logProbability, Math.log(p), 1e-9);
    assertAlmostEquals(found.logSumExp, Math.log(sum), 1e-9);
    if (p < 0.999) {
      assertAlmostEquals(Math.log(found.oddsAgainst), Math.log((1 - p) / p), 1e-9);
    }
  }));
});

/** The softmax's probabilities, largest first. */
function probabilities(logits: readonly number[], hidden: ReadonlySet<number>): number[] {
  const shown = logits.filter((_, token) => !hidden.has(token));
  const sum = shown.reduce((total, logit) => total + Math.exp(logit), 0);
  return shown.map((logit) => Math.exp(logit) / sum).sort((a, b) => b - a);
}

Deno.test("margin and entropy agree with a plain softmax, whichever token was chosen", () => {
  fc.assert(fc.property(logitsArb, fc.nat(), fc.array(fc.nat(11)), (logits, pick, hiddenList) => {
    const token = pick % logits.length;
    const hidden = new Set(hiddenList.filter((i) => i !== token));
    const [first, second = 0, ...rest] = probabilities(logits, hidden);
    const margin = 1 / (1 + uncertaintyOf(logits, token, hidden, "margin"));
    assertAlmostEquals(margin, first - second, 1e-12);
    const terms = [first, second, ...rest].map((p) => p > 0 ? -p * Math.log(p) : 0);
    const entropy = terms.reduce((sum, term) => sum + term, 0);
    assertAlmostEquals(uncertaintyOf(logits, token, hidden, "entropy"), entropy, 1e-9);
    const { oddsAgainst } = confidenceOf(logits, token, hidden);
    assertEquals(uncertaintyOf(logits, token, hidden, "probability"), oddsAgainst);
    assertEquals(uncertaintyOf(logits, token, hidden), oddsAgainst);
  }));
});

Deno.test("every measure keeps its order where probabilities round to 1", () => {
  const none = new Set<number>();
  for (const measure of CONFIDENCE_MEASURES) {
    const keys = [50, 60, 61, 300].map((gap) => uncertaintyOf([0, gap], 1, none, measure));
    assertEquals(keys, keys.toSorted((a, b) => b - a));
    assert(keys.every((key, i) => key > 0 && key !== keys[i - 1]), `${measure}: ${keys}`);
  }
  assertAlmostEquals(uncertaintyOf([0, 60], 1, none, "margin") / (2 * Math.exp(-60)), 1, 1e-12);
  assertAlmostEquals(uncertaintyOf([0, 60], 1, none, "entropy") / (61 * Math.exp(-60)), 1, 1e-12);
});

Deno.test("margin: a tie for the first place is Infinity, near it no digit is lost", () => {
  const none = new Set<number>();
  assertEquals(uncertaintyOf([4, 1, 4], 0, none, "margin"), Infinity);
  assertEquals(uncertaintyOf([4, 1, 4], 1, none, "margin"), Infinity);
  assertAlmostEquals(uncertaintyOf([0, 1e-9], 1, none, "margin") * 1e-9, 2, 1e-8);
  assertEquals(uncertaintyOf([4, 1, 4], 0, new Set([1, 2]), "margin"), 0);
});

Deno.test("a hidden token leaves every measure without confidence", () => {
  for (const measure of CONFIDENCE_MEASURES) {
    assertEquals(uncertaintyOf([9, 1, 1], 0, new Set([0]), measure), Infinity);
    assertEquals(uncertaintyOf([9, 1], 0, new Set([0, 1]), measure), Infinity);
  }
});

Deno.test("entropy is 0 where one token is left, and ln n where n are equal", () => {
  assertEquals(uncertaintyOf([3, 8], 0, new Set([1]), "entropy"), 0);
  const equal = uncertaintyOf(new Array(7).fill(-2), 3, new Set(), "entropy");
  assertAlmostEquals(equal, Math.log(7), 1e-14);
});
