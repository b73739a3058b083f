/** Statistics as they are printed. */
import { assertEquals, assertMatch } from "@std/assert";
import { answerText, totalsText } from "../../../src/cli/terminal/stats_view.ts";
import { NO_ACCEPTANCE } from "../../../src/denoise/strategies/acceptance.ts";
import { addAnswer, type GenerateStats, NO_TOTALS } from "../../../src/engine/stats.ts";

const stats: GenerateStats = {
  seed: 7,
  strategy: "lossless",
  cache: "dual",
  forwards: 5,
  targetStates: 12,
  draftForwards: 9,
  idleForwards: 1,
  cacheRefreshes: 2,
  proposed: 9,
  accepted: 6,
  acceptedLengths: [1, 0, 3],
  acceptance: {
    ...NO_ACCEPTANCE,
    byDepth: [{ proposed: 4, accepted: 3 }, { proposed: 3, accepted: 3 }],
    byMaskRatio: NO_ACCEPTANCE.byMaskRatio.with(3, { proposed: 7, accepted: 6 }),
    byPosition: Array.from({ length: 9 }, () => ({ proposed: 1, accepted: 1 })),
  },
  readbacks: 14,
  targetSeconds: 0.75,
  draftSeconds: 0.5,
  readbackSeconds: 1.5,
  seconds: 2,
};
const usage = { promptTokens: 4, completionTokens: 10 };
const end = { type: "end", finishReason: "stop", text: "", ids: [], usage } as const;

Deno.test("an answer's figures, line by line, and its acceptance as shares with counts", () => {
  assertEquals(answerText({ ...end, stats }).split("\n"), [
    "10 tokens in 2.00 s (5.0 tokens/s), 5 forwards (2.00 tokens per forward), 14 readbacks, seed 7",
    "strategy lossless, cache dual",
    "  target    0.75 s, 5 forwards over 12 states",
    "  draft     0.50 s, 9 forwards",
    "  readback  1.50 s waiting for results, 14 times",
    "  idle      1 forwards with nothing left to do",
    "  cache     2 refreshes",
    "  accepted  67% (6 of 9)",
    "  rounds    by how many they accepted: 0: 1, 2: 3",
    "┌───────┬───────────────┬────────┬──────────────┬──────────┬───────────────┐",
    "│ depth │ accepted      │ masked │ accepted     │ position │ accepted      │",
    "├───────┼───────────────┼────────┼──────────────┼──────────┼───────────────┤",
    "│ 1     │ 75% (3 of 4)  │ 30-40% │ 86% (6 of 7) │ 0-7      │ 100% (8 of 8) │",
    "│ 2     │ 100% (3 of 3) │        │              │ 8-8      │ 100% (1 of 1) │",
    "└───────┴───────────────┴────────┴──────────────┴──────────┴───────────────┘",
  ]);
});

Deno.test("what auto chose and has learnt", () => {
  const figures = {
    plainStep: 0.1,
    verify: { 2: 0.19 },
    selfAcceptance: 0.5,
    draftAcceptance: 0.7,
    fastRates: { "factor 1, cache dual": 30, "threshold 0.9, cache none": 40 },
  };
  const choices = { "threshold 0.9, cache none": 3 };
  const text = answerText({ ...end, stats: { ...stats, strategy: "auto", choices, figures } });
  assertMatch(text, /^ {2}chose {5}threshold 0\.9, cache none \(3 steps\)$/m);
  assertMatch(
    text,
    /plain step 100 us, draft step unknown, target over 2 states 190 us; acceptance self 0\.50, draft 0\.70$/m,
  );
  assertMatch(
    text,
    /tokens per ms and row: threshold 0\.9, cache none 40\.0, factor 1, cache dual/,
  );
});

Deno.test("totals over answers", () => {
  assertEquals(totalsText({ ...NO_TOTALS, unfinished: 2 }), "0 answers, 2 unfinished");
  const totals = [stats, { ...stats, strategy: "plain" as const }, stats]
    .map((stats) => ({ usage, stats })).reduce(addAnswer, NO_TOTALS);
  assertEquals(totalsText(totals).split("\n").slice(0, 3), [
    "3 answers (2 lossless, 1 plain): 30 tokens in 6.00 s (5.0 tokens/s), 15 forwards " +
    "(2.00 tokens per forward)",
    "  target    2.25 s, 15 forwards over 36 states",
    "  draft     1.50 s, 27 forwards",
  ]);
});
