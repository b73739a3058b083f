/** Several states at once against kept keys and values: each answers as a canvas of its own would. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import {
  type Canvas,
  type CanvasStep,
  GREEDY,
  type PositionRange,
  type TokenChoice,
} from "../../src/denoise/predictor.ts";
import type { Model } from "../../src/model/model.ts";
import { anyGpu, DeviceWatch, elements } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { goldenModel } from "./models.ts";

const BASE = {
  blockEnd: Infinity,
  commits: 0,
  remasking: "low_confidence",
  choices: [GREEDY],
  stopAtEnd: false,
} as const satisfies CanvasStep;

const open = (model: Model, ids: Uint32Array, attentionMask?: Uint8Array): Promise<Canvas> => {
  const { maskTokenId: maskToken } = model.config;
  return model.openCanvas([{ ids, attentionMask, promptLength: 0, endTokens: [], maskToken }]);
};

const masksOf = (ids: Uint32Array, mask: number, { first, end }: PositionRange) =>
  Uint32Array.from(ids.keys()).filter((at) => at >= first && at < end && ids[at] === mask);

/** The first `pads` hidden, about half of the others masks. */
function randomState(model: Model, random: Random, length: number, pads: number) {
  const { embeddingSize, maskTokenId } = model.config;
  const ids = random.integers(length, embeddingSize)
    .map((id, i) => i < pads ? 0 : random.next() < 0.5 ? maskTokenId : id);
  return ids;
}

const cases = ["mha-f32", "gqa-bf16"].flatMap((name) =>
  elements.map((element) => [name, element] as const)
);

for (const [name, element] of cases) {
  Deno.test(`${name}, kept in ${element}: a state's answer has the bits of its own canvas, whatever else is asked`, async () => {
    const model = await goldenModel(anyGpu, name, element);
    const { maskTokenId: mask } = model.config;
    let compared = 0;
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 5 }), async (seed, count) => {
        const random = new Random(seed);
        const length = 6 + random.integer(60);
        const pads = random.next() < 0.5 ? 0 : random.integer(4);
        const attentionMask = Uint8Array.from({ length }, (_, i) => i < pads ? 0 : 1);
        const start = randomState(model, random, length, pads);
        const horizon = random.next() < 0.7 ? length : length - random.integer(length - pads - 1);
        const first = pads + random.integer(horizon - pads);
        const part = { first, end: first + 1 + random.integer(length - first) };
        const canvas = await open(model, start, attentionMask);
        const ask = (ids: Uint32Array, within: PositionRange, step: number) => {
          const choice: TokenChoice = { ...GREEDY, temperature: 0.5, seed, step };
          const shown = ids.subarray(0, horizon);
          return { ids: shown, positions: masksOf(shown, mask, within), choice };
        };
        // Two rounds: the second finds what the first left.
        for (let round = 0; round < 2; round++) {
          const whole = randomState(model, random, length, pads);
          const states = Array.from(
            { length: count },
            () =>
              whole.map((id, i) =>
                i >= part.first && i < part.end && random.next() < 0.5 ? mask : id
              ),
          );
          const [refreshed] = await canvas.predict(
            [ask(whole, { first: 0, end: length }, 9)],
            "refresh",
          );
          const answers = await canvas.predict(states.map((ids, i) => ask(ids, part, i)), part);
          for (const [i, ids] of states.entries()) {
            const alone = await open(model, whole, attentionMask);
            const step = (at: number, cache: CanvasStep["cache"], within: PositionRange) => ({
              ...BASE,
              commits: length,
              choices: [ask(ids, within, at).choice],
              blockStart: within.first,
              blockEnd: Math.min(horizon, within.end),
              cache,
              horizon,
            });
            const [[full]] = await alone.run([step(9, "refresh", { first: 0, end: length })]);
            assertEquals(full, refreshed.map(asCommit));
            alone.setIds(0, ids);
            const [[expected]] = await alone.run([step(i, part, part)]);
            assertEquals(answers[i].map(asCommit), expected);
            compared += expected.length;
            alone.destroy();
          }
        }
        canvas.destroy();
      }),
      { numRuns: 12, seed: 3 },
    );
    assert(compared > 100, `${compared} predictions compared`);
    anyGpu.throwIfFaulty();
  });
}

