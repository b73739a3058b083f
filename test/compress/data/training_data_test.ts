import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import {
  DISTIL_MASKING,
  type MaskingOptions,
  TRAIN_MASKING,
} from "../../../src/compress/data/masking.ts";
import {
  openTrainingData,
  readSamples,
  type TrainingDataOptions,
} from "../../../src/compress/data/training_data.ts";
import type { TrainingBatch } from "../../../src/compress/training_batch.ts";
import { tinyEncoder, withLines } from "./tiny_encoder.ts";

const OPTIONS: TrainingDataOptions = {
  seed: 1,
  batch: { samples: 5 },
  rows: 200,
  sequence: 100,
  long: "refuse",
  masking: DISTIL_MASKING,
};
const EXAMPLES = Array.from(
  { length: 12 },
  (_, i) =>
    i % 4 === 3
      ? { text: `A text about ${i}, and ${i * i}.` }
      : { prompt: `What is ${i} plus ${i}?`, answer: `${i} + ${i} = ${2 * i}.` },
);

const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);

/** The sequences of some batches, with the true tokens where the rows asked stand. */
function sequencesOf(batches: readonly TrainingBatch[]) {
  return batches.flatMap(({ ids, ranges, rows, targets, weights }) => {
    const asked = new Map([...rows].map((row, i) => [row, i]));
    return Array.from({ length: ranges.length / 4 }, (_, i) => {
      const [first, count] = ranges.subarray(4 * i);
      const own = Array.from({ length: count }, (_, at) => first + at);
      return {
        ids: own.map((row) => ids[row]),
        truth: own.map((row) => asked.has(row) ? targets[asked.get(row)!] : ids[row]),
        asked: own.flatMap((row, at) => asked.has(row) ? [at] : []),
        weights: own.flatMap((row) => asked.has(row) ? [weights[asked.get(row)!]] : []),
      };
    });
  });
}

const masking: fc.Arbitrary<MaskingOptions> = fc.record({
  ratio: fc.constantFrom(DISTIL_MASKING.ratio, TRAIN_MASKING.ratio),
  floor: fc.constantFrom(0, 0.001),
  blockShare: fc.constantFrom(0, 0.35, 1),
  blockLength: fc.constantFrom(4, 32),
  prefixShare: fc.constantFrom(0, 0.4),
  wholeShare: fc.constantFrom(0, 0.4),
  plainShare: fc.constantFrom(0, 0.1, 1),
  paddingWeight: fc.constantFrom(0.25, 1),
  weighting: fc.constantFrom("one", "inverse"),
  mostWeight: fc.constantFrom(5, Infinity),
  divideBy: fc.constantFrom("weights", "length"),
  complementary: fc.boolean(),
});
const options: fc.Arbitrary<TrainingDataOptions> = fc.record({
  seed: fc.integer({ min: 0, max: 2 ** 40 }),
  batch: fc.oneof(
    fc.record({ samples: fc.integer({ min: 1, max: 7 }) }),
    fc.record({ tokens: fc.integer({ min: 1, max: 700 }) }),
  ),
  rows: fc.integer({ min: 100, max: 400 }),
  sequence: fc.constant(100),
  long: fc.constant("refuse" as const),
  toShare: fc.constantFrom(0, 0.5, 1),
  to: fc.constantFrom([64], [24, 48]),
  masking,
});

