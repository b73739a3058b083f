/** What a run takes, and what it leaves when it is cut short, refused, or its canvases go. */

import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { type CanvasStep, GREEDY } from "../../../src/denoise/predictor.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import { PagesError } from "../../../src/model/batch/page_book.ts";
import type { Model } from "../../../src/model/model.ts";
import { GpuError } from "../../../src/gpu/device.ts";
import { upload } from "../../../src/gpu/tensor.ts";
import { anyGpu, DeviceWatch } from "../../gpu/device.ts";
import { Random } from "../../kernels/random.ts";
import { goldenPath } from "../../reference/golden.ts";
import { goldenModel } from "../models.ts";

const LENGTH = 40;

const open = (model: Model, seed: number, length = LENGTH) => {
  const { maskTokenId: mask, embeddingSize } = model.config;
  const ids = new Random(seed).integers(length, embeddingSize).fill(mask, 8);
  return model.canvas([{ ids, promptLength: 8, endTokens: [], maskToken: mask }]);
};

/** A refresh and parts of one block. */
const steps = (count: number, from = 0): CanvasStep[] =>
  Array.from({ length: count }, (_, i) => ({
    blockStart: 8,
    blockEnd: 24,
    commits: 1,
    cache: from + i === 0 ? "refresh" : { first: 8, end: 24 },
    remasking: "low_confidence",
    choices: [{ ...GREEDY, step: from + i }],
    stopAtEnd: false,
  }));

Deno.test("an aborted signal ends a slow run early, and what is left runs on", async () => {
  // Its pace is not known yet, so every pass is waited for.
  using model = await loadModel(anyGpu, goldenPath("checkpoints/mha-f32"), { kvCache: "f32" });
  const other = await goldenModel(anyGpu, "mha-f32");
  const [expected, second] = await other.runTogether(
    [open(other, 1).stepsJob(steps(4)), open(other, 2).stepsJob(steps(3))],
    4,
  );
  assertEquals([expected.length, second.length], [4, 3]);
  const [a, b] = [open(model, 1), open(model, 2)];
  const jobs = [a.stepsJob(steps(4)), b.stepsJob(steps(3))] as const;
  const [first, also] = await model.runTogether(jobs, 4, { signal: AbortSignal.abort("enough") });
  assertEquals([first, also], [expected.slice(0, 1), second.slice(0, 1)]);
  const rest = [a.stepsJob(steps(3, 1)), b.stepsJob(steps(2, 1))] as const;
  const [more, less] = await model.runTogether(rest, 2, { signal: new AbortController().signal });
  assertEquals([more, less], [expected.slice(1, 3), second.slice(1, 3)]);
  const [last] = await model.runTogether([a.stepsJob(steps(1, 3))], 9);
  assertEquals(last, expected.slice(3));
  for (const canvas of [a, b]) canvas.destroy();
});

Deno.test("a canvas that is destroyed during a run gives its pages back behind it", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { free } = model.pages;
  const [a, b] = [open(model, 1), open(model, 2)];
  const [, expected] = await model.runTogether([a.stepsJob(steps(3)), b.stepsJob(steps(3))], 3);
  const [c, d] = [open(model, 1), open(model, 2)];
  const run = model.runTogether([c.stepsJob(steps(3)), d.stepsJob(steps(3))], 3);
  c.destroy();
  // One that begins meanwhile finds other pages.
  const [, found] = await run;
  assertEquals(found, expected);
  assertThrows(() => c.stepsJob(steps(1)), Error, "the canvas was destroyed");
  for (const canvas of [a, b, d]) canvas.destroy();
  assertEquals([model.pages.free, model.pages.shared], [free, 0]);
});

Deno.test("runs do not overlap, a job runs once, and a canvas has one in a run", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const canvas = open(model, 3);
  const job = canvas.stepsJob(steps(1));
  const run = model.runTogether([job], 1);
  await assertRejects(
    () => model.runTogether([canvas.stepsJob(steps(1))], 1),
    Error,
    "a run began",
  );
  await run;
  await assertRejects(() => model.runTogether([job], 1), Error, "a job is run once");
  const two = [canvas.stepsJob(steps(1)), canvas.stepsJob(steps(1))];
  await assertRejects(() => model.runTogether(two, 1), Error, "two jobs of one canvas");
  const foreign = { rows: 1, passes: 1, refreshes: false };
  await assertRejects(() => model.runTogether([foreign], 1), Error, "is no model");
  assertEquals(await model.runTogether([], 1), []);
  const left = canvas.stepsJob(steps(1));
  canvas.destroy();
  await assertRejects(() => model.runTogether([left], 1), Error, "the canvas was destroyed");
});

