import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { type BlockOptions, denoiseBlocks } from "../../../src/denoise/strategies/blocks.ts";
import type { CachePolicy } from "../../../src/denoise/cache_plan.ts";
import { canvasStep } from "../../../src/denoise/denoise.ts";
import type { CanvasStep, Commit, Prediction, Predictor } from "../../../src/denoise/predictor.ts";
import { planSteps, ScheduleError } from "../../../src/denoise/schedule.ts";
import type { SelectionRule } from "../../../src/denoise/selection.ts";
import { decidedUpToEnd, newSequence, type Sequence } from "../../../src/denoise/sequence.ts";
import { comparable, drawArb, END, gather } from "../draw.ts";
import { MASK, ToyCanvasModel, ToyModel, VOCABULARY } from "../toy_model.ts";

const blocks: BlockOptions = {
  rule: { kind: "threshold", threshold: 0.4 },
  blockLength: 4,
  steps: 8,
  seeds: [1],
  eosToken: END,
  endTokens: [END],
  stopAtEnd: false,
};

const ruleArb: fc.Arbitrary<SelectionRule> = fc.oneof(
  fc.constant({ kind: "count" } as const),
  fc.constantFrom(0.05, 0.3, 0.6, 1).map((threshold) =>
    ({ kind: "threshold", threshold }) as const
  ),
  fc.constantFrom(0.5, 1, 2.2, 30).map((factor) => ({ kind: "factor", factor }) as const),
);

/** A draw of one sequence, and a rule that goes with its remasking. */
const caseArb = fc.record({ draw: drawArb, rule: ruleArb }).map(({ draw, rule }) => {
  const options: BlockOptions = { ...draw.options, rule };
  return {
    sequence: draw.sequence,
    options: rule.kind === "count" ? options : comparable(options),
  };
});

const masksIn = (ids: Uint32Array, first: number, end: number) =>
  ids.subarray(first, end).filter((id) => id === MASK).length;

/** Positions that the rule's definition commits, given the block's predictions. */
function positionsOf(predictions: readonly Prediction[], rule: SelectionRule): number[] {
  // Ties are those of f32; the sort leaves them by position.
  const key = ({ uncertainty }: Prediction) => Math.fround(uncertainty);
  const confidence = ({ uncertainty }: Prediction) => 1 / (1 + uncertainty);
  const ranked = predictions.toSorted((a, b) => Number(key(a) > key(b)) - Number(key(a) < key(b)));
  let passing = 1;
  if (rule.kind === "threshold") {
    passing = Math.max(1, ranked.filter((row) => confidence(row) >= rule.threshold).length);
  } else if (rule.kind === "factor") {
    const passes = (rank: number) => confidence(ranked[rank]) >= 1 - rule.factor / (rank + 2);
    while (passing < ranked.length && passes(passing)) passing++;
    if (passing === ranked.length - 1) passing++;
  }
  return ranked.slice(0, passing).map(({ position }) => position).sort((a, b) => a - b);
}

Deno.test("a canvas gives what step by step gives, and says how many passes were idle", async () => {
  let idle = 0;
  await fc.assert(
    fc.asyncProperty(caseArb, fc.boolean(), async ({ sequence, options }, choosesMask) => {
      const model = new ToyModel({ choosesMask });
      const canvas = new ToyCanvasModel({ choosesMask });
      const single = await gather(denoiseBlocks(sequence, model, options));
      const chunked = await gather(denoiseBlocks(sequence, canvas, options));
      assertEquals(chunked.steps, single.steps);
      assertEquals(chunked.result.sequences, single.result.sequences);
      const { nfe } = single.result;
      assertEquals([nfe, chunked.result.nfe], [single.steps.length, single.steps.length]);
      assertEquals([model.batches.length, single.result.readbacks], [nfe, nfe]);
      assertEquals(single.result.idleForwards, 0);
      const { idleForwards = 0, readbacks } = chunked.result;
      assertEquals(canvas.steps.length, nfe + idleForwards);
      assertEquals([canvas.runs.length, canvas.opened, canvas.destroyed], [readbacks, 1, 1]);
      assert(canvas.runs.every((length) => length <= options.stepsPerReadback!));
      idle += idleForwards;
    }),
    { numRuns: 300 },
  );
  assert(idle > 0);
});

