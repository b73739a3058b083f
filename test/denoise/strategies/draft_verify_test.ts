import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { denoise } from "../../../src/denoise/denoise.ts";
import type { DenoiseOptions, DenoiseStep } from "../../../src/denoise/denoise_step.ts";
import {
  lossless,
  type ProposalOptions,
  selfDraft,
} from "../../../src/denoise/strategies/draft_verify.ts";
import type { Predictor } from "../../../src/denoise/predictor.ts";
import type { ProposalResult } from "../../../src/denoise/strategies/proposal_run.ts";
import { ScheduleError } from "../../../src/denoise/schedule.ts";
import { newSequence, type Sequence } from "../../../src/denoise/sequence.ts";
import { drawArb, END, gather } from "../draw.ts";
import { MASK, ToyCanvasModel, ToyModel, type ToyOptions } from "../toy_model.ts";

const plain: DenoiseOptions = {
  blockLength: 4,
  steps: 8,
  seeds: [1],
  eosToken: END,
  endTokens: [END],
  stopAtEnd: false,
};

const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0);

const caseArb = fc.record({
  draw: drawArb,
  depth: fc.integer({ min: 1, max: 7 }),
  rounds: fc.constantFrom(undefined, undefined, 1, 2),
  target: fc.record({
    sharpness: fc.constantFrom(0.3, 1),
    choosesMask: fc.constantFrom(false, false, false, true),
  }),
});

type Case = typeof caseArb extends fc.Arbitrary<infer T> ? T : never;

/** Steps apart from the forward passes that they cost. */
const withoutCost = (steps: readonly DenoiseStep[]) =>
  steps.map(({ step, block, commits }) => ({ step, block, commits }));

/** Runs `propose` and holds it against the plain schedule, commits and confidences alike. */
async function assertPlain(
  { draw: { sequence, options }, target }: Case,
  propose: (target: ToyModel) => AsyncGenerator<DenoiseStep, ProposalResult, void>,
) {
  const expected = await gather(denoise([sequence], new ToyModel(target), options));
  const model = new ToyModel(target);
  const found = await gather(propose(model));
  assertEquals(withoutCost(found.steps), withoutCost(expected.steps));
  assertEquals(found.result.sequence, expected.result.sequences[0]);

  const { targetForwards, targetStates, proposed, accepted, readbacks } = found.result;
  assertEquals([model.batches.length, total(model.batches)], [targetForwards, targetStates]);
  assertEquals(proposed.length, accepted.length);
  accepted.forEach((count, round) => assert(count >= 0 && count <= proposed[round]));
  const covered = total(accepted) + accepted.length;
  // A stop may fall among a round's steps.
  if (found.steps.length === options.steps) assertEquals(covered, options.steps);
  else assert(options.stopAtEnd && covered >= found.steps.length);
  assert(readbacks >= targetForwards);
  for (const [i, { nfe }] of found.steps.entries()) {
    assert(nfe >= (found.steps[i - 1]?.nfe ?? 1) && nfe <= targetForwards);
  }
  return found;
}

const DRAFTS: Readonly<Record<string, (target: ToyOptions) => ToyOptions>> = {
  "a draft that agrees now and then": (target) => ({ ...target, disagreement: 0.15, salt: 5 }),
  "an adversarial draft": (target) => ({ ...target, disagreement: 1, salt: 9 }),
  "the target as its own draft": (target) => target,
};

for (const [name, draftOf] of Object.entries(DRAFTS)) {
  Deno.test(`lossless, ${name}: the plain schedule's commits, and counts that add up`, async () => {
    let proposals = 0;
    let kept = 0;
    await fc.assert(
      fc.asyncProperty(caseArb, async (drawn) => {
        const { draw: { sequence, options }, depth, rounds, target } = drawn;
        const draft = new ToyModel(draftOf(target));
        const canvas = new ToyCanvasModel(draftOf(target));
        const run = (proposer: Predictor) =>
          assertPlain(
            drawn,
            (model) => lossless(sequence, model, proposer, { ...options, depth, rounds }),
          );
        const { result } = await run(draft);
        const chained = await run(canvas);
        const { proposed, accepted, draftForwards, targetForwards, targetStates } = result;
        assertEquals(targetForwards, proposed.length);
        assertEquals(targetStates, total(proposed) + proposed.length);
        assertEquals(draftForwards, total(proposed));
        assertEquals(draft.batches.length, draftForwards);
        assert(proposed.every((count) => count <= depth));
        assertEquals(result.readbacks, targetForwards + draftForwards);

        // The draft's canvas proposes the same, with one readback a round.
        const drafting = proposed.filter((count) => count > 0).length;
        assertEquals(chained.result, { ...result, readbacks: targetForwards + drafting });
        assertEquals(canvas.runs, proposed.filter((count) => count > 0));
        assertEquals(canvas.batches, []);
        assertEquals([canvas.opened, canvas.destroyed], [1, 1]);
        if (draftOf(target) === target) assertEquals(accepted, proposed);
        proposals += total(proposed);
        kept += total(accepted);
      }),
      { numRuns: 250 },
    );
    assert(kept > 0 && proposals > 0);
    if (name.startsWith("a")) assert(kept < proposals, "every proposal was accepted");
  });
}

