import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import {
  commitVerify,
  type CommitVerifyOptions,
} from "../../../src/denoise/strategies/commit_verify.ts";
import { canvasStep } from "../../../src/denoise/denoise.ts";
import {
  type Commit,
  type ForwardInput,
  NO_TOKEN,
  type Prediction,
} from "../../../src/denoise/predictor.ts";
import { ScheduleError } from "../../../src/denoise/schedule.ts";
import { selectCommits } from "../../../src/denoise/selection.ts";
import { decidedUpToEnd, newSequence, unconditionalIds } from "../../../src/denoise/sequence.ts";
import { drawArb, END, gather } from "../draw.ts";
import { MASK, ToyCanvasModel, ToyModel } from "../toy_model.ts";

const thresholdArb = fc.constantFrom(0, 0.1, 0.35, 0.6, 1);

const caseArb = fc.record({
  draw: drawArb,
  depth: fc.integer({ min: 1, max: 4 }),
  draftThreshold: thresholdArb,
  targetThreshold: thresholdArb,
  backThreshold: thresholdArb,
  rounds: fc.constantFrom(undefined, undefined, 1, 2),
  disagreement: fc.constantFrom(0, 0.4, 1),
}).map(({ draw: { sequence, options }, disagreement, ...rest }) => ({
  sequence,
  disagreement,
  options: {
    ...options,
    remasking: undefined,
    confidence: undefined,
    ...rest,
  } satisfies CommitVerifyOptions,
}));

type Case = typeof caseArb extends fc.Arbitrary<infer T> ? T : never;

/** A model that notes what it was asked and answered. */
class NotingModel extends ToyModel {
  readonly inputs: ForwardInput[] = [];
  readonly answers: Prediction[][] = [];

  override async predict(inputs: readonly ForwardInput[]): Promise<Prediction[][]> {
    const answers = await super.predict(inputs);
    this.inputs.push(...inputs);
    this.answers.push(...answers);
    return answers;
  }
}

const plain = {
  blockLength: 4,
  steps: 12,
  seeds: [1],
  eosToken: END,
  endTokens: [END],
  stopAtEnd: false,
  depth: 3,
  draftThreshold: 0.5,
  targetThreshold: 0.5,
  backThreshold: 0.3,
} as const satisfies CommitVerifyOptions;

const draftOf = ({ disagreement }: Case) => ({ disagreement, salt: 3 });