Deno.test("every block is completed before the next, by the rule's definition", async () => {
  const parallel = new Set<string>();
  await fc.assert(
    fc.asyncProperty(caseArb, async ({ sequence, options: { stopAtEnd: _, ...rest } }) => {
      const options = { ...rest, stopAtEnd: false, cfgScale: 0 };
      const { rule, blockLength } = options;
      const { promptLength, attentionMask } = sequence;
      const model = new ToyModel();
      const { steps, result } = await gather(denoiseBlocks(sequence, model, options));
      const genLength = sequence.ids.length - promptLength;
      const counts = planSteps({ genLength, blockLength, steps: options.steps })
        .filter(({ block, commits }) => block === 0 && commits > 0)
        .map(({ commits }) => commits);
      const ids = sequence.ids.slice();
      steps.forEach(({ step, block, nfe, commits: [commits] }, i) => {
        assertEquals([step, nfe], [i, i + 1]);
        const first = promptLength + block * blockLength;
        assertEquals(masksIn(ids, promptLength, first), 0);
        const planned = { block, blockEnd: (block + 1) * blockLength, commits: 1 };
        const positions = Uint32Array.from(ids.keys())
          .filter((at) => at >= first && at < first + blockLength && ids[at] === MASK);
        const [choice] = canvasStep(planned, i, promptLength, options).choices;
        const answers = model.answer({ ids, attentionMask, positions, choice });
        if (rule.kind === "count") {
          const inBlock = steps.slice(0, i).filter((other) => other.block === block).length;
          assertEquals(commits.length, counts[inBlock]);
        } else {
          assertEquals(commits.map(({ position }) => position), positionsOf(answers, rule));
          if (commits.length > 1) parallel.add(rule.kind);
        }
        for (const { position, token, confidence } of commits) {
          const answer = answers.find((other) => other.position === position)!;
          assertEquals([token, confidence], [answer.token, answer.confidence]);
          ids[position] = token;
        }
      });
      assertEquals(result.sequences[0].ids, ids);
      assertEquals(masksIn(ids, promptLength, ids.length), 0);
      // Masks of the prompt are no candidates here.
      assertEquals(ids.subarray(0, promptLength), sequence.ids.subarray(0, promptLength));
    }),
    { numRuns: 300 },
  );
  assertEquals([...parallel].sort(), ["factor", "threshold"]);
});

Deno.test("stopping at the end gives the steps of the full run up to there", async () => {
  let stopped = 0;
  await fc.assert(fc.asyncProperty(caseArb, async ({ sequence, options }) => {
    for (const model of [new ToyModel(), new ToyCanvasModel()]) {
      const run = (stopAtEnd: boolean) =>
        gather(denoiseBlocks(sequence, model, { ...options, stopAtEnd }));
      const full = await run(false);
      const early = await run(true);
      assertEquals(early.steps, full.steps.slice(0, early.steps.length));
      if (early.steps.length === full.steps.length) return;
      assert(decidedUpToEnd(early.result.sequences[0], options.endTokens));
      stopped++;
    }
  }));
  assert(stopped > 0, "no run of the property stopped early");
});

