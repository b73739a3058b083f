/** Strategy auto where requests share passes: rows are cheap alone and dear among others. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { autoExact } from "../../../src/denoise/auto/auto.ts";
import { autoFast } from "../../../src/denoise/auto/auto_fast.ts";
import { type Choice, choiceName, Controller } from "../../../src/denoise/auto/controller.ts";
import { FastController, type FastWay } from "../../../src/denoise/auto/fast_controller.ts";
import type { Prices } from "../../../src/denoise/auto/prices.ts";
import { denoise } from "../../../src/denoise/denoise.ts";
import { hash, uniform } from "../../../src/denoise/noise.ts";
import type { Predictor } from "../../../src/denoise/predictor.ts";
import { newSequence } from "../../../src/denoise/sequence.ts";
import { strategyOf } from "../../../src/denoise/strategy.ts";
import { drawArb, END, gather } from "../draw.ts";
import { MASK, ToyCanvasModel } from "../toy_model.ts";
import {
  ALONE,
  MEMORY_BOUND,
  type Others,
  QUARTER,
  SharedDevice,
  SteadyToy,
} from "./shared_device.ts";

const WAYS = {
  plain: strategyOf("plain"),
  self: strategyOf("self"),
  lossless: strategyOf("lossless"),
};

const options = {
  seeds: [1],
  eosToken: END,
  endTokens: [END],
  stopAtEnd: false,
};

/** Positions of an answer and its prompt: four states fill what a pass costs anyway. */
const LENGTH = 32;
const PROMPT = 2;
const FIFTEEN: Others = { requests: 15, rows: 15 * LENGTH };
/** Most steps from a change of the load to the first choice that suits it. */
const MOST_STEPS = 16;

/** Notes what was chosen at which step. */
class NotingController extends Controller {
  readonly chosen: (readonly [step: number, name: string])[] = [];
  steps = 0;

  override choose(hasDraft: boolean, prices?: Prices): Choice {
    const choice = super.choose(hasDraft, prices);
    this.chosen.push([this.steps, choiceName(choice)]);
    return choice;
  }

  /** Steps from `first` to `end` that were taken by a way that drafts. */
  drafted(first: number, end: number): number {
    let drafted = 0;
    this.chosen.forEach(([from, name], i) => {
      const until = this.chosen[i + 1]?.[0] ?? this.steps;
      if (name !== "plain") drafted += Math.max(0, Math.min(end, until) - Math.max(first, from));
    });
    return drafted;
  }
}

for (const hasDraft of [false, true]) {
  const name = hasDraft ? "a draft" : "its own guesses";
  Deno.test(`exact: with ${name} it drafts alone, not among 15, and again alone`, async () => {
    const device = new SharedDevice();
    const controller = new NotingController();
    const models = {
      target: device.place(new SteadyToy(0.2), MEMORY_BOUND),
      draft: hasDraft ? device.place(new SteadyToy(0.1, 1), QUARTER) : undefined,
    };
    const expected = await gather(
      denoise([newSequence([1, 2], LENGTH - PROMPT, MASK)], new SteadyToy(0.2), {
        ...options,
        blockLength: LENGTH - PROMPT,
        steps: LENGTH - PROMPT,
      }),
    );
    // The load changes in the middle of an answer.
    const phases = [[ALONE, 1000], [FIFTEEN, 1000], [ALONE, 1000]] as const;
    const begins = [0, 1000, 2000];
    while (controller.steps < 3000) {
      const sequence = newSequence([1, 2], LENGTH - PROMPT, MASK);
      const run = autoExact(sequence, models, {
        ...options,
        blockLength: LENGTH - PROMPT,
        steps: LENGTH - PROMPT,
        controller,
      }, WAYS);
      let next = await run.next();
      for (; !next.done; next = await run.next()) {
        controller.steps++;
        const phase = begins.findLastIndex((begin) => controller.steps >= begin);
        device.others = phases[phase][0];
      }
      assertEquals(next.value.sequence, expected.result.sequences[0]);
    }
    const { chosen } = controller;
    const shown = JSON.stringify(chosen.filter(([at]) => at > 900 && at < 2200));
    const firstBehind = (begin: number, drafts: boolean) =>
      chosen.find(([step, name]) => step >= begin && (name !== "plain") === drafts)![0] - begin;
    assert(controller.drafted(200, 1000) > 0.9 * 800, `alone: ${shown}`);
    assert(firstBehind(1000, false) <= MOST_STEPS, `stops drafting: ${shown}`);
    assert(controller.drafted(1000 + MOST_STEPS, 2000) < 0.1 * 1000, `among others: ${shown}`);
    assert(firstBehind(2000, true) <= MOST_STEPS, `drafts again: ${shown}`);
    assert(controller.drafted(2000 + MOST_STEPS, 3000) > 0.9 * 980, `alone again: ${shown}`);
  });
}

