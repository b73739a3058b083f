/** Proposals where blocks are repeated: with a cache, and with suffixes left out. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import type { PassOptions } from "../../../src/denoise/strategies/block_steps.ts";
import { denoiseBlocks } from "../../../src/denoise/strategies/blocks.ts";
import type { DenoiseStep } from "../../../src/denoise/denoise_step.ts";
import {
  lossless,
  type ProposalOptions,
  selfDraft,
} from "../../../src/denoise/strategies/draft_verify.ts";
import { newSequence } from "../../../src/denoise/sequence.ts";
import { drawArb, END, gather } from "../draw.ts";
import { MASK, ToyCanvasModel, ToyModel, type ToyOptions } from "../toy_model.ts";

const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0);

const withoutCost = (steps: readonly DenoiseStep[]) =>
  steps.map(({ step, block, commits }) => ({ step, block, commits }));

const passesArb: fc.Arbitrary<Pick<PassOptions, "cache" | "refreshInterval" | "suffixWindow">> = fc
  .record({
    cache: fc.constantFrom("prefix", "dual", "none"),
    refreshInterval: fc.constantFrom(undefined, undefined, 1, 2, 3),
    suffixWindow: fc.constantFrom(undefined, undefined, 0, 3),
  });

const caseArb = fc.record({
  draw: drawArb,
  passes: passesArb,
  depth: fc.integer({ min: 1, max: 5 }),
  rounds: fc.constantFrom(undefined, undefined, 1, 2),
  target: fc.record({
    sharpness: fc.constantFrom(0.3, 1),
    choosesMask: fc.constantFrom(false, false, false, true),
  }),
}).map(({ draw: { sequence, options }, passes, ...rest }) => ({
  sequence,
  options: { ...options, ...passes },
  ...rest,
}));

/** Without a cache and a window the plain schedule holds, which leaves a block that chose masks. */
const repeats = ({ cache, suffixWindow }: PassOptions) =>
  cache !== "none" || suffixWindow !== undefined;

const DRAFTS: Readonly<Record<string, (target: ToyOptions) => ToyOptions>> = {
  "a draft that agrees now and then": (target) => ({ ...target, disagreement: 0.15, salt: 5 }),
  "an adversarial draft": (target) => ({ ...target, disagreement: 1, salt: 9 }),
  "the target as its own draft": (target) => target,
};

for (const [name, draftOf] of [...Object.entries(DRAFTS), ["self", undefined] as const]) {
  Deno.test(`${name}: the commits of plain under the same cache policy, and their order`, async () => {
    let kept = 0;
    let proposals = 0;
    let stale = 0;
    await fc.assert(
      fc.asyncProperty(caseArb, async ({ sequence, options, depth, rounds, target }) => {
        fc.pre(repeats(options));
        const rule = { kind: "count" } as const;
        const plain = new ToyCanvasModel(target);
        const expected = await gather(denoiseBlocks(sequence, plain, { ...options, rule }));
        const uncached = await gather(
          denoiseBlocks(sequence, new ToyModel(target), { ...options, rule, cache: "none" }),
        );
        const texts = [uncached, expected].map(({ result }) => String(result.sequences[0].ids));
        if (texts[0] !== texts[1]) stale++;
        const proposing: ProposalOptions = { ...options, depth, rounds };
        const drafts = draftOf
          ? [new ToyCanvasModel(draftOf(target)), new ToyModel(draftOf(target))]
          : [undefined];
        for (const draft of drafts) {
          const model = new ToyCanvasModel(target);
          const found = await gather(
            draft
              ? lossless(sequence, model, draft, proposing)
              : selfDraft(sequence, model, proposing),
          );
          assertEquals(withoutCost(found.steps), withoutCost(expected.steps));
          assertEquals(found.result.sequence, expected.result.sequences[0]);
          const { targetForwards, targetStates, proposed, accepted, acceptance } = found.result;
          assertEquals([model.batches.length, total(model.batches)], [
            targetForwards,
            targetStates,
          ]);
          accepted.forEach((count, i) => assert(count <= proposed[i] && proposed[i] <= depth));
          const canvases = options.cache === "none" || found.steps.length === 0 ? 0 : 1;
          assertEquals([model.opened, model.destroyed], [canvases, canvases]);
          if (draft instanceof ToyCanvasModel) {
            assertEquals([draft.opened, draft.destroyed], [1, 1]);
          }
          if (!options.stopAtEnd) {
            assertEquals(total(accepted) + accepted.length, found.steps.length);
          }
          // Up to the first refusal of a round.
          const judged = total(acceptance.byPosition.map((count) => count.proposed));
          assert(judged <= total(proposed) * options.blockLength);
          kept += total(accepted);
          proposals += total(proposed);
        }
      }),
      { numRuns: 300 },
    );
    assert(kept > 0 && stale > 0);
    if (name !== "the target as its own draft") assert(kept < proposals);
  });
}

