/** The figures of a draft's report, from counts and times that are known. */

import { assert, assertAlmostEquals, assertEquals, assertStringIncludes } from "@std/assert";
import { layoutChart } from "../../src/cli/chart.ts";
import { type DraftCost, expectedSpeed } from "../../src/cli/draft_cost.ts";
import { draftReport } from "../../src/cli/draft_report.ts";
import { calibrationPanels, draftMarkdown, draftTables } from "../../src/cli/draft_tables.ts";
import { countAgreement } from "../../src/evaluate/draft_agreement.ts";

const COST: DraftCost = {
  multiplications: 0.25,
  time: 0.2,
  draftMilliseconds: 2,
  targetMilliseconds: [
    { states: 1, milliseconds: 10 },
    { states: 3, milliseconds: 14 },
    { states: 5, milliseconds: 26 },
  ],
};

/** Ten rounds. */
function rounds(committed: number, draftPasses: number, targetStates: number) {
  return { rounds: 10, proposed: 0, accepted: 0, committed, draftPasses, targetStates };
}

Deno.test("expected speed is a round's tokens by its measured time", () => {
  // The target alone.
  assertEquals(expectedSpeed(rounds(10, 0, 10), COST, 1), 1);
  // Two passes of the draft and three states: 18 ms for three tokens.
  assertAlmostEquals(expectedSpeed(rounds(30, 20, 30), COST, 1), 3 / 1.8, 1e-12);
  // Between the timed numbers of states, and beyond the last.
  assertAlmostEquals(expectedSpeed(rounds(10, 0, 20), COST, 1), 1 / 1.2, 1e-12);
  assertAlmostEquals(expectedSpeed(rounds(10, 0, 40), COST, 1), 1 / 2, 1e-12);
  assertAlmostEquals(expectedSpeed(rounds(10, 0, 60), COST, 1), 1 / 3.2, 1e-12);
  // The target alone commits two tokens a step.
  assertEquals(expectedSpeed(rounds(20, 0, 10), COST, 2), 1);
});

const compared = {
  draft: "thin",
  target: "wide",
  weights: "q8",
  data: ["a.jsonl"],
  examples: 2,
  response_length: 64,
  seed: 9,
  adapter: "some GPU",
};
const at = (token: number, confidence: number) => ({ token, confidence });

Deno.test("a report has shares of each ratio, null for a share of nothing, and no NaN", () => {
  const agreements = [
    [[at(1, 0.95)], [at(1, 0.5), at(2, 0.4)], []],
    [[at(3, 0.65)], [at(5, 0.99)], []],
  ].map((example) =>
    example.map((choices, i) =>
      countAgreement([0.3, 0.5, 0.7][i], [[at(1, 1), at(7, 1)]], [choices])
    )
  );
  const report = draftReport(agreements.map((one) => ({ agreements: one })), COST, compared);
  assertEquals(report.by_mask.map(({ agreement }) => agreement), [0.5, 1 / 3, null]);
  assertAlmostEquals(report.agreement!, (0.5 + 1 / 3) / 2, 1e-12);
  assertEquals([report.confident_correct, report.confident_share], [0.5, (0.5 + 1 / 3) / 2]);
  assertEquals(report.calibration.bins[9], {
    from: 0.9,
    to: 1,
    positions: 2,
    confidence: 0.97,
    agreement: 0.5,
  });
  assertEquals(report.acceptance, undefined);
  assert(!JSON.stringify(report).includes("NaN"));

  const page = draftMarkdown(report);
  assertStringIncludes(page, "# thin as a draft of wide\n\n2 examples of a.jsonl");
  assertStringIncludes(page, "| thin | 0.4167 | 0.5000 | 0.3333 | - | 0.5000 | 0.4167 |");
  assertStringIncludes(page, "costs 25.0 % of the target's in multiplications, 20.0 % in time");
  assertStringIncludes(draftTables(report), "│ 0.9 to 1.0 │ 2 ");

  const [measured, counts] = calibrationPanels(report);
  assertEquals(measured.curves[1].points.map(({ y }) => y), [0, 1, 0, 0.5]);
  assertEquals(counts.y.high, 4);
  assertEquals(layoutChart("thin", [measured, counts]).panels.length, 2);
});
