/** Runs keep to what is planned: in groups, in parts, and in few passes, with the same bits. */

import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { type CanvasStep, GREEDY } from "../../../src/denoise/predictor.ts";
import { GpuError } from "../../../src/gpu/device.ts";
import type { Question } from "../../../src/model/batch/jobs.ts";
import {
  asksOf,
  groupUnits,
  MOST_PASSES,
  MOST_SCALES,
  MOST_SEQUENCES,
  plannedLimits,
} from "../../../src/model/batch/run_limits.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import { resultWords } from "../../../src/model/results.ts";
import { anyGpu } from "../../gpu/device.ts";
import { Random } from "../../kernels/random.ts";
import { goldenPath } from "../../reference/golden.ts";
import { goldenModel } from "../models.ts";

/** A question of so many rows, of which some are asked. */
function questionOf(rows: number, asked: number, scale: number | undefined): Question {
  const ids = new Uint32Array(rows);
  const own = { ids, positions: ids };
  const sequences = scale === undefined ? [own] : [own, own];
  return {
    kind: "question",
    rows: rows * sequences.length,
    borrowed: 0,
    sequences,
    part: { first: 0, rows, keys: rows, kept: false },
    asked: {
      kind: "predictions",
      positions: ids.subarray(0, asked),
      judged: undefined,
      choice: GREEDY,
      rows: Array(asked).fill(0),
      rowPositions: Array(asked).fill(0),
    },
    scale,
  };
}

Deno.test("groups keep to all limits, and hold every unit once", () => {
  const limits = plannedLimits(64, 200);
  assertEquals(limits, { rows: 200, entries: 200, listed: 64 * 64 });
  assertEquals(plannedLimits(4096, 4096).rows, 2 * (4096 + 512), "guidance, and shadows");
  const unit = fc.tuple(
    fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: 64 })),
    fc.nat(64),
    fc.option(fc.nat(20), { nil: undefined }),
    fc.integer({ min: 1, max: 200 }),
  );
  let [sequencesMost, scalesMost] = [0, 0];
  fc.assert(
    fc.property(fc.array(unit, { minLength: 10, maxLength: 40 }), (drawn) => {
      const places = drawn.flatMap(([rows, asked, scale, copies]) =>
        Array.from(
          { length: rows < 3 ? copies : 1 },
          () => ({ unit: questionOf(rows, Math.min(rows, asked), scale) }),
        )
      );
      const groups = groupUnits(places, limits, 0);
      assertEquals(new Set(groups.flat()).size, places.length);
      for (const group of groups) {
        const asks = group.map(({ unit }) => asksOf(unit));
        const sum = (of: "rows" | "entries" | "listed" | "sequences") =>
          asks.reduce((total, one) => total + one[of], 0);
        assert(sum("rows") <= limits.rows && sum("entries") <= limits.entries);
        assert(sum("listed") <= limits.listed && sum("sequences") <= MOST_SEQUENCES);
        const scales = new Set(asks.map(({ scale }) => scale)).size;
        assert(scales <= MOST_SCALES);
        sequencesMost = Math.max(sequencesMost, sum("sequences"));
        scalesMost = Math.max(scalesMost, scales);
      }
    }),
    { seed: 21 },
  );
  assertEquals([sequencesMost, scalesMost], [MOST_SEQUENCES, MOST_SCALES]);
});

Deno.test("a question that is wider than what is planned is refused, with what to do", async () => {
  using model = await loadModel(anyGpu, goldenPath("checkpoints/mha-f32"), {
    context: 40,
    shared: { rows: 40 },
  });
  const ids = new Uint32Array(40);
  const all = Uint32Array.from(ids.keys());
  const asked = (shadows: number) => () =>
    model.predictJob([{
      ids,
      positions: all,
      shadows: all.subarray(0, shadows),
      guidance: { scale: 1, unconditionalIds: ids },
      choice: GREEDY,
    }]);
  asked(5)();
  assertThrows(asked(6), GpuError, "92 rows in one forward pass, the memory of 90 is planned");
});

Deno.test("results that are not in memory together are read in parts, with the same bits", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { embeddingSize } = model.config;
  const random = new Random(21);
  const jobs = Array.from({ length: 9 }, (_, i) => {
    const ids = random.integers(80, embeddingSize);
    const input = { ids, positions: Uint32Array.from(ids.keys()) };
    const choice = { ...GREEDY, sampling: { topK: 200, changes: [], likeliest: 3 } };
    return i % 3 === 2
      ? () => model.logitsJob(input)
      : i % 3 === 1
      ? () => model.predictJob([{ ...input, choice: GREEDY }])
      : () => model.rankJob(input, choice, 256);
  });
  const expected: unknown[] = [];
  for (const job of jobs) expected.push(...await model.runTogether([job()], 1));
  const before = model.readback.count;
  assertEquals(await model.runTogether(jobs.map((job) => job()), 1), expected);
  const words = 6 * 80 * 4 * (1 + 256 + 256 + 3) + 3 * 80 * embeddingSize;
  assert(words > 3 * resultWords(model.context), `${words} words of results`);
  assert(model.readback.count - before > 3, `${model.readback.count - before} readbacks`);
});

Deno.test("guided rows beyond a piece are sampled as if they were asked apart", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const random = new Random(22);
  const ids = random.integers(90, model.config.embeddingSize);
  const all = Uint32Array.from(ids.keys());
  const guidance = { scale: 1.5, unconditionalIds: random.integers(90, 200) };
  const changes = [{ token: 7, repetition: 1.5, offset: -1 }];
  const sampling = { topK: 9, topP: 0.9, changes, likeliest: 3 };
  const choice = { ...GREEDY, temperature: 0.7, sampling };
  const ask = async (positions: Uint32Array) =>
    (await model.predict([{ ids, positions, guidance, choice }]))[0];
  const parts: unknown[] = [];
  for (let first = 0; first < 90; first += 18) {
    parts.push(...await ask(all.slice(first, first + 18)));
  }
  assertEquals(await ask(all), parts);
});

Deno.test("more passes than a run has are several runs, with the same commits", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { maskTokenId: mask, embeddingSize } = model.config;
  const length = 20;
  const steps = Array.from({ length: 12 }, (_, step): CanvasStep => ({
    blockEnd: length,
    commits: 1,
    cache: undefined,
    remasking: "low_confidence",
    choices: [{ ...GREEDY, step }],
    stopAtEnd: false,
  }));
  const opened = () => {
    const ids = new Random("passes").integers(length, embeddingSize).fill(mask, 8);
    return model.canvas([{ ids, promptLength: 8, endTokens: [], maskToken: mask }]);
  };
  const single = opened();
  const expected: unknown[] = [];
  for (const step of steps) {
    const [commits] = await model.runTogether([single.stepsJob([step])], 1);
    expected.push(...commits);
  }
  const chained = opened();
  const before = model.readback.count;
  const [found] = await model.runTogether([chained.stepsJob(steps)], steps.length);
  assertEquals(found, expected);
  assertEquals(model.readback.count - before, Math.ceil(steps.length / MOST_PASSES));
  single.destroy();
  chained.destroy();
});