Deno.test("ranges tile the rows, positions begin at 0, and only masks are asked", () => {
  const { maskTokenId } = tinyEncoder();
  withLines(EXAMPLES, (path) => {
    fc.assert(
      fc.property(options, fc.nat(1000), (options, step) => {
        using data = openTrainingData([{ path }], tinyEncoder(), options);
        const batches = data.stepBatches(step);
        assert(batches.length > 0);
        for (const { ids, positions, ranges, rows, targets, weights } of batches) {
          assert(ids.length <= options.rows);
          assert(rows.length > 0 && rows.length === targets.length);
          assertEquals(weights.length, rows.length);
          let next = 0;
          for (let at = 0; at < ranges.length; at += 4) {
            const [first, count, firstKey, keys] = ranges.subarray(at);
            assertEquals([first, firstKey, keys], [next, next, count]);
            for (let i = 0; i < count; i++) assertEquals(positions[first + i], i);
            next += count;
          }
          assertEquals(next, ids.length);
          assert(rows.every((row, i) => i === 0 || row > rows[i - 1]), "ascending");
          assert(rows.every((row) => ids[row] === maskTokenId), "asked what is shown");
          assert(targets.every((token) => token !== maskTokenId));
          assert(weights.every((weight) => weight > 0 && Number.isFinite(weight)));
        }
        if (options.masking.divideBy === "weights") {
          assertAlmostEquals(sum(batches.flatMap(({ weights }) => [...weights])), 1, 1e-5);
        }
      }),
      { numRuns: 60 },
    );
  });
});

Deno.test("prompts are masked only where the mask is plain", () => {
  const { maskTokenId } = tinyEncoder();
  const chats = EXAMPLES.filter((example) => "prompt" in example);
  withLines(chats, (path) => {
    const prompts = readSamples(path, tinyEncoder())
      .map(({ ids, promptLength }) => ids.slice(0, promptLength).join());
    const masksPrompt = (plainShare: number) => {
      using data = openTrainingData([{ path }], tinyEncoder(), {
        ...OPTIONS,
        masking: { ...DISTIL_MASKING, plainShare },
      });
      return [0, 1, 2, 3].flatMap((step) => sequencesOf(data.stepBatches(step))).map(
        ({ ids, truth }) => {
          const prompt = prompts.find((prompt) => truth.join().startsWith(prompt))!;
          return ids.slice(0, prompt.split(",").length).includes(maskTokenId);
        },
      );
    };
    assert(!masksPrompt(0).includes(true));
    assert(!masksPrompt(1).includes(false));
  });
});

Deno.test("an answer that is masked whole shows no token, and its prompt all", () => {
  const { maskTokenId } = tinyEncoder();
  const chats = EXAMPLES.filter((example) => "prompt" in example);
  withLines(chats, (path) => {
    const lengths = readSamples(path, tinyEncoder()).map(({ promptLength }) => promptLength);
    using data = openTrainingData([{ path }], tinyEncoder(), {
      ...OPTIONS,
      masking: { ...DISTIL_MASKING, plainShare: 0, wholeShare: 1 },
    });
    for (const { ids, asked } of [0, 1, 2].flatMap((step) => sequencesOf(data.stepBatches(step)))) {
      const shown = ids.indexOf(maskTokenId);
      assert(lengths.includes(shown), `${shown} tokens are shown`);
      assert(ids.slice(shown).every((id) => id === maskTokenId));
      assertEquals(asked.length, ids.length - shown);
    }
  });
});

Deno.test("complementary masks ask for each token of an answer once", () => {
  withLines(EXAMPLES.slice(0, 3), (path) => {
    fc.assert(
      fc.property(options, fc.nat(100), (options, step) => {
        const { masking: { blockShare, prefixShare, wholeShare } } = options;
        fc.pre(blockShare === 0 && prefixShare === 0 && wholeShare === 0);
        using data = openTrainingData([{ path }], tinyEncoder(), {
          ...options,
          batch: { samples: 1 },
          toShare: 1,
          masking: { ...options.masking, plainShare: 0, complementary: true },
        });
        const sequences = sequencesOf(data.stepBatches(step));
        const [{ truth }] = sequences;
        const [{ promptLength }] = readSamples(path, tinyEncoder(), 1);
        const answer = Array.from(
          { length: truth.length - promptLength },
          (_, i) => promptLength + i,
        );
        const asked = sequences.flatMap(({ asked }) => asked).sort((a, b) => a - b);
        assertEquals(asked, answer);
      }),
      { numRuns: 40 },
    );
  });
});

