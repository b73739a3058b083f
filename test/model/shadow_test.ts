/** Shadow rows: decided positions asked as though they were masked. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { type ForwardInput, GREEDY } from "../../src/denoise/predictor.ts";
import type { Model } from "../../src/model/model.ts";
import { anyGpu, forms } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { assertPredictions, LOGITS_ABS, withReference } from "./against_reference.ts";
import { goldenModel } from "./models.ts";
import type { CheckpointShape } from "./random_checkpoint.ts";

const SHAPE: CheckpointShape = {
  heads: 3,
  kvHeads: 1,
  headDim: 18,
  layers: 2,
  ffnSize: 37,
  vocabSize: 131,
  extraRows: 2,
};

const inputArb = fc.record({
  length: fc.integer({ min: 1, max: 45 }),
  pads: fc.constantFrom(0, 0, 3),
  guided: fc.boolean(),
  temperature: fc.constantFrom(0, 0.8),
  /** Share of positions that have a shadow. */
  shadowed: fc.constantFrom(0, 0.2, 1),
});

type Draw = Parameters<Parameters<typeof inputArb.map>[0]>[0];

/** Half the positions masked, shadows of some of the others, everything asked. */
function inputOf({ config }: Model, draw: Draw, random: Random): ForwardInput {
  const { length, guided, temperature, shadowed } = draw;
  const pads = Math.min(draw.pads, length - 1);
  const ids = random.integers(length, config.embeddingSize)
    .map((id) => random.next() < 0.5 ? config.maskTokenId : id);
  const positions = Uint32Array.from(ids.keys()).subarray(pads);
  return {
    ids,
    attentionMask: pads > 0 ? Uint8Array.from(ids, (_, i) => i < pads ? 0 : 1) : undefined,
    positions,
    shadows: positions.filter((position) =>
      ids[position] !== config.maskTokenId && random.next() < shadowed
    ),
    guidance: guided
      ? { scale: 0.5, unconditionalIds: new Uint32Array(length).fill(config.maskTokenId) }
      : undefined,
    choice: { ...GREEDY, temperature, seed: random.integer(99), step: random.integer(9) },
  };
}

const withoutShadows = (input: ForwardInput) => ({ ...input, shadows: undefined });

for (const kvHeads of [1, 3]) {
  Deno.test(`against f64, ${kvHeads} key heads: what is asked through shadows`, async () => {
    await withReference({ ...SHAPE, kvHeads }, `shadows ${kvHeads}`, async (model, reference) => {
      let shadows = 0;
      await fc.assert(
        fc.asyncProperty(
          fc.array(inputArb, { minLength: 1, maxLength: 4 }),
          fc.nat(),
          async (draws, seed) => {
            const random = new Random(seed);
            const inputs = draws.map((draw) => inputOf(model, draw, random));
            const expected = await reference.predict(inputs);
            const found = await model.predict(inputs);
            expected.forEach((predictions, i) => assertPredictions(found[i], predictions));
            shadows += inputs.reduce((sum, { shadows }) => sum + shadows!.length, 0);
          },
        ),
        { numRuns: 12, seed: 6 },
      );
      assert(shadows > 100);
    });
  });
}

Deno.test("in one layer a lone shadow is the masked state, up to rounding", async () => {
  await withReference({ ...SHAPE, layers: 1 }, "one layer", async (model) => {
    const random = new Random("one layer");
    let different = 0;
    for (const length of [1, 8, 9, 33]) {
      const ids = random.integers(length, model.config.embeddingSize);
      for (const position of [0, length >> 1, length - 1]) {
        const asked = { ids, positions: Uint32Array.of(position), choice: GREEDY };
        const masked = { ...asked, ids: ids.with(position, model.config.maskTokenId) };
        const shadowed = { ...asked, shadows: asked.positions };
        const [decided, expected, found] = await model.predict([asked, masked, shadowed]);
        assertPredictions(found, expected);
        const apart = Math.abs(decided[0].logSumExp - expected[0].logSumExp);
        if (apart > 100 * LOGITS_ABS) different++;
      }
    }
    assert(different > 6, "a decided position answers as a masked one does");
  });
});

for (const [form, gpu] of forms) {
  Deno.test(`${form}: shadows change no bit of other rows, nor of one another`, async () => {
    const model = await goldenModel(gpu, "gqa-bf16");
    let apart = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(inputArb, { minLength: 1, maxLength: 3 }),
        fc.nat(),
        async (draws, seed) => {
          const random = new Random(seed);
          const inputs = draws.map((draw) => inputOf(model, draw, random));
          const plain = await model.predict(inputs.map(withoutShadows));
          const together = await model.predict(inputs);
          for (const [i, input] of inputs.entries()) {
            const { shadows } = input as { shadows: Uint32Array };
            assertEquals((await model.predict([input]))[0], together[i]);
            input.positions.forEach((position, j) => {
              if (!shadows.includes(position)) assertEquals(together[i][j], plain[i][j]);
              else if (together[i][j].logSumExp !== plain[i][j].logSumExp) apart++;
            });
            if (shadows.length === 0) continue;
            const one = Uint32Array.of(shadows[random.integer(shadows.length)]);
            const [alone] = await model.predict([{ ...input, positions: one, shadows: one }]);
            assertEquals(alone, together[i].filter(({ position }) => position === one[0]));
          }
        },
      ),
      { numRuns: 8, seed: 7 },
    );
    assert(apart > 20, "shadows answer as their positions do");
  });
}

Deno.test("shadows that make no sense are named", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const good: ForwardInput = {
    ids: Uint32Array.of(3, 14, 159, 26),
    positions: Uint32Array.of(1, 3),
    choice: GREEDY,
  };
  const bad: [Partial<ForwardInput>, string][] = [
    [{ shadows: Uint32Array.of(0, 4) }, "inputs[0].shadows[1] is 4: there are 4"],
    [
      { shadows: Uint32Array.of(2), attentionMask: Uint8Array.of(1, 1, 0, 1) },
      "inputs[0].shadows[0] is 2: the attention mask hides it",
    ],
    [
      { shadows: Uint32Array.of(0, 3, 1) },
      "inputs[0].shadows[2] is 1, expected more than the 3 before it",
    ],
    [
      { shadows: Uint32Array.of(1, 1) },
      "inputs[0].shadows[1] is 1, expected more than the 1 before it",
    ],
  ];
  for (const [change, message] of bad) {
    await assertRejects(() => model.predict([{ ...good, ...change }]), RangeError, message);
  }
  assertEquals((await model.predict([good]))[0].length, 2);
});
