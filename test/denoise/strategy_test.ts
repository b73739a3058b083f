import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { OptionError } from "../../src/denoise/check_options.ts";
import { denoiseBlocks } from "../../src/denoise/strategies/blocks.ts";
import { denoise } from "../../src/denoise/denoise.ts";
import {
  checkStrategy,
  STRATEGY_NAMES,
  type StrategyName,
  strategyOf,
  type StrategyOptions,
} from "../../src/denoise/strategy.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import { comparable, drawArb, END, gather } from "./draw.ts";
import { MASK, ToyCanvasModel, ToyModel } from "./toy_model.ts";

const options: StrategyOptions = {
  blockLength: 4,
  steps: 8,
  seeds: [1],
  eosToken: END,
  endTokens: [END],
  stopAtEnd: false,
};

const draft = () => new ToyModel({ disagreement: 0.2, salt: 2 });

for (const name of STRATEGY_NAMES) {
  Deno.test(`${name} decides every position, and counts what it runs`, async () => {
    await fc.assert(
      fc.asyncProperty(drawArb, async ({ sequence, options: drawn }) => {
        const options = { ...drawn, stopAtEnd: false };
        const strategy = strategyOf(name);
        const { remasking, confidence } = strategy.lossless ? options : comparable(options);
        const measure = strategy.uses.includes("confidence") ? confidence : undefined;
        const ranking = { remasking, confidence: measure };
        const models = { target: new ToyModel(), draft: draft() };
        const run = strategy.run(sequence, models, { ...options, ...ranking });
        const { steps, result } = await gather(run);
        const { targetForwards, targetStates, draftForwards, idleForwards } = result;
        const sum = models.target.batches.reduce((total, states) => total + states, 0);
        assertEquals([models.target.batches.length, sum], [targetForwards, targetStates]);
        assertEquals([models.draft.batches.length, idleForwards], [draftForwards, 0]);
        // A single step, or mask, has nothing to propose for; auto drafts as it sees fit.
        const least = { gate: 1, commit_verify: options.blockLength }[name as string];
        const drafts = strategy.needsDraft && (name === "gate" || (least ?? options.steps) > 1);
        if (name !== "auto") assertEquals(draftForwards > 0, drafts);
        assertEquals(steps.at(-1)!.nfe, targetForwards);

        const { promptLength } = sequence;
        const plain = await gather(
          denoise([sequence], new ToyModel(), { ...options, ...ranking }),
        );
        if (strategy.lossless) {
          assertEquals(result.sequence, plain.result.sequences[0]);
          assertEquals(steps.map((at) => at.commits), plain.steps.map((at) => at.commits));
        } else {
          assert(!result.sequence.ids.subarray(promptLength).includes(MASK));
        }
      }),
      { numRuns: 60 },
    );
  });
}

Deno.test("threshold, factor and plain with a cache run block by block, with their defaults", async () => {
  const sequence = newSequence([1, 2], 8, MASK);
  const target = new ToyCanvasModel({ sharpness: 2 });
  const cases: [StrategyName, Partial<StrategyOptions>, Parameters<typeof denoiseBlocks>[2]][] = [
    ["threshold", {}, { ...options, rule: { kind: "threshold", threshold: 0.9 } }],
    ["threshold", { threshold: 0.2 }, { ...options, rule: { kind: "threshold", threshold: 0.2 } }],
    ["factor", {}, { ...options, rule: { kind: "factor", factor: 1 } }],
    ["factor", { factor: 2, cache: "prefix" }, {
      ...options,
      rule: { kind: "factor", factor: 2 },
      cache: "prefix",
    }],
    ["plain", { cache: "dual", refreshInterval: 2 }, {
      ...options,
      rule: { kind: "count" },
      cache: "dual",
      refreshInterval: 2,
    }],
  ];
  for (const [name, change, blocks] of cases) {
    const expected = await gather(denoiseBlocks(sequence, target, blocks));
    const asked = target.steps.splice(0);
    const found = await gather(
      strategyOf(name).run(sequence, { target }, { ...options, ...change }),
    );
    assertEquals(found.steps, expected.steps);
    assertEquals(target.steps.splice(0), asked);
    const { nfe, idleForwards, sequences } = expected.result;
    assertEquals([found.result.targetForwards, found.result.idleForwards], [nfe, idleForwards]);
    assertEquals(found.result.sequence, sequences[0]);
  }
});