const asCommit = (
  { position, token, confidence, logProbability }: Awaited<
    ReturnType<Canvas["predict"]>
  >[number][number],
) => ({ position, token, confidence, logProbability });

Deno.test("asking leaves the canvas, and what it keeps, as they are", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { maskTokenId: mask } = model.config;
  const random = new Random("asking");
  const ids = randomState(model, random, 24, 0);
  const part = { first: 8, end: 16 };
  const refresh: CanvasStep = { ...BASE, cache: "refresh" };
  const step = { ...BASE, blockStart: 8, blockEnd: 16, commits: 8, cache: part };
  const expected = await open(model, ids);
  const commits = await expected.run([refresh, step]);
  const canvas = await open(model, ids);
  await canvas.run([refresh]);
  const other = randomState(model, random, 24, 0);
  const ask = (state: Uint32Array) => ({
    ids: state,
    positions: masksOf(state, mask, part),
    choice: GREEDY,
  });
  await canvas.predict([ask(other), ask(ids), ask(other)], part);
  assertEquals(await canvas.run([step]), [commits[1]]);
  assertEquals(await canvas.predict([], part), []);
  for (const made of [canvas, expected]) made.destroy();
});

Deno.test("what cannot be asked is refused, and nothing that is kept is lost", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { maskTokenId: mask } = model.config;
  const ids = new Uint32Array(8).fill(mask);
  const part = { first: 2, end: 5 };
  const ask = (positions: number[]) => ({
    ids,
    positions: Uint32Array.from(positions),
    choice: GREEDY,
  });
  const canvas = await open(model, ids);
  const refused = (body: Promise<unknown>, message: string) =>
    assertRejects(() => body, RangeError, message);
  await refused(canvas.predict([ask([2])], part), "no keys and values are kept yet");
  await refused(canvas.predict([ask([2]), ask([2])], "refresh"), "of one state at a time");
  const [whole] = await canvas.predict([ask([2, 3])], "refresh");
  for (const position of [1, 5]) {
    await refused(
      canvas.predict([ask([2]), ask([position])], part),
      `position ${position} is asked`,
    );
  }
  const bad = { ...ask([2]), choice: { ...GREEDY, temperature: -1 } };
  await refused(canvas.predict([bad], part), "asked[0].choice.temperature is -1");
  // Right behind a refresh a part answers as the whole does.
  const answers = await canvas.predict([ask([2, 3]), ask([2, 3])], part);
  assertEquals(answers, [whole, whole]);
  canvas.destroy();
  await assertRejects(() => canvas.predict([ask([2])], part), Error, "the canvas was destroyed");
  const sequence = { ids, promptLength: 0, endTokens: [], maskToken: mask };
  const two = await model.openCanvas([sequence, sequence]);
  await refused(two.predict([ask([2])], "refresh"), "for one sequence: the canvas has 2");
  two.destroy();
  anyGpu.throwIfFaulty();
});

Deno.test("room for the states is made once, and used by those of the next canvas", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const ids = new Uint32Array(12).fill(model.config.maskTokenId);
  const part = { first: 3, end: 9 };
  const ask = { ids, positions: Uint32Array.of(3, 4), choice: GREEDY };
  const run = async (canvas: Canvas) => {
    await canvas.predict([ask], "refresh");
    for (const states of [4, 1, 3]) await canvas.predict(new Array(states).fill(ask), part);
  };
  const first = await open(model, ids);
  await run(first);
  first.destroy();
  using watch = new DeviceWatch(anyGpu);
  const { free } = model.pages;
  const canvas = await open(model, ids);
  await run(canvas);
  assertEquals(model.pages.free, free - 1, "states have no pages of the pool");
  await run(canvas);
  canvas.destroy();
  assertEquals([model.pages.free, watch.alive.size], [free, 0]);
});