Deno.test("a canvas that finds no page fails before anything runs, and the others run", async () => {
  using model = await loadModel(anyGpu, goldenPath("checkpoints/mha-f32"), {
    kvCache: "f32",
    shared: { pages: 3, rows: 64 },
  });
  const other = await goldenModel(anyGpu, "mha-f32");
  const [expected] = await other.runTogether([open(other, 1).stepsJob(steps(3))], 3);
  assertEquals([model.pages.total, model.mostRows], [3, 64]);
  const reserved = model.reserve(2)!;
  assertEquals([model.pages.free, model.reserve(2)], [1, undefined]);
  const { maskTokenId: mask } = model.config;
  const ids = new Random(1).integers(LENGTH, model.config.embeddingSize).fill(mask, 8);
  const sequence = { ids, promptLength: 8, endTokens: [], maskToken: mask };
  const a = model.canvas([sequence], reserved);
  const b = open(model, 2);
  const both = () => [a.stepsJob(steps(3)), b.stepsJob(steps(3))];
  const { message } = await assertRejects(() => model.runTogether(both(), 3), PagesError);
  assert(message.includes("needs 2 pages of 32 keys and values: of all 3 there are 1"), message);
  assertEquals(model.pages.free, 1, "nothing was taken");
  const [found] = await model.runTogether([a.stepsJob(steps(3))], 3);
  assertEquals(found, expected);
  // Without a cache it needs none.
  const full = steps(2).map((step) => ({ ...step, cache: undefined }));
  const [plain] = await model.runTogether([b.stepsJob(full)], 2);
  assertEquals(plain.flat(2).length, 2);
  a.destroy();
  reserved.release();
  const [late] = await model.runTogether([b.stepsJob(steps(2))], 2);
  assertEquals(late.flat(2).length, 2);
  b.destroy();
  assertEquals(model.pages.free, 3);
});

Deno.test("pages that run out behind some passes leave the canvases as those passes made them", async () => {
  using model = await loadModel(anyGpu, goldenPath("checkpoints/mha-f32"), {
    kvCache: "f32",
    shared: { pages: 3, rows: 96 },
  });
  const other = await goldenModel(anyGpu, "mha-f32");
  // The first runs in two parts, and the second finds no page in the later one.
  const parts: CanvasStep[] = [[8, 20], [20, LENGTH]].map(([first, end], i) => ({
    ...steps(1, 1 + i)[0],
    blockStart: first,
    blockEnd: end,
    cache: { first, end },
  }));
  const late = [{ ...steps(1)[0], cache: undefined }, {
    ...steps(1)[0],
    choices: steps(1, 1)[0].choices,
  }];
  const begin = async (model: Model) => {
    const [a, b] = [open(model, 1), open(model, 2)];
    await model.runTogether([a.stepsJob(steps(1))], 1);
    return [a, b];
  };
  const [c, d] = await begin(other);
  const expected = await other.runTogether([c.stepsJob(parts), d.stepsJob(late)], 2);
  const [a, b] = await begin(model);
  const found = await model.runTogether([a.stepsJob(parts), b.stepsJob(late)], 2);
  assertEquals(found, expected.map((commits) => commits.slice(0, 1)));
  const [rest, left] = [() => a.stepsJob(parts.slice(1)), () => b.stepsJob(late.slice(1))];
  await assertRejects(() => model.runTogether([rest(), left()], 1), PagesError);
  const [own] = await model.runTogether([rest()], 1);
  a.destroy();
  const [second] = await model.runTogether([left()], 1);
  assertEquals([own, second], expected.map((commits) => commits.slice(1)));
  for (const canvas of [b, c, d]) canvas.destroy();
});

