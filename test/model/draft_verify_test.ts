/** Proposals on real models: a draft changes what is run, never what is committed. */

import { assert, assertEquals } from "@std/assert";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { denoise, type DenoiseOptions, type DenoiseStep } from "../../src/denoise/denoise.ts";
import { lossless, selfDraft } from "../../src/denoise/draft_verify.ts";
import type { Predictor } from "../../src/denoise/predictor.ts";
import { newSequence, type Sequence } from "../../src/denoise/sequence.ts";
import { loadModel } from "../../src/model/load.ts";
import type { Model } from "../../src/model/model.ts";
import { gather } from "../denoise/draw.ts";
import { anyGpu } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { goldenPath } from "../reference/golden.ts";
import { modelOf, TINY_TARGET } from "./models.ts";
import { type CheckpointShape, withFolder, writeCheckpoint } from "./random_checkpoint.ts";

const PAIRS = {
  "tiny pair": {
    target: TINY_TARGET,
    draft: fileURLToPath(new URL("../../models/tiny-draft", import.meta.url)),
  },
  "golden pair": {
    target: goldenPath("checkpoints/pair-target"),
    draft: goldenPath("checkpoints/pair-draft"),
  },
} as const;

/** As many tokens as the target has, and nothing else in common. */
const strangerTo = ({ config }: Model): CheckpointShape => ({
  heads: 2,
  kvHeads: 1,
  headDim: 16,
  layers: 1,
  ffnSize: 24,
  vocabSize: config.embeddingSize,
});

const drawArb = fc.record({
  prompt: fc.integer({ min: 0, max: 6 }),
  pads: fc.constantFrom(0, 0, 2),
  blocks: fc.integer({ min: 1, max: 2 }),
  blockLength: fc.integer({ min: 1, max: 5 }),
  stepsPerBlock: fc.integer({ min: 1, max: 5 }),
  depth: fc.integer({ min: 1, max: 4 }),
  seed: fc.maxSafeNat(),
  remasking: fc.constantFrom(
    "low_confidence" as const,
    "low_confidence" as const,
    "random" as const,
  ),
  temperature: fc.constantFrom(0, 0, 0.7),
  cfgScale: fc.constantFrom(0, 0, 1.5),
  stopAtEnd: fc.boolean(),
});

type Draw = typeof drawArb extends fc.Arbitrary<infer T> ? T : never;

function drawn(model: Model, draw: Draw): { sequence: Sequence; options: DenoiseOptions } {
  const { prompt, pads, blocks, blockLength, stepsPerBlock, seed, ...rest } = draw;
  const { embeddingSize, maskTokenId, eosTokenId } = model.config;
  const ids = new Random(seed).integers(prompt, embeddingSize);
  const mask = Uint8Array.from(ids, (_, i) => i < pads ? 0 : 1);
  return {
    sequence: newSequence(ids, blocks * blockLength, maskTokenId, pads > 0 ? mask : undefined),
    options: {
      ...rest,
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

/** Without a canvas, as a draft elsewhere may be. */
const stepByStep = (model: Model): Predictor => ({ predict: (inputs) => model.predict(inputs) });

for (const [name, folders] of Object.entries(PAIRS)) {
  Deno.test(`${name}: lossless and self commit what the target alone does`, () =>
    withFolder(async (dir) => {
      const target = await modelOf(anyGpu, folders.target);
      const draft = await modelOf(anyGpu, folders.draft);
      await writeCheckpoint(dir, strangerTo(target), "stranger");
      using stranger = await loadModel(anyGpu, dir);
      const accepted = { own: 0, draft: 0, single: 0, stranger: 0, self: 0 };
      let proposed = 0;
      await fc.assert(
        fc.asyncProperty(drawArb, async (draw) => {
          const { sequence, options } = drawn(target, draw);
          const { depth } = draw;
          const plain = await gather(denoise([sequence], target, options));
          const propose = async (kind: keyof typeof accepted, proposer?: Predictor) => {
            const { steps, result } = await gather(
              proposer
                ? lossless(sequence, target, proposer, { ...options, depth })
                : selfDraft(sequence, target, { ...options, depth }),
            );
            assertEquals(committed(steps), committed(plain.steps), kind);
            assertEquals(result.sequence, plain.result.sequences[0]);
            const rounds = result.accepted.length;
            if (steps.length === options.steps) {
              assertEquals(total(result.accepted) + rounds, options.steps);
            }
            if (kind !== "self") assertEquals(result.targetForwards, rounds);
            accepted[kind] += total(result.accepted);
            return result;
          };
          await propose("self");
          const chained = await propose("draft", draft);
          proposed += total(chained.proposed);
          await propose("stranger", stranger);
          // The same bits in the canvas as in the verification.
          const own = await propose("own", target);
          assertEquals(own.accepted, own.proposed);
          const { readbacks: _, ...single } = await propose("single", stepByStep(draft));
          const { readbacks, ...counts } = chained;
          assertEquals(counts, single);
          assert(readbacks <= 2 * counts.targetForwards);
        }),
        { numRuns: 20, seed: 11 },
      );
      assertEquals(accepted.draft, accepted.single);
      assert(accepted.self > 0 && accepted.own > 0);
      assert(accepted.stranger < proposed / 2, `a stranger's ${accepted.stranger} of ${proposed}`);
      assert(accepted.draft > accepted.stranger, `accepted: ${JSON.stringify(accepted)}`);
    }));
}