Deno.test("self: the plain schedule's commits, and counts that add up", async () => {
  let kept = 0;
  let refused = 0;
  await fc.assert(
    fc.asyncProperty(caseArb, async (drawn) => {
      const { draw: { sequence, options }, depth, rounds } = drawn;
      const { result } = await assertPlain(
        drawn,
        (model) => selfDraft(sequence, model, { ...options, depth, rounds }),
      );
      assertEquals(result.draftForwards, 0);
      assertEquals(result.readbacks, result.targetForwards);
      assert(result.proposed.every((count) => count < depth));
      // One pass at the start and one a round, unless nothing is left behind the round.
      const { length } = result.proposed;
      assert(result.targetForwards === length || result.targetForwards === length + 1);
      kept += total(result.accepted);
      refused += total(result.proposed) - total(result.accepted);
    }),
    { numRuns: 300 },
  );
  assert(kept > 0 && refused > 0);
});

Deno.test("a draft decides how many rounds, never what is committed", async () => {
  const sequence = newSequence([1, 2, 3], 16, MASK);
  const options = { ...plain, blockLength: 8, steps: 16, depth: 4 };
  const rounds = [];
  const texts = new Set<string>();
  for (const disagreement of [0, 0.1, 1]) {
    const draft = new ToyModel({ disagreement, salt: 1 });
    const { result } = await gather(lossless(sequence, new ToyModel(), draft, options));
    rounds.push(result.accepted.length);
    texts.add(String(result.sequence.ids));
  }
  assertEquals(texts.size, 1);
  // 16 steps, 5 a round, when all is accepted.
  assertEquals(rounds[0], 4);
  assert(rounds[0] < rounds[2] && rounds[1] <= rounds[2], `rounds ${rounds}`);
});

/** Rounds with proposals that begin in each block, of a run without a stop. */
function roundsByBlock({ proposed, accepted }: ProposalResult, steps: readonly DenoiseStep[]) {
  const rounds = new Map<number, number>();
  let step = 0;
  for (const [round, count] of proposed.entries()) {
    const { block } = steps[step];
    if (count > 0) rounds.set(block, (rounds.get(block) ?? 0) + 1);
    step += accepted[round] + 1;
  }
  assertEquals(step, steps.length);
  return rounds;
}

Deno.test("no block has more rounds with proposals than it may, and it has those", async () => {
  const sequence = newSequence([1, 2, 3], 24, MASK);
  const options = { ...plain, blockLength: 8, steps: 24, depth: 2 };
  for (const rounds of [1, 2, 3]) {
    const draft = new ToyModel({ disagreement: 0.1, salt: 1 });
    const runs = [
      lossless(sequence, new ToyModel(), draft, { ...options, rounds }),
      selfDraft(sequence, new ToyModel({ sharpness: 0.3 }), { ...options, rounds }),
    ];
    for (const run of runs) {
      const { steps, result } = await gather(run);
      const counts = [...roundsByBlock(result, steps).values()];
      assert(counts.every((count) => count <= rounds) && counts.includes(rounds), `${counts}`);
    }
  }
});