Deno.test("combinations that make no sense are refused with the option and the reason", () => {
  const bad: [StrategyName, Partial<StrategyOptions>, boolean, string, string][] = [
    ["lossless", {}, false, "strategy", "strategy lossless needs a draft model"],
    ["gate", {}, false, "strategy", "strategy gate needs a draft model"],
    ["plain", { threshold: 0.5 }, true, "threshold", "choose threshold"],
    ["plain", { factor: 1 }, true, "factor", "choose factor"],
    ["plain", { depth: 3 }, true, "depth", "choose lossless or self"],
    ["threshold", { factor: 1 }, true, "factor", "strategy threshold does not use factor"],
    ["threshold", { draftThreshold: 1 }, true, "draftThreshold", "choose gate"],
    ["self", { targetThreshold: 1 }, true, "targetThreshold", "choose gate"],
    ["gate", { cache: "dual" }, true, "cache", "choose plain or threshold or factor or lossless"],
    ["gate", { refreshInterval: 2 }, true, "refreshInterval", "choose plain or threshold"],
    ["plain", { cache: "triple" as "dual" }, false, "cache", "expected none, prefix, dual"],
    ["threshold", { remasking: "random" }, false, "remasking", "goes by confidence"],
    ["commit_verify", {}, false, "strategy", "strategy commit_verify needs a draft model"],
    ["gate", { backThreshold: 0.5 }, true, "backThreshold", "choose commit_verify"],
    ["commit_verify", { suffixWindow: 4 }, true, "suffixWindow", "does not use suffixWindow"],
    ["commit_verify", { remasking: "random" }, true, "remasking", "goes by confidence"],
    ["gate", { remasking: "random" }, true, "remasking", "goes by confidence"],
    ["threshold", { rounds: 1 }, true, "rounds", "choose lossless or self or gate"],
    ["auto", { rounds: 1 }, true, "rounds", "strategy auto does not use rounds"],
    ["plain", { confidence: "best" as "margin" }, true, "confidence", "probability, margin, entr"],
    ["gate", { confidence: "margin" }, true, "confidence", "strategy gate does not use confidence"],
    ["threshold", { confidence: "entropy" }, true, "confidence", "strategy threshold needs a conf"],
    ["factor", { confidence: "entropy" }, true, "confidence", "in [0, 1], which entropy is not"],
    ["auto", { quality: "fast", confidence: "entropy" }, true, "confidence", "quality fast needs"],
    ["self", { confidence: "margin", remasking: "random" }, true, "confidence", "ranks by noise"],
    ["plain", { quality: "fast" }, true, "quality", "choose auto"],
    [
      "commit_verify",
      { sampling: { topK: 3 } },
      true,
      "sampling",
      "choose plain or threshold or fac",
    ],
    ["auto", { quality: "best" as "fast" }, true, "quality", "expected exact or fast"],
    ["auto", { threshold: 0.5 }, true, "threshold", "choose quality fast"],
    ["auto", { depth: 2 }, true, "depth", "choose lossless or self"],
    ["auto", { quality: "fast", remasking: "random" }, true, "remasking", "goes by confidence"],
  ];
  for (const [name, change, hasDraft, option, message] of bad) {
    const error = assertThrows(() => checkStrategy(name, change, hasDraft), OptionError, message);
    assertEquals(error.option, option);
  }
});

Deno.test("every strategy takes the options that it uses", () => {
  const values = {
    cache: "dual",
    refreshInterval: 2,
    suffixWindow: 4,
    threshold: 0.5,
    factor: 1,
    depth: 2,
    rounds: 3,
    draftThreshold: 0.5,
    targetThreshold: 0.5,
    backThreshold: 0.5,
    quality: "fast",
    confidence: "margin",
    sampling: { topP: 0.9 },
  } as const;
  for (const name of STRATEGY_NAMES) {
    const { uses, lossless, needsDraft } = strategyOf(name);
    const used = Object.fromEntries(uses.map((option) => {
      assert(Object.hasOwn(values, option), `${name} uses ${option}: give it a value in this test`);
      return [option, values[option as keyof typeof values]];
    }));
    checkStrategy(name, { ...used, cfgScale: 1 }, needsDraft);
    checkStrategy(name, { ...options, cache: "none", cfgScale: 1 }, needsDraft);
    checkStrategy(name, { confidence: "probability" }, needsDraft);
    if (lossless) checkStrategy(name, { confidence: "entropy" }, needsDraft);
    if (lossless) checkStrategy(name, { remasking: "random", temperature: 1 }, needsDraft);
  }
});
