import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import {
  type Canvas,
  type CanvasSequence,
  type CanvasStep,
  type Commit,
  GREEDY,
} from "../../src/denoise/predictor.ts";
import { RANKINGS } from "../../src/kernels/place.ts";
import { loadModel } from "../../src/model/loading/load.ts";
import type { Model } from "../../src/model/model.ts";
import { anyGpu, DeviceWatch } from "../gpu/device.ts";
import { goldenPath } from "../reference/golden.ts";
import { goldenModel } from "./models.ts";

/** One short sequence to run by hand. */
async function canvasOf(model: Model, change: Partial<CanvasSequence> = {}) {
  const { maskTokenId, eosTokenId } = model.config;
  const ids = Uint32Array.of(5, 17, 40, ...Array(6).fill(maskTokenId));
  return {
    ids,
    canvas: await model.openCanvas([{
      ids,
      promptLength: 3,
      endTokens: [eosTokenId],
      maskToken: maskTokenId,
      ...change,
    }]),
  };
}

const STEP = {
  blockEnd: 9,
  commits: 2,
  remasking: "low_confidence",
  choices: [GREEDY],
  stopAtEnd: false,
} as const;

Deno.test("runs of one step and a run of several commit the same", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { canvas: one } = await canvasOf(model);
  const { canvas: three } = await canvasOf(model);
  const single = [];
  for (let i = 0; i < 3; i++) single.push(...await one.run([STEP]));
  const reads = model.readback.count;
  assertEquals(await three.run([STEP, STEP, STEP]), single);
  assertEquals(model.readback.count, reads + 1);
  assertEquals(single.flat(2).length, 6);
  assertEquals(await three.run([]), []);
  // Nothing is left: further steps are spent, and commit nothing.
  assertEquals(await three.run([STEP, { ...STEP, commits: 0 }]), [[[]], [[]]]);
  one.destroy();
  three.destroy();
});

Deno.test("the kernel's rankings and rules have a twin, and a step with another does not run", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { canvas } = await canvasOf(model);
  for (const remasking of Object.keys(RANKINGS) as (keyof typeof RANKINGS)[]) {
    for (
      const rule of [
        undefined,
        { kind: "count" },
        { kind: "threshold", threshold: 0.5 },
        { kind: "factor", factor: 1 },
      ] as const
    ) assert(canvas.hasTwin({ ...STEP, remasking, rule }));
  }
  const others = [{ remasking: "leftmost" }, { remasking: "toString" }, { rule: { kind: "all" } }];
  for (const other of others) {
    const step = { ...STEP, ...other } as CanvasStep;
    assert(!canvas.hasTwin(step));
    await assertRejects(() => canvas.run([STEP, step]), RangeError, "has no twin on the GPU");
  }
  canvas.destroy();
});

Deno.test("two canvases and predictions in between do not disturb each other", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { ids, canvas: alone } = await canvasOf(model);
  const expected = [...await alone.run([STEP]), ...await alone.run([STEP])];
  alone.destroy();

  const { canvas: first } = await canvasOf(model);
  const { canvas: second } = await canvasOf(model);
  const found = await first.run([STEP]);
  assertEquals(await second.run([STEP]), found);
  const longer = new Uint32Array(100).fill(7);
  await model.predict([{ ids: longer, positions: Uint32Array.of(99), choice: GREEDY }]);
  first.destroy();
  assertEquals([...found, ...await second.run([STEP])], expected);
  second.destroy();
  assertEquals(ids.filter((id) => id === model.config.maskTokenId).length, 6);
});

Deno.test("a canvas holds nothing on the device between runs, and destroyed it runs no more", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { canvas: before } = await canvasOf(model);
  await before.run([STEP]);
  before.destroy();
  using watch = new DeviceWatch(anyGpu);
  const { canvas } = await canvasOf(model);
  await canvas.run([STEP]);
  assertEquals(watch.alive.size, 0);
  canvas.destroy();
  canvas.destroy();
  await assertRejects(() => canvas.run([STEP]), Error, "the canvas was destroyed");
  anyGpu.throwIfFaulty();
});

Deno.test("sequences of a canvas share mask and scale; more than four end tokens are refused", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const sequence = (change: Partial<CanvasSequence> = {}): CanvasSequence => ({
    ids: Uint32Array.of(1, 2, 3),
    promptLength: 1,
    endTokens: [],
    maskToken: 3,
    ...change,
  });
  using watch = new DeviceWatch(anyGpu);
  const guidance = (scale: number) => ({ scale, unconditionalIds: Uint32Array.of(3, 3, 3) });
  for (
    const other of [{ maskToken: 2 }, { guidance: guidance(1) }] as Partial<CanvasSequence>[]
  ) {
    const open = () => model.openCanvas([sequence(), sequence(other)]);
    await assertRejects(open, RangeError, "must share mask token and guidance scale");
  }
  const open = () => model.openCanvas([sequence({ endTokens: [1, 2, 3, 4, 5] })]);
  await assertRejects(open, RangeError, "endTokens: 5 tokens, at most 4");
  assertEquals(watch.alive.size, 0);
});