Deno.test("a step is the same whatever came before, and differs by seed and step", () => {
  withLines(EXAMPLES, (path) => {
    const open = (seed: number) =>
      openTrainingData([{ path }], tinyEncoder(), { ...OPTIONS, seed });
    using one = open(1);
    for (let step = 0; step < 9; step++) one.stepBatches(step);
    using two = open(1);
    assertEquals(two.stepBatches(9), one.stepBatches(9));
    using three = open(2);
    assert(String(three.stepBatches(9)[0].ids) !== String(one.stepBatches(9)[0].ids));
    assert(String(one.stepBatches(8)[0].ids) !== String(one.stepBatches(9)[0].ids));
  });
});

Deno.test("LLaDA's weights: 1/p, by answer length and by samples; texts by all their tokens", () => {
  const masking: MaskingOptions = {
    ...TRAIN_MASKING,
    ratio: { shape: "uniform", low: 1, high: 1 },
  };
  withLines(EXAMPLES.slice(0, 4), (path) => {
    using data = openTrainingData([{ path }], tinyEncoder(), {
      ...OPTIONS,
      batch: { samples: 4 },
      toShare: 0,
      by: [3, 3],
      masking,
    });
    const samples = readSamples(path, tinyEncoder());
    const sequences = sequencesOf(data.stepBatches(0));
    assertEquals(sequences.length, 4);
    for (const { truth, asked, weights } of sequences) {
      const sample = samples.find(({ ids }) => ids.every((id, i) => id === truth[i]))!;
      const padding = sample.kind === "text" ? 0 : 3;
      const length = sample.ids.length + padding - sample.promptLength;
      assertEquals([asked.length, truth.length], [length, sample.ids.length + padding]);
      for (const weight of weights) assertAlmostEquals(weight, 1 / length / 4, 1e-7);
    }
  });
});

Deno.test("a weight is the inverse of the chance that the token was masked, at most so much", () => {
  withLines(
    [{ text: "one two three four five six seven eight nine ten eleven twelve" }],
    (path) => {
      const ratios = { shape: "uniform", low: 0.1, high: 0.1 } as const;
      const weightsFor = (mostWeight: number) => {
        using data = openTrainingData([{ path }], tinyEncoder(), {
          ...OPTIONS,
          batch: { samples: 1 },
          masking: { ...TRAIN_MASKING, ratio: ratios, mostWeight },
        });
        const counts: number[] = [];
        for (let step = 0; step < 400; step++) {
          const [{ rows, ids, weights }] = data.stepBatches(step);
          const p = 0.999 * 0.1 + 0.001;
          const expected = Math.min(1 / p, mostWeight) / ids.length;
          for (const weight of weights) {
            // Where nothing was drawn, one token is asked with weight 1.
            if (rows.length > 1) assertAlmostEquals(weight, expected, 1e-6);
          }
          counts.push(rows.length / ids.length);
        }
        return sum(counts) / counts.length;
      };
      assertAlmostEquals(weightsFor(Infinity), 0.1, 0.03);
      weightsFor(5);
    },
  );
});

Deno.test("mask ratios of a step are spread evenly", () => {
  withLines([{ text: "one two three four five six seven eight nine ten ".repeat(8) }], (path) => {
    using data = openTrainingData([{ path }], tinyEncoder(), {
      ...OPTIONS,
      sequence: 160,
      rows: 400,
      batch: { samples: 10 },
      masking: { ...TRAIN_MASKING, weighting: "inverse", divideBy: "length" },
    });
    const ratios = sequencesOf(data.stepBatches(3))
      .map(({ weights, ids }) => 1 / (weights[0] * ids.length * 10))
      .sort((a, b) => a - b);
    assertEquals(ratios.length, 10);
    for (const [i, ratio] of ratios.entries()) {
      assert(ratio > i / 10 - 0.01 && ratio < (i + 1) / 10 + 0.01, ratios.join());
    }
  });
});

