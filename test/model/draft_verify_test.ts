/** Proposals on real models: a draft changes what is run, never what is committed. */

import { assert, assertEquals } from "@std/assert";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import type { DenoiseStep } from "../../src/denoise/denoise_step.ts";
import type { Predictor } from "../../src/denoise/predictor.ts";
import { newSequence, type Sequence } from "../../src/denoise/sequence.ts";
import { type StrategyName, strategyOf, type StrategyOptions } from "../../src/denoise/strategy.ts";
import { loadModel } from "../../src/model/loading/load.ts";
import type { Model } from "../../src/model/model.ts";
import { gather, rankingArb } from "../denoise/draw.ts";
import type { Element } from "../../src/gpu/kernel.ts";
import { anyGpu } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { goldenPath } from "../reference/golden.ts";
import { TINY_TARGET } from "./models.ts";
import { type CheckpointShape, withFolder, writeCheckpoint } from "./random_checkpoint.ts";

/** A model folder, or random weights: those of one seed are alike, name by name. */
type Weights = string | { readonly shape: CheckpointShape; readonly seed: string };

const shape: CheckpointShape = {
  heads: 2,
  kvHeads: 1,
  headDim: 16,
  layers: 2,
  ffnSize: 48,
  vocabSize: 64,
};

/** Target, draft, how many draws, 200 in all, and what keys and values are kept as (as by default). */
const PAIRS: Readonly<
  Record<string, readonly [target: Weights, draft: Weights, draws: number, kvCache?: Element]>
> = {
  "tiny pair": [
    TINY_TARGET,
    fileURLToPath(new URL("../../models/tiny-draft", import.meta.url)),
    20,
  ],
  "golden pair": [
    goldenPath("checkpoints/pair-target"),
    goldenPath("checkpoints/pair-draft"),
    20,
    "f32",
  ],
  "random pair, the draft without the second layer": [
    { shape, seed: "two" },
    { shape: { ...shape, layers: 1 }, seed: "two" },
    80,
  ],
  "random pair, the draft turned a little": [
    { shape: { ...shape, layers: 1, kvHeads: 2, tied: true }, seed: "one" },
    { shape: { ...shape, layers: 1, kvHeads: 2, tied: true, ropeTheta: 8000 }, seed: "one" },
    80,
    "f32",
  ],
};

/** As many tokens as the target has, and nothing else in common. */
const strangerTo = ({ config }: Model): CheckpointShape => ({
  ...shape,
  layers: 1,
  ffnSize: 24,
  vocabSize: config.embeddingSize,
});

const passesArb = fc.oneof(
  fc.record({ cfgScale: fc.constantFrom(0, 0, 1.5) }),
  fc.record({
    cache: fc.constantFrom("prefix" as const, "dual" as const),
    refreshInterval: fc.constantFrom(undefined, undefined, 1, 2, 3),
    suffixWindow: fc.constantFrom(undefined, undefined, undefined, 2),
    cfgScale: fc.constantFrom(0, 0, 0, 1.5),
  }),
);

const drawArb = fc.record({
  prompt: fc.integer({ min: 0, max: 6 }),
  pads: fc.constantFrom(0, 0, 2),
  blocks: fc.noBias(fc.integer({ min: 1, max: 2 })),
  // Without bias: most blocks should be long enough for a round behind a refresh.
  blockLength: fc.noBias(fc.integer({ min: 1, max: 6 })),
  stepsPerBlock: fc.noBias(fc.integer({ min: 1, max: 6 })),
  depth: fc.noBias(fc.integer({ min: 1, max: 4 })),
  rounds: fc.constantFrom(undefined, undefined, undefined, 1),
  seed: fc.maxSafeNat(),
  ranking: rankingArb,
  temperature: fc.constantFrom(0, 0, 0.7),
  passes: passesArb,
  stopAtEnd: fc.boolean(),
});

type Draw = typeof drawArb extends fc.Arbitrary<infer T> ? T : never;

