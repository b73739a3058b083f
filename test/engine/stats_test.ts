/** What is counted of an answer, and over all of them. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { StrategyName, StrategyOptions } from "../../src/denoise/strategy.ts";
import { STRATEGY_NAMES, strategyOf } from "../../src/denoise/strategy.ts";
import { GREEDY } from "../../src/denoise/predictor.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import { withoutProposals } from "../../src/denoise/strategies/proposal_run.ts";
import {
  addAnswer,
  AnswerMeter,
  type EngineTotals,
  type GenerateStats,
  NO_TOTALS,
  type PassStats,
} from "../../src/engine/stats.ts";
import { END, gather } from "../denoise/draw.ts";
import { MASK, ToyCanvasModel } from "../denoise/toy_model.ts";

const count = fc.nat(20);
const counts = fc.array(fc.record({ proposed: count, accepted: count }), { maxLength: 4 });
const answerArb = fc.record({
  usage: fc.record({ promptTokens: count, completionTokens: count }),
  stats: fc.record({
    seed: count,
    strategy: fc.constantFrom(...STRATEGY_NAMES),
    cache: fc.constantFrom("none", "dual"),
    forwards: count,
    targetStates: count,
    draftForwards: count,
    idleForwards: count,
    cacheRefreshes: count,
    proposed: count,
    accepted: count,
    acceptedLengths: fc.array(count, { maxLength: 4 }),
    acceptance: fc.record({ byDepth: counts, byMaskRatio: counts, byPosition: counts }),
    readbacks: count,
    targetSeconds: count,
    draftSeconds: count,
    readbackSeconds: count,
    seconds: count,
  }),
}).map(({ usage, stats }) => ({ usage, stats: stats as GenerateStats }));

Deno.test("totals are sums over the answers, whatever their order", () => {
  fc.assert(fc.property(fc.array(answerArb, { minLength: 1, maxLength: 6 }), (answers) => {
    const totals = answers.reduce(addAnswer, NO_TOTALS);
    assertEquals(answers.toReversed().reduce(addAnswer, NO_TOTALS), {
      ...totals,
      strategies: totals.strategies,
    });
    assertEquals(totals.answers, answers.length);
    const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
    for (const key of Object.keys(NO_TOTALS) as (keyof EngineTotals)[]) {
      if (key in NO_TOTALS && typeof totals[key] === "number" && key in answers[0].stats) {
        assertEquals(
          totals[key],
          sum(answers.map(({ stats }) => stats[key as "forwards"])),
          key,
        );
      }
    }
    assertEquals(
      [totals.promptTokens, totals.completionTokens],
      (["promptTokens", "completionTokens"] as const)
        .map((key) => sum(answers.map(({ usage }) => usage[key]))),
    );
    assertEquals(
      sum(totals.acceptedLengths),
      sum(answers.flatMap(({ stats }) => stats.acceptedLengths)),
    );
    for (const key of ["byDepth", "byMaskRatio", "byPosition"] as const) {
      assertEquals(
        sum(totals.acceptance[key].map(({ accepted }) => accepted)),
        sum(answers.flatMap(({ stats }) => stats.acceptance[key].map(({ accepted }) => accepted))),
      );
    }
    for (const [name, count] of Object.entries(totals.strategies)) {
      assertEquals(count, answers.filter(({ stats }) => stats.strategy === name).length);
    }
  }));
});

/** A toy whose passes are shared: a state is charged a microsecond, which is less than it takes. */
class ChargedModel extends ToyCanvasModel {
  /** Milliseconds that were charged before the answer began. */
  static readonly BEFORE = 100;

  charged(): number {
    const states = [...this.batches, ...this.runs].reduce((sum, count) => sum + count, 0);
    return ChargedModel.BEFORE + states / 1000;
  }
}

const options: StrategyOptions = {
  blockLength: 4,
  steps: 12,
  seeds: [1],
  eosToken: END,
  endTokens: [END],
  stopAtEnd: false,
};

async function measure(
  name: StrategyName,
  change: Partial<StrategyOptions>,
  Toy: typeof ToyCanvasModel = ToyCanvasModel,
): Promise<PassStats> {
  const target = new Toy();
  const draft = new Toy({ disagreement: 0.3 });
  const meter = new AnswerMeter(target, draft);
  const models = { target: meter.target, draft: meter.draft };
  const run = strategyOf(name).run(newSequence([1, 2], 12, MASK), models, {
    ...options,
    ...change,
  });
  const { result } = await gather(run);
  const stats = meter.stats(result);
  assert(stats.targetSeconds > 0);
  assert(stats.readbackSeconds > 0 && stats.readbackSeconds < stats.seconds);
  const charges = [target, draft].map((toy) =>
    toy instanceof ChargedModel ? (toy.charged() - ChargedModel.BEFORE) / 1000 : undefined
  );
  if (charges[0] === undefined) {
    // Alone an answer is charged all that it waits for.
    assertAlmostEquals(stats.targetSeconds + stats.draftSeconds, stats.readbackSeconds);
  } else {
    assertAlmostEquals(stats.targetSeconds, charges[0]);
    assertAlmostEquals(stats.draftSeconds, charges[1]!);
    assert(stats.targetSeconds + stats.draftSeconds < stats.readbackSeconds);
  }
  assertEquals(stats.draftSeconds > 0, stats.draftForwards > 0);
  assertEquals([stats.forwards, stats.readbacks], [result.targetForwards, result.readbacks]);
  return stats;
}

Deno.test("where passes are shared an answer is charged its part, and waits for all of it", async () => {
  for (const name of STRATEGY_NAMES) await measure(name, {}, ChargedModel);
  await measure("lossless", { cache: "dual", depth: 2 }, ChargedModel);
});

Deno.test("other calls of the target count as its passes do", async () => {
  const target = new ChargedModel();
  const meter = new AnswerMeter(target);
  const asked = newSequence([1], 3, MASK).ids;
  const call = () => target.predict([{ ids: asked, positions: Uint32Array.of(1), choice: GREEDY }]);
  assertEquals((await meter.timed(call))[0].length, 1);
  const sequences = [newSequence([1], 3, MASK)];
  const result = withoutProposals({ sequences, nfe: 1, readbacks: 1 });
  assertAlmostEquals(meter.stats(result).targetSeconds, 1e-6);
});

Deno.test("refreshes are those of the passes that ran; times are told apart by model", async () => {
  assertEquals((await measure("plain", {})).cacheRefreshes, 0);
  assertEquals((await measure("plain", { cache: "dual" })).cacheRefreshes, 3);
  const every = await measure("plain", { cache: "prefix", refreshInterval: 2 });
  assertEquals(every.cacheRefreshes, 6);
  assertEquals((await measure("self", { cache: "dual", depth: 2 })).cacheRefreshes, 3);
  // Draft and target each refresh at the start of a block.
  assertEquals((await measure("lossless", { cache: "dual", depth: 2 })).cacheRefreshes >= 3, true);
  const lossless = await measure("lossless", { depth: 2 });
  assertEquals(
    lossless.acceptedLengths.reduce((total, rounds, length) => total + rounds * length, 0),
    lossless.accepted,
  );
  assertEquals(
    lossless.acceptance.byDepth.reduce((total, { accepted }) => total + accepted, 0) > 0,
    true,
  );
});