Deno.test("rounds end at a refresh and with the block", async () => {
  const sequence = newSequence([1, 2], 16, MASK);
  const target = new ToyCanvasModel();
  const draft = new ToyCanvasModel();
  const options: ProposalOptions = {
    blockLength: 8,
    steps: 16,
    seeds: [1],
    eosToken: END,
    endTokens: [END],
    stopAtEnd: false,
    cache: "dual",
    refreshInterval: 4,
    depth: 9,
  };
  const { result } = await gather(lossless(sequence, target, draft, options));
  // Every fourth step of a block refreshes, alone; a round covers what lies between two of them.
  let step = 0;
  for (const [round, count] of result.proposed.entries()) {
    assertEquals(count, step % 4 === 0 ? 0 : 3 - step % 4);
    assertEquals(target.batches[round], count + 1);
    step += result.accepted[round] + 1;
  }
  assertEquals(step, 16);
  // The draft refreshes when it is first asked behind a refresh of the target's, and never else.
  const refreshes = draft.steps.filter(({ cache }) => cache === "refresh");
  assertEquals(refreshes.map(({ choices: [{ step }] }) => step), [1, 5, 9, 13]);
  const parts = draft.steps.filter(({ cache }) => cache !== "refresh").map(({ cache }) => cache);
  assertEquals(parts[0], { first: 2, end: 10 });
  const alone = new ToyCanvasModel({ sharpness: 3 });
  const self = await gather(selfDraft(sequence, alone, options));
  // A refresh is a pass of its own; its predictions start a round.
  assertEquals(alone.batches.slice(0, 2), [1, 3]);
  assert(self.result.proposed.every((count) => count <= 3));
});

Deno.test("a cache needs a target that keeps it, and options in range", async () => {
  const sequence = newSequence([1], 8, MASK);
  const options: ProposalOptions = {
    blockLength: 4,
    steps: 8,
    seeds: [1],
    eosToken: END,
    endTokens: [END],
    stopAtEnd: false,
    depth: 2,
    cache: "dual",
  };
  const model = new ToyModel();
  const canvas = new ToyCanvasModel();
  const bad: [Partial<ProposalOptions>, ToyModel, string][] = [
    [{}, model, "keeps no keys and values: use cache none"],
    [{ refreshInterval: 0 }, canvas, "refreshInterval is 0"],
    [{ suffixWindow: -1 }, canvas, "suffixWindow is -1"],
    [{ cache: "triple" as "dual" }, canvas, "cache is triple: expected none, prefix, dual"],
  ];
  for (const [change, target, message] of bad) {
    const draft = new ToyCanvasModel();
    for (
      const run of [
        lossless(sequence, target, draft, { ...options, ...change }),
        selfDraft(sequence, target, { ...options, ...change }),
      ]
    ) {
      await assertRejects(() => run.next(), RangeError, message);
    }
    assertEquals([target.batches.length, draft.opened], [0, draft.destroyed]);
  }
  assertEquals(canvas.opened, canvas.destroyed);
});

Deno.test("a reader that leaves frees the canvases of target and draft", async () => {
  const sequence = newSequence([1], 8, MASK);
  const target = new ToyCanvasModel();
  const draft = new ToyCanvasModel();
  const options: ProposalOptions = {
    blockLength: 4,
    steps: 8,
    seeds: [1],
    eosToken: END,
    endTokens: [END],
    stopAtEnd: false,
    depth: 2,
    cache: "prefix",
  };
  for await (const _ of lossless(sequence, target, draft, options)) break;
  for await (const _ of selfDraft(sequence, target, options)) break;
  assertEquals([target.opened, target.destroyed], [2, 2]);
  assertEquals([draft.opened, draft.destroyed], [1, 1]);
});