/** Notes the ways of blocks. */
class NotingFast extends FastController {
  readonly names: string[] = [];

  override choose<Way extends FastWay>(...asked: Parameters<FastController["choose"]>): Way {
    const way = super.choose(...asked) as Way;
    this.names.push(way.name);
    return way;
  }
}

Deno.test("fast: whole passes or few rows alone, only a block's rows among others, at the next block", async () => {
  const device = new SharedDevice();
  const fast = new NotingFast();
  const controller = new Controller(fast);
  const target = device.place(new SteadyToy(0.2), MEMORY_BOUND);
  const answer = async () => {
    const sequence = newSequence([1, 2, 3, 4], 64, MASK);
    const shape = { ...options, blockLength: 16, steps: 64, threshold: 0.6 };
    await gather(autoFast(sequence, { target }, { ...shape, controller }));
  };
  for (let i = 0; i < 30; i++) await answer();
  device.others = { requests: 15, rows: 15 * 68 };
  await answer();
  fast.names.length = 0;
  for (let i = 0; i < 30; i++) await answer();
  const dual = fast.names.filter((name) => name.endsWith("cache dual")).length;
  assert(dual >= 0.9 * fast.names.length, `${dual} of ${fast.names.length}`);
});

Deno.test("exact: whatever is charged and whatever rows cost, the plain schedule's commits", async () => {
  const ways = new Set<string>();
  const chargesArb = fc.record({
    seed: fc.nat(),
    most: fc.constantFrom(0, 1e-3, 1, 1e6),
    known: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(drawArb, chargesArb, async ({ sequence, options }, charges) => {
      const expected = await gather(denoise([sequence], new ToyCanvasModel(), options));
      let calls = 0;
      const any = () => charges.most * uniform(hash(charges.seed, ++calls, 0, 0));
      const charged = (toy: ToyCanvasModel): Predictor => {
        let sum = 0;
        return {
          predict: (inputs) => toy.predict(inputs),
          openCanvas: (sequences) => toy.openCanvas(sequences),
          charged: () => sum += any(),
          ...charges.known && { price: (rows) => 1e-9 + any() * rows },
        };
      };
      // Answers before it have taught it something.
      const controller = new Controller();
      for (let answer = 0; answer < 3; answer++) {
        const models = {
          target: charged(new ToyCanvasModel()),
          draft: charged(new ToyCanvasModel({ disagreement: 0.2, salt: 8 })),
        };
        const { steps, result } = await gather(
          autoExact(sequence, models, { ...options, controller }, WAYS),
        );
        assertEquals(
          steps.map(({ step, block, commits }) => ({ step, block, commits })),
          expected.steps.map(({ step, block, commits }) => ({ step, block, commits })),
        );
        assertEquals(result.sequence, expected.result.sequences[0]);
        for (const choice of Object.keys(result.choices)) ways.add(choice.split(" ")[0]);
      }
    }),
    { numRuns: 100 },
  );
  assertEquals([...ways].sort(), ["lossless", "plain", "self"]);
});
