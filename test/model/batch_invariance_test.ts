import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { CONFIDENCE_MEASURES } from "../../src/denoise/confidence.ts";
import { type ForwardInput, GREEDY, type Prediction } from "../../src/denoise/predictor.ts";
import type { Model } from "../../src/model/model.ts";
import type { Arithmetic } from "../../src/gpu/kernel.ts";
import { allForms, type DeviceForm, lacks } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { loadModel } from "../../src/model/loading/load.ts";
import { quantised } from "../../src/quant/scheme.ts";
import { goldenPath } from "../reference/golden.ts";
import { skipIf } from "../skip.ts";
import { goldenModel, modelOf, TINY_TARGET } from "./models.ts";

/** What a sequence of the batch is like. */
const sequenceArb = fc.record({
  length: fc.integer({ min: 1, max: 41 }),
  /** Share of positions asked for. */
  asked: fc.constantFrom(0, 0.3, 1),
  temperature: fc.constantFrom(0, 0.8),
  guided: fc.boolean(),
  sampled: fc.boolean(),
  /** Share of positions that the attention mask hides. */
  hidden: fc.constantFrom(0, 0, 0.4),
});

const batchArb = fc.record({
  seed: fc.nat(),
  sequences: fc.array(sequenceArb, { minLength: 2, maxLength: 5 }),
});

type SequenceDraw = Parameters<Parameters<typeof sequenceArb.map>[0]>[0];

function inputOf(model: Model, draw: SequenceDraw, random: Random): ForwardInput {
  const { length, asked, temperature, guided, sampled, hidden } = draw;
  const { embeddingSize, maskTokenId } = model.config;
  const ids = random.integers(length, embeddingSize)
    .map((id) => random.next() < 0.5 ? maskTokenId : id);
  const attentionMask = Uint8Array.from(ids, (_, i) => i > 0 && random.next() < hidden ? 0 : 1);
  const positions = Uint32Array.from(ids.keys())
    .filter((i) => attentionMask[i] === 1 && (i === 0 || random.next() < asked));
  return {
    ids,
    attentionMask: hidden > 0 ? attentionMask : undefined,
    positions,
    guidance: guided
      ? { scale: 1.5, unconditionalIds: new Uint32Array(length).fill(maskTokenId) }
      : undefined,
    choice: {
      temperature,
      seed: random.integer(2 ** 32),
      step: random.integer(100),
      bannedTokens: [],
      unconfidentTokens: temperature > 0 ? [random.integer(embeddingSize)] : [],
      measure: CONFIDENCE_MEASURES[random.integer(CONFIDENCE_MEASURES.length)],
      ...sampled && {
        sampling: {
          topK: 1 + random.integer(20),
          topP: random.next(),
          changes: [{ token: random.integer(embeddingSize), repetition: 1.5, offset: -1 }],
          likeliest: random.integer(3),
        },
      },
    },
  };
}

/** The input behind `pads` hidden tokens. */
function leftPadded(input: ForwardInput, pads: number, padToken: number): ForwardInput {
  const shift = <T extends Uint32Array | Uint8Array>(padded: T, own: T) => {
    padded.set(own, pads);
    return padded;
  };
  const length = pads + input.ids.length;
  const own = input.attentionMask ?? new Uint8Array(input.ids.length).fill(1);
  return {
    ...input,
    ids: shift(new Uint32Array(length).fill(padToken), input.ids),
    attentionMask: shift(new Uint8Array(length), own),
    positions: input.positions.map((position) => position + pads),
    guidance: input.guidance && {
      ...input.guidance,
      unconditionalIds: shift(
        new Uint32Array(length).fill(padToken),
        input.guidance.unconditionalIds,
      ),
    },
  };
}

const withoutPositions = (predictions: readonly Prediction[]) =>
  predictions.map(({ position: _, ...rest }) => rest);

