import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import type { Prediction } from "../../../src/denoise/predictor.ts";
import { gate, type GateOptions } from "../../../src/denoise/strategies/gate.ts";
import { ScheduleError } from "../../../src/denoise/schedule.ts";
import { decidedUpToEnd, newSequence } from "../../../src/denoise/sequence.ts";
import { drawArb, END, gather } from "../draw.ts";
import { MASK, ToyModel, VOCABULARY } from "../toy_model.ts";

const thresholdArb = fc.constantFrom(0, 0.1, 0.35, 0.6, 1);

const caseArb = fc.record({
  draw: drawArb,
  draftThreshold: thresholdArb,
  targetThreshold: thresholdArb,
  disagreement: fc.constantFrom(0, 0.4, 1),
  rounds: fc.constantFrom(undefined, undefined, 1, 2),
}).map(({ draw: { sequence, options }, disagreement, ...rest }) => ({
  sequence,
  disagreement,
  options: {
    ...options,
    confidence: undefined,
    remasking: undefined,
    cfgScale: 0,
    ...rest,
  } satisfies GateOptions,
}));

/** A model that notes its answers. */
class NotingModel extends ToyModel {
  readonly answers: Prediction[][] = [];

  override async predict(inputs: Parameters<ToyModel["predict"]>[0]): Promise<Prediction[][]> {
    const answers = await super.predict(inputs);
    assertEquals(inputs.length, 1);
    this.answers.push(...answers);
    return answers;
  }
}

Deno.test("what is committed is agreed on and sure enough, or the target's surest", async () => {
  let agreed = 0;
  await fc.assert(
    fc.asyncProperty(caseArb, async ({ sequence, options, disagreement }) => {
      const { draftThreshold, targetThreshold, blockLength, stopAtEnd, endTokens } = options;
      const { rounds = Infinity } = options;
      const target = new NotingModel();
      const draft = new NotingModel({ disagreement, salt: 3 });
      const { steps, result } = await gather(gate(sequence, target, draft, options));
      assertEquals(target.answers.length, steps.length);
      const inBlock = (i: number) =>
        steps.slice(0, i).filter(({ block }) => block === steps[i].block).length;
      const judged = steps.filter((_, i) => inBlock(i) < rounds).length;
      assertEquals(draft.answers.length, judged);
      let drafts = 0;
      const { promptLength, attentionMask } = sequence;
      const ids = sequence.ids.slice();
      const byPosition = { proposed: ids.map(() => 0), accepted: ids.map(() => 0) };
      steps.forEach(({ step, block, nfe, commits: [commits] }, i) => {
        assertEquals([step, nfe], [i, i + 1]);
        const end = promptLength + (block + 1) * blockLength;
        // Both were asked about the very same state: every mask up to the end of the block.
        const positions = [...ids.keys()]
          .filter((at) => at < end && ids[at] === MASK && attentionMask?.[at] !== 0);
        const own = target.answers[i];
        const drafted = inBlock(i) < rounds ? draft.answers[drafts++] : undefined;
        for (const answers of drafted ? [own, drafted] : [own]) {
          assertEquals(answers.map(({ position }) => position), positions);
        }
        const least = Math.min(...own.map(({ oddsAgainst }) => Math.fround(oddsAgainst)));
        const surest = own.find(({ oddsAgainst }) => Math.fround(oddsAgainst) === least)!;
        const expected = own.filter((answer, j) =>
          answer === surest ||
          drafted && answer.token === drafted[j].token && answer.confidence >= targetThreshold &&
            drafted[j].confidence >= draftThreshold
        );
        assertEquals(
          commits.map(({ position, token, confidence }) => [position, token, confidence]),
          expected.map(({ position, token, confidence }) => [position, token, confidence]),
        );
        const sure = drafted?.filter(({ confidence }) => confidence >= draftThreshold) ?? [];
        const taken = sure.filter(({ position, token }) =>
          commits.some((commit) => commit.position === position && commit.token === token)
        );
        assertEquals([result.proposed[i], result.accepted[i]], [sure.length, taken.length]);
        for (const { position } of sure) {
          if (position < promptLength) continue;
          byPosition.proposed[position - promptLength]++;
          if (taken.some((one) => one.position === position)) {
            byPosition.accepted[position - promptLength]++;
          }
        }
        agreed += commits.length - 1;
        for (const { position, token } of commits) ids[position] = token;
      });
      assertEquals(result.sequence.ids, ids);
      const { acceptance, targetForwards, targetStates, draftForwards, readbacks } = result;
      assertEquals([targetForwards, targetStates], [steps.length, steps.length]);
      assertEquals([draftForwards, readbacks], [judged, steps.length + judged]);
      assert(acceptance.byDepth.length <= 1);
      for (const [position, count] of acceptance.byPosition.entries()) {
        const { proposed, accepted } = byPosition;
        assertEquals(count, { proposed: proposed[position], accepted: accepted[position] });
      }
      const shown = ids.filter((_, at) => attentionMask?.[at] !== 0);
      if (!stopAtEnd) assert(!shown.includes(MASK));
      else assert(!shown.includes(MASK) || decidedUpToEnd(result.sequence, endTokens));
    }),
    { numRuns: 250 },
  );
  assert(agreed > 0);
});

