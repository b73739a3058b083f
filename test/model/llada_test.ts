import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import fc from "fast-check";
import type { ForwardInput } from "../../src/denoise/predictor.ts";
import type { FloatDType } from "../../src/gpu/dtype.ts";
import { Random } from "../kernels/random.ts";
import { assertPredictions, LOGITS_ABS, withReference } from "./against_reference.ts";
import type { CheckpointShape } from "./random_checkpoint.ts";

/** Shapes that no published model has, and each of which once could go wrong. */
const SHAPES: Readonly<Record<string, CheckpointShape>> = {
  "one head, one layer, sizes below a block": {
    heads: 1,
    kvHeads: 1,
    headDim: 16,
    layers: 1,
    ffnSize: 3,
    vocabSize: 5,
  },
  "heads of 18, hidden size 54, odd everything": {
    heads: 3,
    kvHeads: 1,
    headDim: 18,
    layers: 2,
    ffnSize: 37,
    vocabSize: 131,
    extraRows: 2,
    ropeTheta: 500000,
  },
  "heads of 20, tied, f16": {
    heads: 2,
    kvHeads: 2,
    headDim: 20,
    layers: 2,
    ffnSize: 129,
    vocabSize: 257,
    tied: true,
    dtypes: ["F16"],
    normEpsilon: 1e-3,
  },
  "heads of 34, grouped, bf16": {
    heads: 4,
    kvHeads: 2,
    headDim: 34,
    layers: 1,
    ffnSize: 100,
    vocabSize: 130,
    dtypes: ["BF16"],
  },
  "heads of 80, matrices of three types": {
    heads: 2,
    kvHeads: 1,
    headDim: 80,
    layers: 2,
    ffnSize: 65,
    vocabSize: 99,
    extraRows: 30,
    dtypes: ["F32", "BF16", "F16", "BF16"],
  },
  "heads of 128, more rows than the vocabulary has ids": {
    heads: 2,
    kvHeads: 2,
    headDim: 128,
    layers: 1,
    ffnSize: 200,
    vocabSize: 300,
    extraRows: 83,
    dtypes: ["BF16"],
    ropeTheta: 500000,
  },
};

/** GPU against f64: logits, hidden states, and predictions with noise, guidance and padding. */
async function compare(shape: CheckpointShape, seed: string, lengths: readonly number[]) {
  await withReference(shape, seed, async (model, reference) => {
    const random = new Random(`${seed} inputs`);
    const { embeddingSize, maskTokenId } = model.config;

    const inputs = lengths.map((length, i): ForwardInput => {
      const ids = random.integers(length, embeddingSize);
      const pads = i % 2 === 1 ? Math.min(3, length - 1) : 0;
      const attentionMask = Uint8Array.from(ids, (_, i) => i < pads ? 0 : 1);
      return {
        ids,
        attentionMask: pads > 0 ? attentionMask : undefined,
        positions: Uint32Array.from(ids.keys()).subarray(pads),
        guidance: i % 3 === 2
          ? { scale: 0.5, unconditionalIds: new Uint32Array(length).fill(maskTokenId) }
          : undefined,
        choice: {
          temperature: i % 2 === 1 ? 0.9 : 0,
          seed: 100 + i,
          step: i,
          bannedTokens: [random.integer(embeddingSize)],
          unconfidentTokens: [],
        },
      };
    });
    for (const { ids, attentionMask } of inputs) {
      const expected = reference.forward(ids, attentionMask);
      const found = await model.forward(ids, { attentionMask });
      const pads = found.positions[0];
      const visible = expected.logits.subarray(pads * embeddingSize);
      assertEquals(found.logits.length, visible.length);
      found.logits.forEach((logit, i) =>
        assertAlmostEquals(logit, visible[i], LOGITS_ABS, `logit ${i}: ${visible[i]}, ${logit}`)
      );
      for (const name of ["embed", "block.0.out", "final_norm"]) {
        const rows = expected.hidden.get(name)!.subarray(pads * model.config.hiddenSize);
        const own = found.hidden.get(name)!;
        assertEquals(own.length, rows.length, name);
        own.forEach((value, i) => assertAlmostEquals(value, rows[i], LOGITS_ABS, `${name}[${i}]`));
      }
    }
    const expected = await reference.predict(inputs);
    const found = await model.predict(inputs);
    expected.forEach((predictions, i) => assertPredictions(found[i], predictions));
    assert(found.flat().length > 0);
  });
}

for (const [name, shape] of Object.entries(SHAPES)) {
  Deno.test(`against f64: ${name}`, () => compare(shape, name, [1, 9, 17, 33]));
}

Deno.test("against f64: random shapes", async () => {
  const shapeArb = fc.record({
    heads: fc.integer({ min: 1, max: 4 }),
    group: fc.nat(3),
    headDim: fc.integer({ min: 8, max: 64 }).map((half) => 2 * half),
    layers: fc.integer({ min: 1, max: 2 }),
    ffnSize: fc.integer({ min: 1, max: 140 }),
    vocabSize: fc.integer({ min: 3, max: 270 }),
    extraRows: fc.nat(9),
    tied: fc.boolean(),
    dtype: fc.constantFrom<FloatDType>("F32", "F16", "BF16"),
    lengths: fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 }),
    seed: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(shapeArb, async ({ group, dtype, lengths, seed, ...shape }) => {
      const divisors = [1, 2, 3, 4].filter((count) => shape.heads % count === 0);
      const kvHeads = divisors[group % divisors.length];
      await compare({ ...shape, kvHeads, dtypes: [dtype] }, `${seed}`, lengths);
    }),
    { numRuns: 10, seed: 4 },
  );
});