Deno.test("a round follows its definition, guess by guess and verdict by verdict", async () => {
  const seen = { agreed: 0, tolerated: 0, taken: 0, remasked: 0, alone: 0 };
  await fc.assert(
    fc.asyncProperty(caseArb, async (drawn) => {
      const { sequence, options } = drawn;
      const { depth, blockLength, rounds = Infinity, stopAtEnd, endTokens } = options;
      const { draftThreshold, targetThreshold, backThreshold, cfgScale = 0 } = options;
      const target = new NotingModel();
      const draft = new ToyModel(draftOf(drawn));
      const { steps, result } = await gather(commitVerify(sequence, target, draft, options));
      const { promptLength, attentionMask } = sequence;
      const twin = unconditionalIds(sequence);
      let ids = sequence.ids;
      let drafts = 0;
      const roundsOf = new Map<number, number>();
      steps.forEach((at, i) => {
        assertEquals([at.step, at.nfe], [i, i + 1]);
        const first = promptLength + at.block * blockLength;
        const masks = (ids: Uint32Array) =>
          Uint32Array.from(ids.keys())
            .filter((p) => p >= first && p < first + blockLength && ids[p] === MASK);
        const open = masks(ids);
        const blockEnd = (at.block + 1) * blockLength;
        const planned = { block: at.block, blockEnd, commits: 1 };
        const { choices: [choice] } = canvasStep(planned, i, promptLength, options);
        const asked = (ids: Uint32Array, positions: Uint32Array): ForwardInput => ({
          ids,
          attentionMask,
          positions,
          guidance: cfgScale === 0 ? undefined : {
            scale: cfgScale,
            unconditionalIds: twin.map((own, p) =>
              own === MASK && p >= promptLength ? ids[p] : own
            ),
          },
          choice,
        });

        // The draft's steps, in a state of its own.
        const round = roundsOf.get(at.block) ?? 0;
        roundsOf.set(at.block, round + 1);
        let ahead = ids;
        const guesses: Commit[] = [];
        for (let j = 0; j < depth && round < rounds && open.length > 1; j++) {
          const positions = masks(ahead);
          if (positions.length === 0) break;
          const answers = draft.answer(asked(ahead, positions));
          const ranking = { remasking: "low_confidence", seed: 0, step: 0 } as const;
          const rule = { kind: "threshold", threshold: draftThreshold } as const;
          const commits = selectCommits(answers, blockLength, ranking, rule);
          if (!commits.some(({ confidence }) => confidence >= draftThreshold)) {
            drafts++;
            break;
          }
          for (const { position, token } of commits) ahead = ahead.with(position, token);
          guesses.push(...commits);
          drafts++;
        }
        guesses.sort((a, b) => a.position - b.position);
        assertEquals(at.proposed, guesses);

        // The target's pass.
        const guessed = (p: number) => ahead[p] !== MASK;
        assertEquals(target.inputs[i], {
          ...asked(ahead, open),
          shadows: open.filter(guessed),
          judged: open.map((p) => guessed(p) ? ahead[p] : NO_TOKEN),
        });

        // Its verdicts.
        const expected: [number, number, number][] = [];
        const undecided: Prediction[] = [];
        for (const answer of target.answers[i]) {
          const { position, token, confidence, judgedConfidence } = answer;
          const guess = ahead[position];
          if (guess === token) {
            expected.push([position, token, confidence]);
            seen.agreed++;
          } else if (guessed(position) && judgedConfidence! >= backThreshold) {
            expected.push([position, guess, judgedConfidence!]);
            seen.tolerated++;
          } else if (guessed(position) && confidence >= targetThreshold) {
            expected.push([position, token, confidence]);
            seen.taken++;
          } else undecided.push(answer);
        }
        const least = Math.min(...undecided.map(({ oddsAgainst }) => Math.fround(oddsAgainst)));
        const surest = undecided.find((one) => Math.fround(one.oddsAgainst) === least);
        if (surest) expected.push([surest.position, surest.token, surest.confidence]);
        expected.sort((a, b) => a[0] - b[0]);
        const [commits] = at.commits;
        assertEquals(
          commits.map(({ position, token, confidence }) => [position, token, confidence]),
          expected,
        );
        for (const { confidence, logProbability } of commits) {
          assert(Math.abs(Math.exp(logProbability) - confidence) < 1e-6);
        }
        assert(commits.length > 0, "a round decided nothing");
        const back = undecided.filter((one) => one !== surest && guessed(one.position));
        assertEquals(at.remasked, back.map(({ position }) => position));
        const stays = ({ position, token }: Commit) =>
          commits.some((commit) => commit.position === position && commit.token === token);
        assertEquals(at.rejected, guesses.filter((guess) => !stays(guess)));
        assertEquals(
          [result.proposed[i], result.accepted[i]],
          [guesses.length, guesses.filter(stays).length],
        );
        seen.remasked += back.length;
        if (guesses.length === 0) {
          assertEquals(commits.length, 1);
          seen.alone++;
        }
        for (const { position, token } of commits) {
          assertEquals(ids[position], MASK);
          ids = ids.with(position, token);
        }
      });
      assertEquals(result.sequence.ids, ids);
      assertEquals([result.targetForwards, result.targetStates], [steps.length, steps.length]);
      assertEquals([result.draftForwards, draft.batches.length], [drafts, drafts]);
      assertEquals([result.idleForwards, result.readbacks], [0, steps.length + drafts]);
      if (!ids.subarray(promptLength).includes(MASK)) return;
      assert(stopAtEnd && decidedUpToEnd(result.sequence, endTokens));
    }),
    { numRuns: 400 },
  );
  for (const [verdict, count] of Object.entries(seen)) assert(count > 0, `nothing was ${verdict}`);
});

