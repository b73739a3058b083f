import { assertEquals, assertThrows } from "@std/assert";
import {
  checkCache,
  checkCounts,
  checkProbabilities,
  checkRanking,
  checkRule,
  checkSuffixWindow,
  OptionError,
  requireProbability,
} from "../../src/denoise/check_options.ts";

const REFUSED: readonly (readonly [check: () => void, option: string, message: string])[] = [
  [() => checkCache({ cache: "all" as "dual" }), "cache", "cache is all: expected none, prefix"],
  [() => checkCache({ refreshInterval: 0.5 }), "refreshInterval", "is 0.5: expected 1 or more"],
  [() => checkCache({ refreshInterval: NaN }), "refreshInterval", "refreshInterval is NaN"],
  [() => checkSuffixWindow({ suffixWindow: 1.5 }), "suffixWindow", "suffixWindow is 1.5"],
  [() => checkRule({ kind: "threshold", threshold: 0 }), "threshold", "threshold is 0"],
  [() => checkRule({ kind: "threshold", threshold: 1.1 }), "threshold", "at most 1"],
  [() => checkRule({ kind: "factor", factor: 0 }), "factor", "factor is 0"],
  [() => checkRule({ kind: "factor", factor: Infinity }), "factor", "factor is Infinity"],
  [() => checkRanking({ remasking: "best" as "random" }), "remasking", "low_confidence, random"],
  [() => checkRanking({ confidence: "odds" as "margin" }), "confidence", "probability, margin"],
  [() => checkRanking({ confidence: "entropy" }, "rule x"), "confidence", "rule x needs a conf"],
  [() => checkRanking({ remasking: "random" }, "rule x"), "remasking", "rule x goes by confidence"],
  [
    () => checkRanking({ remasking: "random", confidence: "margin" }),
    "confidence",
    "confidence margin is for ranking, and remasking random ranks by noise",
  ],
  [() => requireProbability("margin"), "confidence", "compares probabilities"],
  [() => checkProbabilities({ a: 1, b: -0.1 }), "b", "b is -0.1: expected a number from 0 to 1"],
  [() => checkProbabilities({ a: NaN }), "a", "a is NaN"],
  [() => checkCounts({ depth: 1, rounds: 0 }), "rounds", "rounds is 0: expected a whole number"],
  [() => checkCounts({ depth: 1.5 }), "depth", "depth is 1.5"],
];

Deno.test("what an option may not be is refused with its name and what it may be", () => {
  for (const [check, option, message] of REFUSED) {
    assertEquals(assertThrows(check, OptionError, message).option, option);
  }
});

Deno.test("what fits is let through", () => {
  checkCache({});
  checkCache({ cache: "dual", refreshInterval: 1 });
  checkSuffixWindow({ suffixWindow: 0 });
  checkSuffixWindow({});
  checkRule({ kind: "count" });
  checkRule({ kind: "threshold", threshold: 1 });
  checkRanking({ remasking: "random" });
  checkRanking({ confidence: "entropy" });
  checkRanking({ confidence: "margin" }, "rule x");
  requireProbability("probability");
  checkProbabilities({ a: 0, b: 1 });
  checkCounts({ depth: 1, rounds: undefined });
});
