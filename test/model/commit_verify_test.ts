/** Commit, then verify, on the embedded pair: the draft's canvas, its caches, the target's shadows. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  commitVerify,
  type CommitVerifyOptions,
} from "../../src/denoise/strategies/commit_verify.ts";
import type { Predictor } from "../../src/denoise/predictor.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import type { Model } from "../../src/model/model.ts";
import { gather } from "../denoise/draw.ts";
import { anyGpu } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { modelOf, TINY_DRAFT, TINY_TARGET } from "./models.ts";

const drawArb = fc.record({
  prompt: fc.integer({ min: 0, max: 6 }),
  pads: fc.constantFrom(0, 0, 2),
  blocks: fc.integer({ min: 1, max: 2 }),
  blockLength: fc.integer({ min: 1, max: 6 }),
  depth: fc.integer({ min: 1, max: 4 }),
  rounds: fc.constantFrom(undefined, 1),
  seed: fc.maxSafeNat(),
  temperature: fc.constantFrom(0, 0, 0.7),
  cfgScale: fc.constantFrom(0, 0, 1.5),
  draftThreshold: fc.constantFrom(0, 0.1, 0.6),
  targetThreshold: fc.constantFrom(0.2, 0.9),
  backThreshold: fc.constantFrom(0.1, 1),
});

type Draw = typeof drawArb extends fc.Arbitrary<infer T> ? T : never;

function drawn({ config }: Model, draw: Draw) {
  const { prompt, pads, blocks, blockLength, seed, ...rest } = draw;
  const { embeddingSize, maskTokenId, eosTokenId } = config;
  const ids = new Random(seed).integers(prompt, embeddingSize);
  const mask = Uint8Array.from(ids, (_, i) => i < pads ? 0 : 1);
  const options: CommitVerifyOptions = {
    ...rest,
    blockLength,
    steps: blocks * blockLength,
    seeds: [seed],
    eosToken: eosTokenId,
    endTokens: [eosTokenId],
    stopAtEnd: false,
  };
  const visible = pads > 0 ? mask : undefined;
  return { sequence: newSequence(ids, blocks * blockLength, maskTokenId, visible), options };
}

/** Without a canvas, as a draft elsewhere may be. */
const stepByStep = (model: Model): Predictor => ({ predict: (inputs) => model.predict(inputs) });

Deno.test("tiny pair: the draft's canvas gives what step by step gives, verdicts of every kind", async () => {
  const target = await modelOf(anyGpu, TINY_TARGET);
  const draft = await modelOf(anyGpu, TINY_DRAFT, "f32");
  const rounding = await modelOf(anyGpu, TINY_DRAFT);
  const seen = { accepted: 0, replaced: 0, remasked: 0 };
  await fc.assert(
    fc.asyncProperty(drawArb, async (draw) => {
      const { sequence, options } = drawn(target, draw);
      const run = (draft: Predictor, change: Partial<CommitVerifyOptions> = {}) =>
        gather(commitVerify(sequence, target, draft, { ...options, ...change }));
      const chained = await run(draft);
      const single = await run(stepByStep(draft));
      assertEquals(chained.steps, single.steps);
      for (const { proposed, rejected, remasked } of chained.steps) {
        seen.accepted += proposed!.length - rejected!.length;
        seen.replaced += rejected!.length - remasked!.length;
        seen.remasked += remasked!.length;
      }
      // Refreshed at every step, a cache in f32 changes nothing; else it is the draft's alone that is stale.
      const every = await run(rounding, { cache: "prefix", refreshInterval: 1 });
      for (const cache of ["prefix", "dual"] as const) {
        const fresh = await run(draft, { cache, refreshInterval: 1 });
        assertEquals(fresh.steps, chained.steps);
        const rounded = await run(rounding, { cache, refreshInterval: 1 });
        assertEquals(rounded.steps, every.steps);
        const { result } = await run(rounding, { cache });
        assert(!result.sequence.ids.subarray(draw.prompt).includes(sequence.maskToken));
      }
    }),
    { numRuns: 12, seed: 5 },
  );
  for (const [verdict, count] of Object.entries(seen)) assert(count > 0, `nothing was ${verdict}`);
});
