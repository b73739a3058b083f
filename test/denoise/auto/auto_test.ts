import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import fc from "fast-check";
import { autoExact } from "../../../src/denoise/auto/auto.ts";
import { autoFast } from "../../../src/denoise/auto/auto_fast.ts";
import { denoiseBlocks } from "../../../src/denoise/strategies/blocks.ts";
import type { CachePolicy } from "../../../src/denoise/cache_plan.ts";
import { type Choice, Controller } from "../../../src/denoise/auto/controller.ts";
import { denoise } from "../../../src/denoise/denoise.ts";
import type { DenoiseOptions } from "../../../src/denoise/denoise_step.ts";
import {
  type BlockRecord,
  FastController,
  type FastWay,
  type Pass,
} from "../../../src/denoise/auto/fast_controller.ts";
import type { SelectionRule } from "../../../src/denoise/selection.ts";
import { newSequence } from "../../../src/denoise/sequence.ts";
import { strategyOf } from "../../../src/denoise/strategy.ts";
import { comparable, drawArb, END, gather } from "../draw.ts";
import { MASK, ToyCanvasModel, ToyModel } from "../toy_model.ts";

/** The lossy strategies that need a draft. */
const DRAFTING = ["gate", "commit_verify"] as const;

const options = {
  blockLength: 4,
  steps: 8,
  seeds: [1],
  eosToken: END,
  endTokens: [END],
  stopAtEnd: false,
};

/** Takes what it is told to, one choice after another. */
class Told extends Controller {
  readonly #choices: readonly Choice[];
  taken = 0;

  constructor(choices: readonly Choice[]) {
    super();
    this.#choices = choices;
  }

  override choose(hasDraft: boolean): Choice {
    assert(hasDraft);
    return this.#choices[this.taken++ % this.#choices.length];
  }
}

const choiceArb: fc.Arbitrary<Choice> = fc.record({
  strategy: fc.constantFrom("plain", "self", "lossless"),
  depth: fc.integer({ min: 1, max: 5 }),
  steps: fc.constantFrom(2, 8),
});

const WAYS = {
  plain: strategyOf("plain"),
  self: strategyOf("self"),
  lossless: strategyOf("lossless"),
};

Deno.test("exact: whatever is chosen on the way, the plain schedule's commits", async () => {
  const taken = new Set<string>();
  let switched = 0;
  await fc.assert(
    fc.asyncProperty(
      drawArb,
      fc.array(choiceArb, { minLength: 1, maxLength: 4 }),
      async ({ sequence, options }, choices) => {
        const expected = await gather(denoise([sequence], new ToyModel(), options));
        for (const Toy of [ToyModel, ToyCanvasModel]) {
          const target = new Toy();
          const draft = new Toy({ disagreement: 0.2, salt: 8 });
          const controller = new Told(choices);
          const stream = autoExact(sequence, { target, draft }, { ...options, controller }, WAYS);
          const { steps, result } = await gather(stream);
          assertEquals(
            steps.map(({ step, block, commits }) => ({ step, block, commits })),
            expected.steps.map(({ step, block, commits }) => ({ step, block, commits })),
          );
          assertEquals(result.sequence, expected.result.sequences[0]);
          const named = Object.values(result.choices).reduce((sum, count) => sum + count, 0);
          assertEquals(named, steps.length);
          for (const name of Object.keys(result.choices)) taken.add(name.split(" ")[0]);
          if (Object.keys(result.choices).length > 1) switched++;
          // Guidance's second sequence has no second beginning, and no proposals.
          if (options.cfgScale! > 0) assertEquals(Object.keys(result.choices), ["plain"]);
          if (Toy === ToyModel) {
            const states = target.batches.reduce((sum, count) => sum + count, 0);
            assertEquals(
              [target.batches.length, states, draft.batches.length],
              [result.targetForwards, result.targetStates, result.draftForwards],
            );
          }
          const nfes = steps.map(({ nfe }) => nfe);
          assertEquals(nfes, nfes.toSorted((a, b) => a - b));
          assert(nfes.at(-1)! <= result.targetForwards);
        }
      },
    ),
    { numRuns: 250 },
  );
  assertEquals([...taken].sort(), ["lossless", "plain", "self"]);
  assert(switched > 0);
});

/** Takes the ways that it is told to, one after another, and remembers what it learns. */
class ToldFast extends FastController {
  readonly #picks: readonly number[];
  readonly chosen: FastWay[] = [];
  readonly learnt: [way: string, record: BlockRecord][] = [];
  readonly passes: string[] = [];

  constructor(picks: readonly number[]) {
    super();
    this.#picks = picks;
  }

  override choose<Way extends FastWay>(possible: readonly Way[]): Way {
    const pick = this.#picks[this.chosen.length % this.#picks.length];
    const way = possible[pick % possible.length];
    this.chosen.push(way);
    return way;
  }

  override learnSteps(passes: readonly Pass[], millisecondsPerRow: number): void {
    assert(millisecondsPerRow > 0);
    this.passes.push(...passes.map(({ name }) => name));
  }

  override learnBlock(way: FastWay, record: BlockRecord): void {
    this.learnt.push([way.name, record]);
  }
}