Deno.test("block states show earlier blocks, and hide and ask for all later ones", () => {
  const { maskTokenId } = tinyEncoder();
  withLines(EXAMPLES.slice(0, 1), (path) => {
    using data = openTrainingData([{ path }], tinyEncoder(), {
      ...OPTIONS,
      batch: { samples: 1 },
      masking: { ...DISTIL_MASKING, blockShare: 1, plainShare: 0, blockLength: 16 },
    });
    const [{ promptLength }] = readSamples(path, tinyEncoder());
    const current = new Set<number>();
    for (let step = 0; step < 60; step++) {
      const [{ ids, asked }] = sequencesOf(data.stepBatches(step));
      const blocks = [0, 1, 2, 3].map((block) =>
        ids.slice(promptLength + 16 * block, promptLength + 16 * (block + 1))
      );
      const masks = blocks.map((block) => block.filter((id) => id === maskTokenId).length);
      const now = Math.max(0, masks.findLastIndex((count) => count < 16 && count > 0));
      current.add(now);
      assertEquals(masks.map((count, i) => i < now ? 0 : i > now ? 16 : count), masks);
      assertEquals(asked.length, sum(masks));
    }
    assert(current.size >= 3, "every block comes up");
  });
});

Deno.test("what is too long is refused with its place, or cut", () => {
  const words = "one two three four five six seven eight nine ten ".repeat(20);
  withLines([EXAMPLES[0], { prompt: "Hi!", answer: words }, { text: words }], (path) => {
    const data = (long: "cut" | "refuse") =>
      openTrainingData([{ path }], tinyEncoder(), { ...OPTIONS, batch: { samples: 3 }, long });
    using refusing = data("refuse");
    assertThrows(() => refusing.stepBatches(0), Error, `${path}:`);
    using cutting = data("cut");
    const windows = new Set<string>();
    for (let step = 0; step < 4; step++) {
      const long = sequencesOf(cutting.stepBatches(step)).filter(({ ids }) => ids.length === 100);
      assertEquals(long.length, 2);
      for (const { truth } of long) if (truth[0] !== 2032) windows.add(truth.join());
    }
    assert(windows.size > 1, "another part of the text each time");
  });
  withLines([{ prompt: words, answer: "Yes." }], (path) => {
    // A prompt that leaves no room loses its beginning, and the answer is learnt.
    using data = openTrainingData([{ path }], tinyEncoder(), { ...OPTIONS, long: "cut" });
    const [{ ids, truth }] = sequencesOf(data.stepBatches(0));
    const { ids: whole } = readSamples(path, tinyEncoder())[0];
    assertEquals(ids.length, 100);
    assertEquals(truth.slice(-4), [...whole.slice(-4)]);
    using refusing = openTrainingData([{ path }], tinyEncoder(), { ...OPTIONS, long: "refuse" });
    assertThrows(() => refusing.stepBatches(0), Error, `${path}:1: the sample has`);
  });
});

Deno.test("a check reads all lines, and names the one that is wrong", () => {
  withLines([...EXAMPLES, { prompt: "Hi!" }, EXAMPLES[0]], (path) => {
    using data = openTrainingData([{ path }], tinyEncoder(), OPTIONS);
    const message = `${path}:${EXAMPLES.length + 1}: prompt has no answer beside it`;
    assertThrows(() => data.check(), Error, message);
  });
  withLines(EXAMPLES, (path) => {
    using data = openTrainingData([{ path }], tinyEncoder(), OPTIONS);
    data.check();
  });
});

Deno.test("options that do not fit are refused", () => {
  withLines(EXAMPLES, (path) => {
    const open = (options: Partial<TrainingDataOptions>, share?: number) =>
      openTrainingData([{ path }, { path, share }], tinyEncoder(), { ...OPTIONS, ...options });
    assertThrows(() => open({ rows: 99 }), RangeError, "rows is 99");
    assertThrows(() => open({}, 0.4), Error, "has no share");
    assertThrows(() => open({ to: [] }), RangeError, "padding");
  });
});
