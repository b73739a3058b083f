/** The automatic choice of layers and width, with measures that are known. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import * as fc from "fast-check";
import { contiguousBlocks } from "../../../src/compress/prune/ablation.ts";
import { chooseWithin, widestWithin } from "../../../src/compress/prune/auto_pruning.ts";
import type { DraftFigures } from "../../../src/evaluate/draft_agreement.ts";
import { parseConfig } from "../../../src/model/loading/config.ts";
import type { ModelConfig } from "../../../src/model/model_config.ts";
import { passMultiplications, passShare } from "../../../src/model/pass_cost.ts";
import { SYNTHETIC_SHAPES, syntheticConfig } from "../../../src/model/synthetic/synthetic_shape.ts";

const configOf = (name: keyof typeof SYNTHETIC_SHAPES): ModelConfig =>
  parseConfig(syntheticConfig(SYNTHETIC_SHAPES[name]), name);

function figuresOf(agreement: number): DraftFigures {
  return { agreement, byRatio: [], confidentCorrect: 1, confidentShare: 1, calibrationError: 0 };
}

Deno.test("a pass costs what its matrices hold, but for the embedding", () => {
  // Parameters of the card less the embedding and the norms, which multiply no matrix.
  const tiny = configOf("tiny-target");
  assertEquals(passMultiplications(tiny), 2_623_616 - 2048 * 128 - 17 * 128);
  const share = passShare(configOf("tiny-draft"), tiny);
  assert(Math.abs(share - 0.2491) < 1e-4, `${share}`);
  const large = configOf("llada-8b");
  assertEquals(passMultiplications(large), 8_015_581_184 - 126464 * 4096 - 65 * 4096);
});

Deno.test("the widest layers within a cost are within it, and the next group is not", () => {
  const shapes = (["tiny-target", "mid", "llada-8b"] as const).map(configOf);
  fc.assert(fc.property(
    fc.constantFrom(...shapes),
    fc.nat(),
    fc.double({ min: 0.05, max: 1, noNaN: true }),
    (config, n, cost) => {
      const layers = 1 + n % config.layers;
      const width = widestWithin(config, layers, cost);
      const shareOf = (ffnSize: number) => passShare({ ...config, layers, ffnSize }, config);
      if (width === undefined) {
        assert(shareOf(config.ffnSize / 8) > cost);
      } else if (width < config.ffnSize) {
        assertEquals(width % (config.ffnSize === 512 ? 16 : 64), 0);
        assert(shareOf(width) <= cost);
        assert(shareOf(width + 64) > cost);
      } else assert(shareOf(width) <= cost);
    },
  ));
});

Deno.test("layers are removed by what they are worth, and the best depth is taken", async () => {
  const config = configOf("tiny-target");
  const worth = [9, 3, 1, 4, 2, 8, 5, 7];
  const importance = Array.from(
    { length: 8 },
    () => Float32Array.from({ length: 512 }, (_, i) => i),
  );
  const asked: string[] = [];
  let planned = 0;
  const result = await chooseWithin(config, importance, 0.4, {
    planned: (measurements) => planned = measurements,
    ablate(skipped) {
      asked.push(skipped.join());
      const lost = skipped.reduce((sum, layer) => sum + worth[layer], 0);
      return Promise.resolve({ skipped, ...figuresOf(1 - lost / 40) });
    },
    measure({ layers, neurons }) {
      // Neurons and layers are worth the same here: something between is best.
      return Promise.resolve(figuresOf(layers.length / 8 * neurons[0].length / 512));
    },
  });
  assertEquals(result.rounds.map(({ skipped }) => skipped.join()), [
    "2",
    "2,4",
    "1,2,4",
    "1,2,3,4",
    "1,2,3,4,6",
    "1,2,3,4,6,7",
    "1,2,3,4,5,6,7",
  ]);
  assertEquals(asked.length, 8 + 7 + 6 + 5 + 4 + 3 + 2);
  assertEquals(planned, asked.length + result.candidates.length);
  for (const { pruning, cost } of result.candidates) {
    assert(cost <= 0.4);
    // The largest importances, which are the last.
    const [neurons] = pruning.neurons;
    assertEquals([neurons[0], neurons.at(-1)], [512 - neurons.length, 511]);
  }
  const best = Math.max(...result.candidates.map(({ figures }) => figures.agreement));
  assertEquals(result.chosen.figures.agreement, best);
  assert(result.candidates.length > 3);
});

Deno.test("a cost that the head alone exceeds is refused, with the least there is", async () => {
  const never = () => Promise.reject(new Error("nothing should be measured"));
  const choice = chooseWithin(configOf("tiny-target"), [], 0.1, { ablate: never, measure: never });
  await assertRejects(() => choice, RangeError, "a cost of 0.1 is below 0.149");
});

Deno.test("blocks are every layer alone, then the contiguous ones of each length", () => {
  assertEquals(contiguousBlocks(3, [2]), [[0], [1], [2], [0, 1], [1, 2]]);
  assertEquals(contiguousBlocks(4, [3, 9, 1]).slice(4), [[0, 1, 2], [1, 2, 3]]);
  assertEquals(contiguousBlocks(32, [8]).length, 32 + 25);
});