/** An answer of two blocks in each way there is, which the draws may miss one of. */
const EACH_WAY = ([undefined, "margin"] as const).flatMap((confidence) => {
  const draw = {
    sequence: newSequence([1, 2], 8, MASK),
    options: { ...options, confidence, cfgScale: 0 } as DenoiseOptions,
  };
  type Example = [typeof draw, number[], 0.2 | undefined, typeof ToyModel];
  const picked = (pick: number, threshold?: 0.2): Example => [
    draw,
    [pick],
    threshold,
    ToyCanvasModel,
  ];
  return [
    ...Array.from({ length: 6 }, (_, pick) => picked(pick)),
    ...Array.from({ length: 3 }, (_, pick) => picked(pick, 0.2)),
  ];
});

/** What a way's name stands for. */
function meaningOf(name: string): { readonly rule: SelectionRule; readonly cache: CachePolicy } {
  const [, kind, value, cache] = /^(threshold|factor) ([\d.]+)(?: by margin)?, cache (\w+)$/.exec(
    name,
  )!;
  const rule = { kind, [kind]: Number(value) } as unknown as SelectionRule;
  return { rule, cache: cache as CachePolicy };
}

Deno.test("fast: a rule and a cache for each block, as chosen, and what they cost is learnt", async () => {
  const taken = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      drawArb,
      fc.array(fc.nat(5), { minLength: 1, maxLength: 4 }),
      fc.constantFrom(undefined, 0.2),
      fc.constantFrom(ToyModel, ToyCanvasModel),
      async ({ sequence, options: drawn }, picks, threshold, Toy) => {
        const options = comparable(drawn);
        const told = new ToldFast(picks);
        const target = new Toy();
        const controller = new Controller(told);
        const { steps, result } = await gather(
          autoFast(sequence, { target }, { ...options, controller, threshold }),
        );
        const ways = told.chosen.map(({ name }) => meaningOf(name));
        const other = new Toy();
        const expected = await gather(denoiseBlocks(sequence, other, {
          ...options,
          ...ways[0],
          ofBlock: (block) => ways[block],
        }));
        assertEquals(steps, expected.steps);
        assertEquals(result.sequence, expected.result.sequences[0]);
        const { nfe, idleForwards } = expected.result;
        assertEquals([result.targetForwards, result.idleForwards], [nfe, idleForwards]);
        for (const { name } of told.chosen) {
          taken.add(name);
          assertEquals(name.includes(" by margin,"), options.confidence === "margin");
          if (threshold !== undefined) assertStringIncludes(name, "threshold 0.2");
          if (Toy === ToyModel) assertStringIncludes(name, "cache none");
        }
        if (target instanceof ToyCanvasModel && other instanceof ToyCanvasModel) {
          assertEquals(target.steps, other.steps);
          const kept = target.steps.map(({ cache }) => cache !== undefined);
          assertEquals(told.passes.map((name) => name !== "all"), kept);
        }
        const counts: Record<string, number> = {};
        told.learnt.filter(([, { steps }]) => steps > 0).forEach(([name, record], i) => {
          const own = steps.filter(({ block }) => block === i);
          counts[name] = (counts[name] ?? 0) + own.length;
          assertEquals(record.tokens, own.reduce((sum, step) => sum + step.commits[0].length, 0));
          assert(record.steps >= own.length);
          const sure = own[0].commits[0].filter(({ confidence }) =>
            confidence >= 1 - 1 / (options.blockLength + 2)
          );
          assertEquals(record.open, options.blockLength - sure.length);
        });
        assertEquals(result.choices, counts);
        const learnt = told.learnt.reduce((sum, [, record]) => sum + record.steps, 0);
        assertEquals(learnt, nfe + idleForwards!);
      },
    ),
    { numRuns: 250, examples: EACH_WAY },
  );
  assertEquals(taken.size, 18, [...taken].join("; "));
});

Deno.test("fast: a strategy with the draft for an answer, round by round", async () => {
  await fc.assert(fc.asyncProperty(
    drawArb,
    fc.constantFrom(...DRAFTING),
    async ({ sequence, options: drawn }, name) => {
      const options = { ...comparable(drawn), confidence: undefined };
      // Behind the ways without a draft; with one of those where there is no canvas.
      const told = new ToldFast([2]);
      const controller = new Controller(told);
      controller.learnDraft(1);
      controller.learnDraft(1);
      const models = () => ({ target: new ToyModel(), draft: new ToyModel({ disagreement: 0.2 }) });
      const strategy = strategyOf(name);
      const { steps, result } = await gather(
        autoFast(sequence, models(), { ...options, controller }, { [name]: strategy }),
      );
      const expected = await gather(strategy.run(sequence, models(), options));
      assertEquals(steps, expected.steps);
      const { choices, ...rest } = result;
      assertEquals(rest, expected.result);
      assertEquals(choices, { [name]: steps.length });
      assertEquals(told.passes, new Array(result.targetForwards).fill(name));
      const learnt = told.learnt.map(([, record]) => record);
      assertEquals(
        learnt.reduce((sum, record) => sum + record.steps, 0),
        result.targetForwards,
      );
      assert(learnt.every(({ open }) => open! >= 0 && open! <= options.blockLength));
    },
  ));
});

Deno.test("fast: a draft is timed before an answer is spent on it", async () => {
  const sequence = newSequence([1, 2], 8, MASK);
  const models = { target: new ToyModel(), draft: new ToyModel() };
  const controller = new Controller(new ToldFast([2]));
  const { result } = await gather(
    autoFast(sequence, models, { ...options, controller }, { gate: strategyOf("gate") }),
  );
  // The first measurement holds the compilation and is no figure.
  assertEquals(result.draftForwards, result.targetForwards + 2);
  assertEquals(models.draft.batches.length, result.draftForwards);
  assert(controller.draftStep! > 0);
});