Deno.test("a draft on a canvas gives what a draft without one gives", async () => {
  let idle = 0;
  await fc.assert(
    fc.asyncProperty(caseArb, async (drawn) => {
      const { sequence, options } = drawn;
      const draft = new ToyModel(draftOf(drawn));
      const canvas = new ToyCanvasModel(draftOf(drawn));
      const single = await gather(commitVerify(sequence, new ToyModel(), draft, options));
      const chained = await gather(commitVerify(sequence, new ToyModel(), canvas, options));
      assertEquals(chained.steps, single.steps);
      const { readbacks: _, ...expected } = single.result;
      const { readbacks, idleForwards, ...counts } = chained.result;
      assertEquals({ ...counts, idleForwards: 0 }, expected);
      assertEquals(readbacks, counts.targetForwards + canvas.runs.length);
      assertEquals(canvas.steps.length, counts.draftForwards + idleForwards);
      assertEquals([canvas.opened, canvas.destroyed, canvas.batches], [1, 1, []]);
      idle += idleForwards;
    }),
    { numRuns: 150 },
  );
  assert(idle > 0, "no chunk ran past the end of its block");
});

/** Its token depends on the position only, its confidence on nothing. */
class Settled extends ToyModel {
  constructor(readonly shift = 0) {
    super();
  }

  override answer(input: ForwardInput): Prediction[] {
    return super.answer(input).map((prediction) => ({
      ...prediction,
      token: (prediction.position + this.shift) % END,
      oddsAgainst: 1,
      uncertainty: 1,
      confidence: 0.5,
      logProbability: Math.log(0.5),
      ...prediction.judgedConfidence !== undefined && { judgedConfidence: 0.2 },
    }));
  }
}

Deno.test("a perfect draft is accepted whole; an adversarial one costs a round a position", async () => {
  const sequence = newSequence([1, 4], 12, MASK);
  const run = (draft: ToyModel, change: Partial<CommitVerifyOptions> = {}) =>
    gather(commitVerify(sequence, new Settled(), draft, { ...plain, depth: 4, ...change }));
  const tokens = Uint32Array.of(1, 4, ...Array.from({ length: 12 }, (_, i) => (i + 2) % END));

  const perfect = await run(new Settled());
  assertEquals(perfect.result.accepted, perfect.result.proposed);
  assertEquals([perfect.steps.length, perfect.result.draftForwards], [3, 3]);
  // Never sure enough, it guesses nothing: a round a position, the last of a block without it.
  const timid = await run(new Settled(), { draftThreshold: 0.9 });
  assertEquals([timid.steps.length, timid.result.draftForwards], [12, 9]);
  assertEquals(timid.result.proposed, new Array(12).fill(0));

  const wrong = await run(new Settled(1), { targetThreshold: 0.9 });
  assertEquals(wrong.steps.map(({ commits: [row] }) => row.length), new Array(12).fill(1));
  assertEquals(wrong.result.accepted, new Array(12).fill(0));
  assertEquals(wrong.steps[0].remasked?.length, 3);
  const corrected = await run(new Settled(1), { targetThreshold: 0.5 });
  assertEquals(corrected.steps.length, 3);
  const trusted = await run(new Settled(1), { backThreshold: 0.2 });
  assertEquals(trusted.result.accepted, [4, 4, 4]);

  for (const { result } of [perfect, timid, wrong, corrected]) {
    assertEquals(result.sequence.ids, tokens);
  }
});

Deno.test("behind its rounds the target finishes a block alone", async () => {
  const sequence = newSequence([1, 4], 12, MASK);
  const draft = new Settled(1);
  const options = { ...plain, targetThreshold: 1, rounds: 2 };
  const { steps, result } = await gather(commitVerify(sequence, new Settled(), draft, options));
  assertEquals(
    steps.map(({ block, proposed }) => [block, proposed!.length > 0]),
    [0, 1, 2].flatMap((block) => [true, true, false, false].map((drafted) => [block, drafted])),
  );
  assertEquals(result.draftForwards, draft.batches.length);
});

Deno.test("the draft's cache is refreshed at a block's first step, or at every interval", async () => {
  const sequence = newSequence([1, 4], 12, MASK);
  const run = async (change: Partial<CommitVerifyOptions>) => {
    const draft = new ToyCanvasModel({ disagreement: 1 });
    const options = { ...plain, depth: 2, draftThreshold: 1, targetThreshold: 1, ...change };
    await gather(commitVerify(sequence, new ToyModel(), draft, options));
    return draft.steps.map(({ cache, blockStart, blockEnd }) => ({ cache, blockStart, blockEnd }));
  };
  for (const { cache } of await run({})) assertEquals(cache, undefined);
  for (const [policy, end] of [["prefix", () => 14], ["dual", (end: number) => end]] as const) {
    for (const refreshInterval of [undefined, 1, 3]) {
      const steps = await run({ cache: policy, refreshInterval });
      let inBlock = 0;
      steps.forEach(({ cache, blockStart, blockEnd }, i) => {
        inBlock = blockStart === steps[i - 1]?.blockStart ? inBlock + 1 : 0;
        const refresh = inBlock % (refreshInterval ?? Infinity) === 0;
        assertEquals(cache, refresh ? "refresh" : { first: blockStart, end: end(blockEnd) });
      });
      assert(steps.length > 9, "no block took more than a round");
    }
  }
});