Deno.test("each committed token is the target's largest logit at that state", async () => {
  const sequence = newSequence([1, 4], 12, MASK);
  const target = new NotingModel();
  const { steps } = await gather(gate(sequence, target, new ToyModel({ disagreement: 0.3 }), {
    ...plain,
    draftThreshold: 0,
    targetThreshold: 0,
  }));
  let ids = sequence.ids;
  for (const { block, commits: [commits] } of steps) {
    for (const { position, token } of commits) {
      const [answer] = target.answer({
        ids,
        positions: Uint32Array.of(position),
        choice: { temperature: 0, seed: 0, step: 0, bannedTokens: [], unconfidentTokens: [] },
      });
      assertEquals(token, answer.token);
      assert(token < VOCABULARY && position < 2 + 4 * (block + 1));
    }
    ids = ids.slice();
    for (const { position, token } of commits) ids[position] = token;
  }
  assert(steps.length < 12, "no step committed more than one");
});

const plain = {
  blockLength: 4,
  steps: 12,
  seeds: [1],
  eosToken: END,
  endTokens: [END],
  stopAtEnd: false,
  draftThreshold: 0.5,
  targetThreshold: 0.5,
} as const satisfies GateOptions;

Deno.test("models of one mind finish a block at once, a draft that is never sure one by one", async () => {
  const sequence = newSequence([1, 4], 12, MASK);
  const run = async (change: Partial<GateOptions>) =>
    (await gather(gate(sequence, new ToyModel(), new ToyModel(), { ...plain, ...change }))).steps;
  assertEquals((await run({ draftThreshold: 0, targetThreshold: 0 })).length, 3);
  assertEquals((await run({ draftThreshold: 1 })).length, 12);
  assertEquals((await run({ targetThreshold: 1 })).length, 12);
});

Deno.test("models that agree on the mask come to an end", async () => {
  const sequence = newSequence([1], 8, MASK);
  class Stubborn extends ToyModel {
    override answer(input: Parameters<ToyModel["answer"]>[0]): Prediction[] {
      return super.answer(input).map((prediction) => ({ ...prediction, token: MASK }));
    }
  }
  const { steps, result } = await gather(gate(sequence, new Stubborn(), new Stubborn(), plain));
  assertEquals(steps.map(({ block }) => block), [0, 1]);
  assertEquals(result.sequence.ids, sequence.ids);
  await fc.assert(fc.asyncProperty(caseArb, async (drawn) => {
    const toy = new ToyModel({ choosesMask: true });
    await gather(gate(drawn.sequence, toy, toy, drawn.options));
  }));
});

Deno.test("what makes no sense is refused by name before a model is asked", async () => {
  const sequence = newSequence([1], 8, MASK);
  const model = new ToyModel();
  const bad: [Partial<GateOptions>, string][] = [
    [{ draftThreshold: -0.1 }, "draftThreshold is -0.1"],
    [{ draftThreshold: NaN }, "draftThreshold is NaN"],
    [{ targetThreshold: 1.5 }, "targetThreshold is 1.5"],
    [{ rounds: 0 }, "rounds is 0"],
    [{ confidence: "margin" }, "confidence is margin: this strategy compares probabilities"],
    [{ remasking: "random" }, "this strategy goes by confidence, remasking random by noise"],
    [{ seeds: [] }, "seeds has 0 entries"],
  ];
  for (const [change, message] of bad) {
    const stream = gate(sequence, model, model, { ...plain, ...change });
    await assertRejects(() => stream.next(), RangeError, message);
  }
  const uneven = gate(sequence, model, model, { ...plain, blockLength: 3 });
  await assertRejects(() => uneven.next(), ScheduleError, "genLength is 8");
  const signal = AbortSignal.abort(new Error("too late"));
  const late = gate(sequence, model, model, { ...plain, signal });
  await assertRejects(() => late.next(), Error, "too late");
  assertEquals(model.batches, []);
});