for (const [form, gpu] of allForms) {
  for (const name of ["tiny-target", "gqa-bf16", "mha-f32"]) {
    const open = () => name === "tiny-target" ? modelOf(gpu, TINY_TARGET) : goldenModel(gpu, name);

    Deno.test(`${name}, ${form}: a sequence has the same bits alone and in any batch`, async () => {
      const model = await open();
      await fc.assert(
        fc.asyncProperty(batchArb, async ({ seed, sequences }) => {
          const random = new Random(seed);
          const inputs = sequences.map((draw) => inputOf(model, draw, random));
          const together = await model.predict(inputs);
          const order = random.permutation(inputs.length);
          const shuffled = await model.predict(order.map((i) => inputs[i]));
          for (const [i, input] of inputs.entries()) {
            const [alone] = await model.predict([input]);
            assertEquals(together[i], alone, `sequence ${i} of ${inputs.length}`);
            assertEquals(shuffled[order.indexOf(i)], alone, `sequence ${i}, order ${order}`);
            assertEquals(alone.map(({ position }) => position), [...input.positions]);
            assert(alone.every(({ logSumExp }) => Number.isFinite(logSumExp)));
          }
        }),
        { numRuns: 6, seed: 1 },
      );
    });

    Deno.test(`${name}, ${form}: left padding and fewer questions change no bit`, async () => {
      const model = await open();
      await fc.assert(
        fc.asyncProperty(batchArb, async ({ seed, sequences }) => {
          const random = new Random(seed);
          const inputs = sequences.map((draw) => inputOf(model, { ...draw, asked: 1 }, random));
          const longest = Math.max(...inputs.map(({ ids }) => ids.length)) + 3;
          const padded = await model.predict(
            inputs.map((input) =>
              leftPadded(input, longest - input.ids.length, model.config.eosTokenId)
            ),
          );
          for (const [i, input] of inputs.entries()) {
            const [alone] = await model.predict([input]);
            assertEquals(withoutPositions(padded[i]), withoutPositions(alone));
            const one = random.integer(input.positions.length);
            const positions = input.positions.subarray(one, one + 1);
            const [single] = await model.predict([{ ...input, positions }]);
            assertEquals(single, [alone[one]]);
          }
        }),
        { numRuns: 4, seed: 2 },
      );
    });
  }
}

/** Integer products in every form; f16, which software takes long over, where rows lie in memory as f16. */
const IN_BATCHES: readonly (readonly [Arithmetic, DeviceForm])[] = [
  ...[...allForms.keys()].map((form) => ["int8", form] as const),
  ["f16", "uniform"],
];

for (const [arithmetic, form] of IN_BATCHES) {
  const gpu = allForms.get(form)!;
  const name = `q4 in ${arithmetic}, ${form}: a sequence has the same bits alone and in a batch`;
  Deno.test({
    ...skipIf(arithmetic === "f16" ? lacks(gpu, "shader-f16") : undefined, name),
    async fn() {
      const q4 = quantised("q4", 32);
      using model = await loadModel(gpu, goldenPath("checkpoints/gqa-bf16"), {
        precision: { layers: q4, head: q4, arithmetic },
        kvCache: "f32",
      });
      const random = new Random("int8 in batches");
      const inputs = [3, 17, 1, 40].map((length): ForwardInput => {
        const ids = random.integers(length, model.config.embeddingSize);
        return { ids, positions: Uint32Array.from(ids.keys()), choice: GREEDY };
      });
      const together = await model.predict(inputs);
      for (const [i, input] of inputs.entries()) {
        assertEquals(together[i], (await model.predict([input]))[0], `sequence ${i}`);
      }
    },
  });
}

Deno.test("more asked rows than one pass of the head takes: the same bits", async () => {
  const [[, gpu]] = allForms;
  const model = await goldenModel(gpu, "mha-f32");
  const random = new Random("many rows");
  const inputs = Array.from({ length: 9 }, (_, i): ForwardInput => {
    const ids = random.integers(150, model.config.embeddingSize);
    const choice = { ...GREEDY, temperature: 0.5, seed: i };
    return { ids, positions: Uint32Array.from(ids.keys()), choice };
  });
  const together = await model.predict(inputs);
  for (const [i, input] of inputs.entries()) {
    assertEquals(together[i], (await model.predict([input]))[0], `sequence ${i}`);
  }
});

Deno.test("guidance of scale 0 asks for no second sequence", async () => {
  const [[, gpu]] = allForms;
  const model = await goldenModel(gpu, "mha-f32");
  const random = new Random("idle guidance");
  const ids = random.integers(9, model.config.embeddingSize);
  const plain = { ids, positions: Uint32Array.from(ids.keys()), choice: GREEDY };
  const idle = { ...plain, guidance: { scale: 0, unconditionalIds: new Uint32Array(9) } };
  const dispatches = async (inputs: readonly ForwardInput[]) => {
    const before = model.recorder.counts.dispatches;
    const result = await model.predict(inputs);
    return [result, model.recorder.counts.dispatches - before] as const;
  };
  assertEquals(await dispatches([idle, plain]), await dispatches([plain, plain]));
});