Deno.test("models that choose the mask come to an end", async () => {
  const sequence = newSequence([1], 8, MASK);
  class Stubborn extends ToyModel {
    override answer(input: ForwardInput): Prediction[] {
      return super.answer(input).map((prediction) => ({ ...prediction, token: MASK }));
    }
  }
  const stubborn = new Stubborn();
  const { steps, result } = await gather(commitVerify(sequence, stubborn, stubborn, plain));
  assertEquals(steps.map(({ block }) => block), [0, 1]);
  assertEquals(result.sequence.ids, sequence.ids);
  await fc.assert(fc.asyncProperty(caseArb, async (drawn) => {
    const target = new ToyModel({ choosesMask: true });
    const draft = new ToyCanvasModel({ choosesMask: true, ...draftOf(drawn) });
    const { steps } = await gather(commitVerify(drawn.sequence, target, draft, drawn.options));
    for (const { proposed, remasked, commits: [commits] } of steps) {
      assert(proposed!.every(({ token }) => token !== MASK));
      const decided = commits.filter(({ token }) => token !== MASK);
      assert(decided.every(({ position }) => !remasked!.includes(position)));
    }
  }));
});

Deno.test("what makes no sense is refused by name before a model is asked", async () => {
  const sequence = newSequence([1], 8, MASK);
  const model = new ToyCanvasModel();
  const bad: [Partial<CommitVerifyOptions>, string][] = [
    [{ draftThreshold: -0.1 }, "draftThreshold is -0.1"],
    [{ targetThreshold: 1.5 }, "targetThreshold is 1.5"],
    [{ backThreshold: NaN }, "backThreshold is NaN"],
    [{ depth: 0 }, "depth is 0"],
    [{ rounds: 0.5 }, "rounds is 0.5"],
    [{ refreshInterval: 0 }, "refreshInterval is 0"],
    [{ remasking: "random" }, "goes by confidence"],
    [{ confidence: "margin" }, "confidence is margin: this strategy compares probabilities"],
    [{ seeds: [] }, "seeds has 0 entries"],
  ];
  for (const [change, message] of bad) {
    const stream = commitVerify(sequence, model, model, { ...plain, ...change });
    await assertRejects(() => stream.next(), RangeError, message);
  }
  const uneven = commitVerify(sequence, model, model, { ...plain, blockLength: 3 });
  await assertRejects(() => uneven.next(), ScheduleError, "genLength is 8");
  const signal = AbortSignal.abort(new Error("too late"));
  const late = commitVerify(sequence, model, model, { ...plain, signal });
  await assertRejects(() => late.next(), Error, "too late");
  assertEquals([model.batches, model.opened], [[], 0]);
});

Deno.test("a signal, a reader that leaves, or `finished` ends it, and the canvas is freed", async () => {
  const sequence = newSequence([1], 12, MASK);
  const draft = new ToyCanvasModel({ disagreement: 0.3 });
  const controller = new AbortController();
  const { signal } = controller;
  const stream = commitVerify(sequence, new ToyModel(), draft, { ...plain, signal });
  await stream.next();
  controller.abort(new Error("enough"));
  await assertRejects(() => stream.next(), Error, "enough");
  for await (const _ of commitVerify(sequence, new ToyModel(), draft, plain)) break;
  let asked = 0;
  const finished = () => ++asked > 3;
  const cut = await gather(
    commitVerify(sequence, new ToyModel(), draft, { ...plain, finished }),
  );
  const full = await gather(commitVerify(sequence, new ToyModel(), draft, plain));
  assert(cut.steps.length < full.steps.length);
  assertEquals(cut.steps, full.steps.slice(0, cut.steps.length));
  assertEquals([draft.opened, draft.destroyed], [4, 4]);
});