Deno.test("states of many answers take turns where pages for all of them are not planned", async () => {
  const other = await goldenModel(anyGpu, "mha-f32");
  using watch = new DeviceWatch(anyGpu);
  using model = await loadModel(anyGpu, goldenPath("checkpoints/mha-f32"), {
    kvCache: "f32",
    shared: { pages: 8, statePages: 1 },
  });
  const part = { first: 8, end: 24 };
  const ask = async (model: Model) => {
    const canvases = [1, 2, 3, 4].map((seed) => open(model, seed));
    await model.runTogether(canvases.map((canvas) => canvas.stepsJob(steps(1))), 1);
    const { maskTokenId: mask, embeddingSize } = model.config;
    const jobs = canvases.map((canvas, seed) => {
      const asked = [0, 1].map((state) => ({
        ids: new Random(10 * seed + state).integers(LENGTH, embeddingSize).fill(mask, 12),
        positions: Uint32Array.of(12, 20),
        choice: GREEDY,
      }));
      return canvas.statesJob(asked, part);
    });
    const found = await model.runTogether(jobs, 1);
    for (const canvas of canvases) canvas.destroy();
    return found;
  };
  assertEquals(await ask(model), await ask(other));
  const { kvHeads, layers, headDim } = model.config;
  const kept = [...watch.alive].filter(([{ label }]) => /^(keys|values) \d+$/.test(label))
    .reduce((sum, [, bytes]) => sum + bytes, 0);
  assertEquals(kept, 9 * 32 * 2 * layers * kvHeads * Math.ceil(headDim / 8) * 8 * 4);
});

Deno.test("logits that are no numbers leave the canvases as they were", async () => {
  using model = await loadModel(anyGpu, goldenPath("checkpoints/mha-f32"), { kvCache: "f32" });
  const other = await goldenModel(anyGpu, "mha-f32");
  const [expected] = await other.runTogether([open(other, 1).stepsJob(steps(3))], 3);
  const canvas = open(model, 1);
  const [first] = await model.runTogether([canvas.stepsJob(steps(1))], 1);
  const { finalNorm } = model.context.weights;
  const kept = await model.readback.read(model.recorder, finalNorm);
  upload(anyGpu, finalNorm, new Float32Array(finalNorm.byteLength / 4).fill(NaN));
  const { message } = await assertRejects(
    () => model.runTogether([canvas.stepsJob(steps(2, 1))], 2),
    GpuError,
  );
  assert(message.includes("are not numbers"), message);
  upload(anyGpu, finalNorm, new Float32Array(kept));
  const [rest] = await model.runTogether([canvas.stepsJob(steps(2, 1))], 2);
  assertEquals([...first, ...rest], expected);
  canvas.destroy();
});

Deno.test("a part that would see more than is kept is refused", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const canvas = open(model, 5);
  const [refresh, part] = steps(2);
  await model.runTogether([canvas.stepsJob([{ ...refresh, horizon: 30 }])], 1);
  assertThrows(
    () => canvas.stepsJob([part]),
    RangeError,
    "kept of 30 positions, and a part sees those of 40",
  );
  const [found] = await model.runTogether([canvas.stepsJob([{ ...part, horizon: 30 }])], 1);
  assertEquals(found[0][0].length, 1);
  canvas.destroy();
});

Deno.test("steps that can commit nothing run beside whatever is asked", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const ids = new Random(9).integers(12, model.config.embeddingSize);
  const choice = { ...GREEDY, sampling: { topK: 3, changes: [], likeliest: 1 } };
  const positions = Uint32Array.of(2, 7);
  const asked = { ids, positions, choice };
  const greedy = { ...asked, choice: GREEDY };
  const [[sampled], [plain]] = [await model.predict([asked]), await model.predict([greedy])];
  const nothing = { ids, positions: new Uint32Array(), choice: GREEDY };
  const canvas = open(model, 6);
  const idle = steps(2).map((step) => ({ ...step, commits: 0 }));
  for (const inputs of [[asked], [greedy, asked], [nothing], []]) {
    const expected = inputs.map((input) =>
      input === asked ? sampled : input === greedy ? plain : []
    );
    for (const passes of [1, 2]) {
      const jobs = [canvas.stepsJob(idle), model.predictJob(inputs)] as const;
      const [commits, found] = await model.runTogether(jobs, passes);
      assertEquals(commits, [[[]], [[]]].slice(0, passes));
      assertEquals(found, expected);
    }
  }
  // A part without a visible position runs no row.
  const [none] = await model.runTogether([
    canvas.stepsJob([{ ...steps(2)[1], cache: { first: 10, end: 10 } }]),
  ], 1);
  assertEquals(none, [[[]]]);
  canvas.destroy();
  anyGpu.throwIfFaulty();
});