function drawn(model: Model, draw: Draw): { sequence: Sequence; options: StrategyOptions } {
  const { prompt, pads, blocks, blockLength, stepsPerBlock, seed, passes, ranking, ...rest } = draw;
  const { embeddingSize, maskTokenId, eosTokenId } = model.config;
  const ids = new Random(seed).integers(prompt, embeddingSize);
  const mask = Uint8Array.from(ids, (_, i) => i < pads ? 0 : 1);
  return {
    sequence: newSequence(ids, blocks * blockLength, maskTokenId, pads > 0 ? mask : undefined),
    options: {
      ...rest,
      ...passes,
      ...ranking,
      blockLength,
      steps: blocks * stepsPerBlock,
      seeds: [seed],
      eosToken: eosTokenId,
      endTokens: [eosTokenId],
    },
  };
}

const committed = (steps: readonly DenoiseStep[]) =>
  steps.map(({ step, block, commits }) => ({ step, block, commits }));

const total = (counts: readonly number[]) => counts.reduce((sum, count) => sum + count, 0);

/** Without a canvas, as a draft elsewhere may be: TypeScript selects and commits. */
const stepByStep = (model: Model): Predictor => ({ predict: (inputs) => model.predict(inputs) });

async function load(weights: Weights, folder: string, kvCache?: Element): Promise<Model> {
  if (typeof weights === "string") return await loadModel(anyGpu, weights, { kvCache });
  Deno.mkdirSync(folder);
  await writeCheckpoint(folder, weights.shape, weights.seed);
  return await loadModel(anyGpu, folder, { kvCache });
}

for (const [name, [targetWeights, draftWeights, draws, kvCache]] of Object.entries(PAIRS)) {
  Deno.test(`${name}: lossless and self commit what the target alone does`, () =>
    withFolder(async (dir) => {
      using target = await load(targetWeights, join(dir, "target"), kvCache);
      using draft = await load(draftWeights, join(dir, "draft"), kvCache);
      const shape = strangerTo(target);
      using stranger = await load({ shape, seed: "stranger" }, join(dir, "stranger"), kvCache);
      const accepted = { own: 0, draft: 0, single: 0, stranger: 0, self: 0 };
      const proposed = { ...accepted };
      const cached = { plain: 0, own: 0, draft: 0, single: 0, stranger: 0, self: 0 };
      await fc.assert(
        fc.asyncProperty(drawArb, async (draw) => {
          const { sequence, options } = drawn(target, draw);
          const run = (strategy: StrategyName, model: Predictor, proposer?: Predictor) =>
            gather(strategyOf(strategy).run(sequence, { target: model, draft: proposer }, options));
          const plain = await run("plain", target);
          const isCached = options.cache !== undefined;
          if (isCached) cached.plain += plain.steps.length;
          else {
            // What the GPU decides is what TypeScript decides.
            const twin = await run("plain", stepByStep(target));
            assertEquals(twin.steps, plain.steps);
          }
          const propose = async (kind: keyof typeof accepted, proposer?: Predictor) => {
            const { steps, result } = await run(proposer ? "lossless" : "self", target, proposer);
            assertEquals(committed(steps), committed(plain.steps), kind);
            assertEquals(result.sequence, plain.result.sequence);
            const rounds = result.accepted.length;
            if (!options.stopAtEnd) {
              assertEquals(total(result.accepted) + rounds, plain.steps.length);
            }
            if (kind !== "self") assertEquals(result.targetForwards, rounds);
            accepted[kind] += total(result.accepted);
            proposed[kind] += total(result.proposed);
            if (isCached) cached[kind] += total(result.accepted);
            return result;
          };
          await propose("self");
          const chained = await propose("draft", draft);
          await propose("stranger", stranger);
          const own = await propose("own", target);
          const single = await propose("single", stepByStep(draft));
          if (isCached) return;
          // The same bits in the canvas as in the verification.
          assertEquals(own.accepted, own.proposed);
          const { readbacks, ...counts } = chained;
          assertEquals(counts, (({ readbacks: _, ...rest }) => rest)(single));
          assert(readbacks <= 2 * counts.targetForwards);
        }),
        { numRuns: draws, seed: 14 },
      );
      const figures = JSON.stringify({ accepted, proposed, cached });
      assert(accepted.self > 0 && accepted.own > 0, figures);
      assert(accepted.stranger < proposed.stranger / 2, figures);
      assert(accepted.draft > accepted.stranger, figures);
      const { stranger: _, ...others } = cached;
      assert(Object.values(others).every((count) => count > 0), figures);
      anyGpu.throwIfFaulty();
    }));
}