Deno.test("each step of a block is told its part of keys and values", async () => {
  const sequence = newSequence([1, 2, 5], 12, MASK);
  const caches: [CachePolicy, number, (block: number) => unknown][] = [
    ["none", Infinity, () => undefined],
    ["prefix", Infinity, (block) => ({ first: 3 + 4 * block, end: 15 })],
    ["dual", 3, (block) => ({ first: 3 + 4 * block, end: 7 + 4 * block })],
  ];
  for (const [cache, refreshInterval, part] of caches) {
    const model = new ToyCanvasModel();
    // One token a step, two steps a readback: the third run of a block begins with its fifth step.
    const { steps } = await gather(denoiseBlocks(sequence, model, {
      ...blocks,
      rule: { kind: "count" },
      steps: 12,
      stepsPerReadback: 2,
      cache,
      refreshInterval,
    }));
    assertEquals(model.steps.length, 12);
    assertEquals(steps.map(({ block }) => block), [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
    model.steps.forEach((step, i) => {
      const block = Math.floor(i / 4);
      const refresh = cache !== "none" && i % 4 % refreshInterval === 0;
      assertEquals(step.cache, refresh ? "refresh" : part(block));
      assertEquals([step.blockStart, step.blockEnd], [3 + 4 * block, 7 + 4 * block]);
      assertEquals(step.choices[0].step, i);
    });
  }
});

Deno.test("a block may have a rule and a cache of its own", async () => {
  const sequence = newSequence([1, 2, 5], 16, MASK);
  const ways: Pick<BlockOptions, "rule" | "cache">[] = [
    { rule: { kind: "threshold", threshold: 1 }, cache: "dual" },
    { rule: { kind: "threshold", threshold: 0.01 }, cache: "none" },
    { rule: { kind: "factor", factor: 30 }, cache: "prefix" },
    { rule: { kind: "threshold", threshold: 1 } },
  ];
  const asked: number[] = [];
  const model = new ToyCanvasModel();
  const { steps, result } = await gather(denoiseBlocks(sequence, model, {
    ...blocks,
    ofBlock(block) {
      asked.push(block);
      return ways[block];
    },
  }));
  assertEquals(asked, [0, 1, 2, 3]);
  assertEquals([model.opened, result.sequences[0].ids.includes(MASK)], [1, false]);
  assertEquals([0, 1, 2, 3].map((at) => steps.filter(({ block }) => block === at).length), [
    4,
    1,
    1,
    4,
  ]);
  const dual = { first: 3, end: 7 };
  const caches: CanvasStep["cache"][][] = [
    ["refresh", dual, dual, dual],
    [undefined],
    ["refresh"],
    [undefined, undefined, undefined, undefined],
  ];
  for (const [block, expected] of caches.entries()) {
    const run = model.steps.filter(({ blockEnd }) => blockEnd === 7 + 4 * block);
    assertEquals(run.map(({ cache }) => cache).slice(0, expected.length), expected);
    assert(run.every(({ rule }) => rule === ways[block].rule));
  }
  const wrong = denoiseBlocks(sequence, model, {
    ...blocks,
    ofBlock: () => ({ rule: { kind: "factor", factor: -1 } }),
  });
  await assertRejects(() => wrong.next(), RangeError, "factor is -1");
  assertEquals(model.destroyed, model.opened);
});

Deno.test("as many steps are chained as the pace of commits calls for", async () => {
  const sequence = newSequence([1], 24, MASK);
  const shape = { ...blocks, blockLength: 12, stepsPerReadback: 4 };
  const run = async (threshold: number) => {
    const model = new ToyCanvasModel();
    const rule = { kind: "threshold", threshold } as const;
    const { result } = await gather(denoiseBlocks(sequence, model, { ...shape, rule }));
    return [model.runs, result.nfe, result.idleForwards];
  };
  // A step a block: nothing runs behind it.
  assertEquals(await run(0.01), [[1, 1], 2, 0]);
  // A token a step: after the first step, as many as may be.
  assertEquals(await run(1), [[1, 4, 4, 3, 4, 4, 4], 24, 0]);
});

Deno.test("a model that chooses the mask comes to an end all the same", async () => {
  let chosen = 0;
  await fc.assert(
    fc.asyncProperty(caseArb, async ({ sequence, options }) => {
      for (const Toy of [ToyModel, ToyCanvasModel]) {
        const toy = new Toy({ choosesMask: true });
        const { steps } = await gather(denoiseBlocks(sequence, toy, options));
        chosen += steps.flatMap(({ commits }) => commits[0]).filter((row) => row.token === MASK)
          .length;
      }
    }),
    { numRuns: 200 },
  );
  assert(chosen > 0);

  const stubborn: Predictor = {
    predict: ([{ positions }]) =>
      Promise.resolve([Array.from(positions, (position): Prediction => ({
        position,
        token: MASK,
        oddsAgainst: 1,
        uncertainty: 1,
        confidence: 0.5,
        logProbability: Math.log(0.5),
        logSumExp: 0,
      }))]),
  };
  const sequence = newSequence([1], 8, MASK);
  const { steps, result } = await gather(denoiseBlocks(sequence, stubborn, blocks));
  // Its schedule of four steps, and one more that changes nothing.
  assertEquals(steps.map(({ block }) => block), [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]);
  assertEquals(result.sequences[0].ids, sequence.ids);
});

Deno.test("what makes no sense is refused by name before the model is asked", async () => {
  const sequence = newSequence([1], 8, MASK);
  const threshold = (threshold: number) => ({ rule: { kind: "threshold", threshold } }) as const;
  const factor = (factor: number) => ({ rule: { kind: "factor", factor } }) as const;
  const bad: [Partial<BlockOptions>, string][] = [
    [threshold(0), "threshold is 0"],
    [threshold(1.01), "threshold is 1.01"],
    [threshold(NaN), "threshold is NaN"],
    [factor(0), "factor is 0"],
    [factor(Infinity), "factor is Infinity"],
    [{ remasking: "random" }, "rule threshold goes by confidence"],
    [{ confidence: "entropy" }, "rule threshold needs a confidence in [0, 1]"],
    [{ confidence: "entropy", ...factor(1) }, "rule factor needs a confidence in [0, 1]"],
    [{ confidence: "best" as "margin" }, "confidence is best: expected one of probability, margin"],
    [{ cache: "prefix", refreshInterval: 0.5 }, "refreshInterval is 0.5"],
    [{ cache: "prefix", refreshInterval: NaN }, "refreshInterval is NaN"],
    [{ seeds: [1, 2] }, "seeds has 2 entries for 1 sequences"],
    [{ temperature: -1 }, "temperature is -1"],
  ];
  const model = new ToyCanvasModel();
  for (const [change, message] of bad) {
    const stream = denoiseBlocks(sequence, model, { ...blocks, ...change });
    await assertRejects(() => stream.next(), RangeError, message);
  }
  const uneven = { ...blocks, steps: 3, rule: { kind: "count" } as const };
  await assertRejects(() => denoiseBlocks(sequence, model, uneven).next(), ScheduleError, "steps");
  assertEquals([model.opened, model.batches.length], [0, 0]);
  // The other rules do not look at steps.
  await gather(denoiseBlocks(sequence, model, { ...blocks, steps: 3 }));

  const keepsNothing = denoiseBlocks(sequence, new ToyModel(), { ...blocks, cache: "dual" });
  await assertRejects(() => keepsNothing.next(), RangeError, "keeps no keys and values");
});

Deno.test("a signal, a caller that leaves and a caller that has enough free the canvas", async () => {
  const sequence: Sequence = newSequence([1], 8, MASK);
  const model = new ToyCanvasModel();
  const reason = new Error("enough");
  const controller = new AbortController();
  const stream = denoiseBlocks(sequence, model, { ...blocks, signal: controller.signal });
  await stream.next();
  controller.abort(reason);
  assertEquals(await assertRejects(() => stream.next()), reason);
  for await (const _ of denoiseBlocks(sequence, model, blocks)) break;
  const commits: Commit[] = [];
  const options = { ...blocks, finished: () => commits.length > 0 };
  for await (const step of denoiseBlocks(sequence, model, options)) {
    assertEquals(commits, []);
    commits.push(...step.commits[0]);
    assert(commits.every(({ token }) => token < VOCABULARY));
  }
  assertEquals([model.opened, model.destroyed], [3, 3]);
});