Deno.test("a signal ends a run at its next step, and the model answers on", async () => {
  // Its pace is not known yet, so every step is waited for.
  using model = await loadModel(anyGpu, goldenPath("checkpoints/mha-f32"));
  const input = {
    ids: Uint32Array.of(4, 5, 6),
    positions: Uint32Array.of(0, 1, 2),
    choice: GREEDY,
  };
  const { canvas } = await canvasOf(model);
  const reason = new Error("enough");
  const error = await assertRejects(() => canvas.run([STEP, STEP], AbortSignal.abort(reason)));
  assertEquals(error, reason);
  canvas.destroy();
  const [expected] = await (await goldenModel(anyGpu, "mha-f32")).predict([input]);
  assertEquals((await model.predict([input]))[0], expected);

  // One that is not aborted changes nothing.
  const { canvas: signalled } = await canvasOf(model);
  const { canvas: without } = await canvasOf(model);
  assertEquals(
    await signalled.run([STEP, STEP, STEP], new AbortController().signal),
    await without.run([STEP, STEP, STEP]),
  );
  signalled.destroy();
  without.destroy();
});

Deno.test("replaced ids, and those of the unconditional twin, are what the next run sees", async () => {
  const model = await goldenModel(anyGpu, "gqa-bf16");
  const { maskTokenId: mask, eosTokenId } = model.config;
  const sequenceOf = (first: number, unconditional?: number): CanvasSequence => ({
    ids: Uint32Array.of(0, first, 9, mask, mask, mask),
    // Left padding: rows are not positions.
    attentionMask: Uint8Array.of(0, 1, 1, 1, 1, 1),
    promptLength: 3,
    endTokens: [eosTokenId],
    maskToken: mask,
    guidance: unconditional === undefined ? undefined : {
      scale: 1.5,
      unconditionalIds: Uint32Array.of(mask, unconditional, mask, mask, mask, mask),
    },
  });
  const steps = (sequences: number) =>
    Array(2).fill({ ...STEP, commits: 1, choices: Array(sequences).fill(GREEDY) });
  const run = async (sequences: CanvasSequence[], change: (canvas: Canvas) => void = () => {}) => {
    const canvas = await model.openCanvas(sequences);
    change(canvas);
    const found = await canvas.run(steps(sequences.length));
    // Behind commits: the host's own copy must follow too.
    change(canvas);
    const again = await canvas.run(steps(sequences.length));
    canvas.destroy();
    return { found, again };
  };
  for (const guided of [undefined, mask]) {
    const [a, b, c] = [sequenceOf(5, guided), sequenceOf(17, guided), sequenceOf(40, guided)];
    const expected = (await run([b, c])).found;
    const before = (await run([a, c])).found;
    const set = (canvas: Canvas) => {
      canvas.setIds(0, b.ids, b.guidance?.unconditionalIds);
      canvas.setIds(1, c.ids, c.guidance?.unconditionalIds);
    };
    assertEquals(await run([a, c], set), { found: expected, again: expected });
    const first = (found: Commit[][][]) => found.map(([commits]) => commits);
    assertNotEquals(first(before), first(expected));
    // The other sequence alone is left as it was.
    const one = await run(
      [a, c],
      (canvas) => canvas.setIds(0, b.ids, b.guidance?.unconditionalIds),
    );
    assertEquals(one.found.map((commits) => commits[1]), before.map((commits) => commits[1]));
  }
  const twin = sequenceOf(5, 21);
  const { found } = await run(
    [sequenceOf(5, mask)],
    (canvas) => canvas.setIds(0, twin.ids, twin.guidance!.unconditionalIds),
  );
  assertEquals(found, (await run([twin])).found);
});

Deno.test("an answer that was decided runs again behind ids that are not", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { eosTokenId } = model.config;
  const { ids, canvas } = await canvasOf(model);
  const step = { ...STEP, stopAtEnd: true };
  const expected = await canvas.run([step]);
  canvas.setIds(0, ids.with(3, eosTokenId));
  assertEquals(await canvas.run([step]), [[[]]]);
  canvas.setIds(0, ids);
  assertEquals(await canvas.run([step]), expected);
  canvas.destroy();
});
