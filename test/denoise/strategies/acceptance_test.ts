import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  type AcceptanceTally,
  type JudgedProposal,
  judgeProposals,
  mergeTallies,
  NO_ACCEPTANCE,
  recordProposals,
} from "../../../src/denoise/strategies/acceptance.ts";
import type { Commit } from "../../../src/denoise/predictor.ts";
import { newSequence } from "../../../src/denoise/sequence.ts";
import { MASK } from "../toy_model.ts";

const judgedArb: fc.Arbitrary<JudgedProposal[]> = fc.array(fc.record({
  depth: fc.integer({ min: 1, max: 5 }),
  maskRatio: fc.integer({ min: 1, max: 20 }).map((masked) => masked / 20),
  position: fc.nat(12),
  accepted: fc.boolean(),
}));

const sum = (counts: AcceptanceTally["byDepth"], of: "proposed" | "accepted") =>
  counts.reduce((total, count) => total + count[of], 0);

Deno.test("every proposal counts once by depth, by mask ratio and by position", () => {
  fc.assert(fc.property(judgedArb, (judged) => {
    const tally = recordProposals(NO_ACCEPTANCE, judged);
    const { byDepth, byMaskRatio, byPosition } = tally;
    assertEquals(byMaskRatio.length, 10);
    for (const counts of [byDepth, byMaskRatio, byPosition]) {
      assertEquals(sum(counts, "proposed"), judged.length);
      assertEquals(sum(counts, "accepted"), judged.filter(({ accepted }) => accepted).length);
    }
    const matching = (wanted: (one: JudgedProposal) => boolean) => {
      const found = judged.filter(wanted);
      return {
        proposed: found.length,
        accepted: found.filter(({ accepted }) => accepted).length,
      };
    };
    byDepth.forEach((count, i) => assertEquals(count, matching(({ depth }) => depth === i + 1)));
    byPosition.forEach((count, i) =>
      assertEquals(count, matching(({ position }) => position === i))
    );
    byMaskRatio.forEach((count, i) => {
      const inBin = ({ maskRatio }: JudgedProposal) =>
        maskRatio >= i / 10 && (maskRatio < (i + 1) / 10 || i === 9);
      assertEquals(count, matching(inBin));
    });
    // The last entry of the lists that grow is one that was proposed.
    for (const counts of [byDepth, byPosition]) assert((counts.at(-1)?.proposed ?? 1) > 0);
  }));
});

Deno.test("tallies merge into that of all their proposals", () => {
  fc.assert(fc.property(judgedArb, judgedArb, (first, second) => {
    const a = recordProposals(NO_ACCEPTANCE, first);
    const b = recordProposals(NO_ACCEPTANCE, second);
    assertEquals(mergeTallies(a, b), recordProposals(NO_ACCEPTANCE, [...first, ...second]));
    assertEquals(recordProposals(a, second), mergeTallies(a, b));
    assertEquals(mergeTallies(a, NO_ACCEPTANCE), a);
  }));
});

Deno.test("a proposal is judged by the target's commits, the prompt's masks left out", () => {
  const start = newSequence([1, MASK], 4, MASK);
  const state = { ...start, ids: Uint32Array.of(1, MASK, 7, MASK, MASK, MASK) };
  const commit = (position: number, token: number): Commit => ({
    position,
    token,
    confidence: 0.5,
    logProbability: Math.log(0.5),
  });
  const proposals = [commit(1, 5), commit(3, 5), commit(4, 6), commit(5, 6)];
  const own = [commit(1, 5), commit(3, 5), commit(4, 5)];
  const judged = { depth: 2, maskRatio: 0.75 };
  assertEquals(judgeProposals(state, 2, proposals, own), [
    { ...judged, position: 1, accepted: true },
    { ...judged, position: 2, accepted: false },
    { ...judged, position: 3, accepted: false },
  ]);
  assertEquals(judgeProposals(state, 1, [], own), []);
});
