import { assert, assertEquals } from "@std/assert";
import { MemoryWatch } from "../../src/bench/memory_watch.ts";
import { matrixRates } from "../../src/bench/training_products.ts";
import { benchTraining } from "../../src/bench/training.ts";
import { madeUpBatch, stepOperations, workOf } from "../../src/bench/training_steps.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { Scratch } from "../../src/gpu/scratch.ts";
import { createTensor } from "../../src/gpu/tensor.ts";
import { syntheticModel } from "../../src/model/synthetic/synthetic.ts";
import { anyGpu } from "../gpu/device.ts";

const SHAPE = {
  hiddenSize: 16,
  layers: 2,
  heads: 1,
  ffnSize: 24,
  vocabSize: 40,
  maskTokenId: 39,
  eosTokenId: 38,
  maxSequenceLength: 32,
};

Deno.test("a step's operations are those of its products and of attention", () => {
  using model = syntheticModel(SHAPE);
  const { embeddingSize } = model.config;
  // Four matrices of attention, three of the feed-forward part, in two layers; the head; scores.
  const layer = 4 * 16 * 16 + 3 * 16 * 24;
  const head = 3 * embeddingSize * 16;
  const scores = 2 * 2 * 16; // two products of a query with a key
  const work = { rows: 10, asked: 3, pairs: 60, askedPairs: 18 };
  const forward = 2 * (10 * 2 * layer + head) + 2 * scores * 60;
  assertEquals(stepOperations(model.config, work, "forward"), forward);
  // The last layer makes keys and values of all rows, the rest of the asked ones.
  const keys = 2 * 16 * 16;
  const products = 2 * (10 * (layer + keys) + 3 * (layer - keys) + head);
  assertEquals(
    stepOperations(model.config, work, "both"),
    3 * products + 3.5 * scores * (60 + 18),
  );
});

Deno.test("a made-up batch masks some half of the rows of whole and cut sequences", () => {
  const { ids, positions, ranges, rows, targets, weights } = madeUpBatch(
    { maskTokenId: 39, embeddingSize: 40 },
    { rows: 100, sequence: 32 },
  );
  assertEquals([...ranges], [0, 32, 0, 32, 32, 32, 32, 32, 64, 32, 64, 32, 96, 4, 96, 4]);
  assertEquals([...positions.subarray(94)], [30, 31, 0, 1, 2, 3]);
  assert(rows.length > 35 && rows.length < 65, `${rows.length} rows are masked`);
  ids.forEach((id, row) => assertEquals(id === 39, rows.includes(row)));
  assert(targets.every((token) => token < 39));
  assertEquals(weights.length, rows.length);
  const behind = rows.filter((row) => row >= 96).length;
  assertEquals(workOf({ ids, positions, ranges, rows, targets, weights }), {
    rows: 100,
    asked: rows.length,
    pairs: 3 * 32 ** 2 + 4 ** 2,
    askedPairs: 32 * (rows.length - behind) + 4 * behind,
  });
});

Deno.test("buffers and texels are counted while they are there", () => {
  using watch = new MemoryWatch(anyGpu);
  const first = createTensor(anyGpu, "first", 1000);
  first.destroy();
  first.destroy();
  assertEquals(watch.peakBytes, 4000);
  using recorder = new Recorder(anyGpu);
  const scratch = new Scratch(anyGpu, recorder);
  const small = scratch.texels("texels", 10);
  assertEquals(scratch.texels("texels", 4096), small);
  scratch.texels("texels", 3 * 4096);
  scratch[Symbol.dispose]();
  // 4096 texels were freed before room for four times as many was made.
  const ofCalls = 256 * 1024;
  assertEquals(watch.peakBytes, ofCalls + 4 * 4096 * 16);
});

Deno.test("bench training tells speed and memory of a small model", async () => {
  const { figures: [one], adapter } = await benchTraining(anyGpu, {
    subjects: [{ kind: "train", shape: SHAPE, name: "small" }],
    rows: 48,
    // Of which one may be held up by others.
    rounds: 3,
  });
  assertEquals(adapter, anyGpu.name);
  assertEquals([one.name, one.rows, one.sequence], ["train small", 48, 32]);
  assertEquals(one.teacher, undefined);
  assert(one.step.seconds > one.optimiser.seconds && one.optimiser.seconds > 0);
  assert(one.share > 0 && one.share < 1, `${one.share} of the ceiling`);
  assertEquals(one.tokensPerSecond, 48 / one.step.seconds);
  // Beside the plan: parameters of calls, readbacks, and the least size of texels.
  const beside = 2 * 2 ** 20;
  assert(one.measuredBytes > 0 && one.measuredBytes < one.plannedBytes + beside);
});

Deno.test("products of a matrix are timed each alone", async () => {
  const { inner, columns, rates } = await matrixRates(anyGpu, 40, 16, 24);
  assertEquals([inner, columns, Object.keys(rates).length], [16, 24, 3]);
  for (const { gflopPerSecond } of Object.values(rates)) assert(gflopPerSecond > 0);
});