Deno.test("the tally counts what was judged: up to a round's first refusal, by state", async () => {
  const sequence = newSequence([1, 2, 3], 20, MASK);
  const options = { ...plain, blockLength: 10, steps: 20, depth: 4 };
  let refused = 0;
  for (const disagreement of [0, 0.1, 1]) {
    const draft = new ToyModel({ disagreement, salt: 1 });
    const runs = [
      lossless(sequence, new ToyModel(), draft, options),
      selfDraft(sequence, new ToyModel({ sharpness: 0.3 }), options),
    ];
    for (const [kind, run] of runs.entries()) {
      const { result: { proposed, accepted, acceptance } } = await gather(run);
      // One token a step: a round that begins at step t judges its steps t + 1, ... (self) or t, ...
      const byDepth: { proposed: number; accepted: number }[] = [];
      const byMaskRatio = Array.from({ length: 10 }, () => ({ proposed: 0, accepted: 0 }));
      let step = kind;
      proposed.forEach((count, round) => {
        for (let i = 0; i < Math.min(count, accepted[round] + 1); i++) {
          const masked = 20 - (step + i);
          const bin = byMaskRatio[Math.min(9, Math.floor(masked / 2))];
          const depth = byDepth[i] ??= { proposed: 0, accepted: 0 };
          for (const place of [bin, depth]) {
            place.proposed++;
            if (i < accepted[round]) place.accepted++;
          }
          if (i === accepted[round]) refused++;
        }
        step += accepted[round] + 1;
      });
      assertEquals(acceptance.byDepth, byDepth);
      assertEquals(acceptance.byMaskRatio, byMaskRatio);
      const positions = acceptance.byPosition.map((count) => count.proposed);
      assertEquals(total(positions), total(byDepth.map((count) => count.proposed)));
      assert(positions.length <= 20);
    }
  }
  assert(refused > 0);
});

type Start = (
  sequence: Sequence,
  target: Predictor,
  options: ProposalOptions,
) => AsyncGenerator<DenoiseStep, ProposalResult, void>;

const draft = new ToyCanvasModel({ disagreement: 0.3 });
const STARTS: Record<string, Start> = {
  lossless: (sequence, target, options) => lossless(sequence, target, draft, options),
  self: selfDraft,
};

for (const [name, start] of Object.entries(STARTS)) {
  Deno.test(`${name}: options out of range are refused before a model is asked`, async () => {
    const opened = draft.opened;
    const sequence = newSequence([1], 8, MASK);
    const bad: [Partial<ProposalOptions>, string][] = [
      [{ depth: 0 }, "depth is 0"],
      [{ depth: 1.5 }, "depth is 1.5"],
      [{ depth: NaN }, "depth is NaN"],
      [{ rounds: 0 }, "rounds is 0"],
      [{ rounds: 2.5 }, "rounds is 2.5"],
      [{ seeds: [] }, "seeds has 0 entries"],
      [{ temperature: -1 }, "temperature is -1"],
      [{ cfgScale: NaN }, "cfgScale is NaN"],
    ];
    const model = new ToyModel();
    for (const [change, message] of bad) {
      const stream = start(sequence, model, { ...plain, depth: 2, ...change });
      await assertRejects(() => stream.next(), RangeError, message);
    }
    const uneven = start(sequence, model, { ...plain, depth: 2, steps: 3 });
    await assertRejects(() => uneven.next(), ScheduleError, "steps is 3");
    assertEquals([model.batches.length, draft.opened], [0, opened]);
  });

  Deno.test(`${name}: a signal ends it with its reason, and the draft's canvas is freed`, async () => {
    const reason = new Error("enough");
    const controller = new AbortController();
    const sequence = newSequence([1], 8, MASK);
    const { signal } = controller;
    const stream = start(sequence, new ToyModel(), { ...plain, depth: 3, signal });
    await stream.next();
    controller.abort(reason);
    assertEquals(await assertRejects(() => stream.next()), reason);
    assertEquals((await stream.next()).done, true);
    const model = new ToyModel();
    const late = start(sequence, model, { ...plain, depth: 3, signal });
    assertEquals(await assertRejects(() => late.next()), reason);
    assertEquals(model.batches, []);
    for await (const _ of start(sequence, new ToyModel(), { ...plain, depth: 3 })) break;
    assertEquals(draft.destroyed, draft.opened);
  });

  Deno.test(`${name}: asked after every step, \`finished\` ends it`, async () => {
    const sequence = newSequence([1], 8, MASK);
    let asked = 0;
    const { steps } = await gather(start(sequence, new ToyModel(), {
      ...plain,
      depth: 5,
      finished: () => ++asked > 4,
    }));
    const full = await gather(start(sequence, new ToyModel(), { ...plain, depth: 5 }));
    assert(steps.length < full.steps.length);
    assertEquals(withoutCost(steps), withoutCost(full.steps.slice(0, steps.length)));
    const before = new ToyModel();
    const none = await gather(
      start(sequence, before, { ...plain, depth: 5, finished: () => true }),
    );
    assertEquals([none.steps, before.batches, none.result.sequence], [[], [], sequence]);
  });
}
