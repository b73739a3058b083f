import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertNotEquals,
  assertRejects,
} from "@std/assert";
import fc from "fast-check";
import { denoise } from "../../src/denoise/denoise.ts";
import type { DenoiseOptions, DenoiseResult, DenoiseStep } from "../../src/denoise/denoise_step.ts";
import { predictRow } from "../../src/denoise/noise.ts";
import type { Predictor } from "../../src/denoise/predictor.ts";
import { planSteps, ScheduleError } from "../../src/denoise/schedule.ts";
import { decidedUpToEnd, newSequence, type Sequence } from "../../src/denoise/sequence.ts";
import { rankingArb } from "./draw.ts";
import { MASK, ToyCanvasModel, ToyModel, VOCABULARY } from "./toy_model.ts";

interface Run {
  readonly steps: DenoiseStep[];
  readonly result: DenoiseResult;
}

async function collect(
  sequences: readonly Sequence[],
  predictor: Predictor,
  options: DenoiseOptions,
): Promise<Run> {
  const stream = denoise(sequences, predictor, options);
  const steps: DenoiseStep[] = [];
  while (true) {
    const next = await stream.next();
    if (next.done) return { steps, result: next.value };
    steps.push(next.value);
  }
}

const END = 3;

const plain: DenoiseOptions = {
  blockLength: 4,
  steps: 8,
  seeds: [1],
  eosToken: END,
  endTokens: [END],
  stopAtEnd: false,
};

/** A batch with pads on the left, and options that fit it. */
const runArb = fc.record({
  prompt: fc.nat(5),
  batch: fc.integer({ min: 1, max: 3 }),
  blocks: fc.integer({ min: 1, max: 3 }),
  blockLength: fc.integer({ min: 1, max: 5 }),
  stepsPerBlock: fc.integer({ min: 1, max: 6 }),
  seed: fc.maxSafeNat(),
  ranking: rankingArb,
  temperature: fc.constantFrom(0, 0.7),
  cfgScale: fc.constantFrom(0, 1.5),
  logitsEosInf: fc.boolean(),
  confidenceEosEotInf: fc.boolean(),
  stopAtEnd: fc.boolean(),
  stepsPerReadback: fc.integer({ min: 1, max: 5 }),
}).map(({ prompt, batch, blocks, blockLength, stepsPerBlock, seed, ranking, ...rest }) => ({
  sequences: Array.from({ length: batch }, (_, row) => {
    const pads = Math.min(row, prompt);
    return newSequence(
      Array.from({ length: prompt }, (_, i) => (seed + 7 * row + i) % VOCABULARY),
      blocks * blockLength,
      MASK,
      row === 0 ? undefined : Array.from({ length: prompt }, (_, i) => i < pads ? 0 : 1),
    );
  }),
  options: {
    ...rest,
    ...ranking,
    blockLength,
    steps: blocks * stepsPerBlock,
    seeds: Array.from({ length: batch }, (_, row) => (seed + row) % Number.MAX_SAFE_INTEGER),
    eosToken: END,
    eotToken: 4,
    endTokens: [END, 4],
  },
}));

Deno.test("a canvas gives what step by step gives", async () => {
  await fc.assert(fc.asyncProperty(runArb, async ({ sequences, options }) => {
    const model = new ToyModel();
    const canvasModel = new ToyCanvasModel();
    const single = await collect(sequences, model, options);
    const chunked = await collect(sequences, canvasModel, options);
    assertEquals(chunked.steps, single.steps);
    assertEquals(chunked.result.sequences, single.result.sequences);

    assertEquals(single.result.nfe, single.steps.length);
    assertEquals(single.result.readbacks, single.steps.length);
    assertEquals(model.batches.length, single.steps.length);
    // Noticed at the end of the chunk.
    const chunk = options.stepsPerReadback;
    assertEquals(chunked.result.readbacks, Math.ceil(single.steps.length / chunk));
    assertEquals(chunked.result.nfe, Math.min(options.steps, chunked.result.readbacks * chunk));
    assertEquals(canvasModel.runs.reduce((sum, steps) => sum + steps), chunked.result.nfe);
    assertEquals(canvasModel.batches, []);
    assertEquals([canvasModel.opened, canvasModel.destroyed], [1, 1]);
  }));
});

Deno.test("each measure of confidence has its own surest position", async () => {
  // Likeliest token; largest lead; fewest tokens in play.
  const softmaxes = [
    [0.55, 0.2, ...new Array(10).fill(0.025)],
    [0.5, ...new Array(10).fill(0.05), 0],
    [0.5, 0.49, 0.01, ...new Array(9).fill(0)],
  ];
  const model: Predictor = {
    predict: (inputs) =>
      Promise.resolve(inputs.map(({ positions, choice }) =>
        Array.from(positions, (position) => {
          const logits = Float64Array.from(softmaxes[position - 1], (p) => Math.log(p + 1e-9));
          return predictRow(logits, position, choice);
        })
      )),
  };
  const orders = {
    probability: [1, 2, 3],
    margin: [2, 1, 3],
    entropy: [3, 1, 2],
  } as const;
  for (const [confidence, order] of Object.entries(orders)) {
    const options = { ...plain, blockLength: 3, steps: 3, temperature: 0 };
    const { steps } = await collect([newSequence([1], 3, MASK)], model, {
      ...options,
      confidence: confidence as keyof typeof orders,
    });
    const found = steps.map(({ commits: [[{ position }]] }) => position);
    assertEquals(found, [...order], confidence);
    const firstSoftmax = softmaxes[order[0] - 1];
    assertAlmostEquals(steps[0].commits[0][0].confidence, firstSoftmax[0], 1e-6);
  }
});

Deno.test("every step keeps to its schedule, and every position is decided once", async () => {
  await fc.assert(fc.asyncProperty(runArb, async ({ sequences, options }) => {
    const { blockLength } = options;
    const promptLength = sequences[0].promptLength;
    const genLength = sequences[0].ids.length - promptLength;
    const plan = planSteps({ genLength, blockLength, steps: options.steps });
    const { steps, result } = await collect(sequences, new ToyModel(), options);
    if (!options.stopAtEnd) assertEquals(steps.length, plan.length);

    sequences.forEach((sequence, row) => {
      const ids = sequence.ids.slice();
      steps.forEach(({ step, block, nfe, commits }, i) => {
        assertEquals([step, block, nfe], [i, plan[i].block, i + 1]);
        const stopped = options.stopAtEnd && decidedUpToEnd({ ...sequence, ids }, [END, 4]);
        assertEquals(commits[row].length, stopped ? 0 : plan[i].commits);
        let last = -1;
        for (const { position, token, confidence } of commits[row]) {
          assert(position > last && position >= promptLength);
          assert(position < promptLength + plan[i].blockEnd);
          assertEquals(ids[position], MASK);
          assert(confidence >= 0 && confidence <= 1);
          if (options.logitsEosInf) assertNotEquals(token, END);
          ids[position] = token;
          last = position;
        }
      });
      assertEquals(result.sequences[row].ids, ids);
      if (!options.stopAtEnd) assert(!ids.includes(MASK));
    });
  }));
});

Deno.test("stopping at the end gives the answer of the full run, sooner", async () => {
  let stopped = 0;
  await fc.assert(fc.asyncProperty(runArb, async ({ sequences, options }) => {
    const full = await collect(sequences, new ToyModel(), { ...options, stopAtEnd: false });
    const early = await collect(sequences, new ToyModel(), { ...options, stopAtEnd: true });
    if (early.steps.length < full.steps.length) stopped++;
    assertEquals(
      early.steps.length === options.steps ||
        early.result.sequences.every((sequence) => decidedUpToEnd(sequence, options.endTokens)),
      true,
    );
    full.result.sequences.forEach(({ ids, promptLength }, row) => {
      const answer = Array.from(ids.subarray(promptLength));
      const end = answer.findIndex((token) => options.endTokens.includes(token));
      const length = promptLength + (end < 0 ? answer.length : end + 1);
      assertEquals(
        early.result.sequences[row].ids.subarray(0, length),
        ids.subarray(0, length),
      );
    });
  }));
  assert(stopped > 0, "no run of the property stopped early");
});

Deno.test("a sequence's answer does not depend on its batch", async () => {
  await fc.assert(fc.asyncProperty(runArb, async ({ sequences, options }) => {
    const together = await collect(sequences, new ToyModel(), options);
    for (const [row, sequence] of sequences.entries()) {
      const seeds = [options.seeds[row]];
      const alone = await collect([sequence], new ToyModel(), { ...options, seeds });
      assertEquals(alone.result.sequences[0], together.result.sequences[row]);
      assertEquals(
        alone.steps.map(({ commits }) => commits[0]),
        together.steps.slice(0, alone.steps.length).map(({ commits }) => commits[row]),
      );
    }
  }));
});

Deno.test("the same seed gives the same text, another seed another", async () => {
  const sequences = [newSequence([1, 2], 16, MASK)];
  for (
    const noisy of [{ temperature: 1 }, { temperature: 0, remasking: "random" as const }]
  ) {
    const texts = [];
    for (const seed of [5, 5, 6, 5 + 2 ** 32, 5 + 2 ** 50]) {
      const options = { ...plain, ...noisy, blockLength: 16, steps: 16, seeds: [seed] };
      texts.push(String((await collect(sequences, new ToyModel(), options)).steps.map(
        ({ commits }) => commits[0].map(({ position, token }) => `${position}=${token}`),
      )));
    }
    assertEquals(texts[1], texts[0]);
    assertEquals(new Set(texts).size, 4);
  }
});

Deno.test("at temperature 0 with low_confidence the seed plays no part", async () => {
  const sequences = [newSequence([1, 2], 8, MASK)];
  const first = await collect(sequences, new ToyModel(), { ...plain, seeds: [1] });
  const second = await collect(sequences, new ToyModel(), { ...plain, seeds: [2] });
  assertEquals(second, first);
});

Deno.test("a mask in the prompt is a candidate of the first block; a hidden one never is", async () => {
  const sequences = [
    newSequence([MASK, 1, MASK], 4, MASK, [0, 1, 1]),
  ];
  const options = { ...plain, blockLength: 4, steps: 1, cfgScale: 0.5 };
  const { steps, result } = await collect(sequences, new ToyModel(), options);
  const positions = steps.flatMap(({ commits }) => commits[0].map(({ position }) => position));
  assertEquals(positions.length, 4);
  assert(positions.every((position) => position >= 2));
  assertEquals(result.sequences[0].ids[0], MASK);
  // The schedule counts the block's own masks, so one candidate is left over.
  assertEquals(result.sequences[0].ids.subarray(2).filter((id) => id === MASK).length, 1);
  const all = await collect(sequences, new ToyModel(), { ...options, remasking: "random" });
  assertEquals(all.steps[0].commits[0].length, 4);
});

Deno.test("a sequence that is decided leaves the forward pass", async () => {
  // An answer that is an end token at once beside one that never ends.
  const done: Sequence = { ids: Uint32Array.of(1, END, MASK), promptLength: 1, maskToken: MASK };
  const open = newSequence([2], 2, MASK);
  const options = { ...plain, blockLength: 2, steps: 2, seeds: [1, 1], stopAtEnd: true };
  const model = new ToyModel();
  const { steps, result } = await collect([done, open], model, { ...options, logitsEosInf: true });
  assertEquals(model.batches, [1, 1]);
  assertEquals(steps.map(({ commits }) => commits.map((row) => row.length)), [[0, 1], [0, 1]]);
  assertEquals(result.sequences[0].ids, done.ids);

  const nothing = await collect([done], new ToyModel(), { ...options, seeds: [1] });
  assertEquals([nothing.steps.length, nothing.result.nfe, nothing.result.readbacks], [0, 0, 0]);
});

for (const model of [new ToyModel(), new ToyCanvasModel()]) {
  const name = model.constructor.name;
  Deno.test(`${name}: an aborted signal ends the loop with its reason at the next step`, async () => {
    const reason = new Error("enough");
    const controller = new AbortController();
    const stream = denoise([newSequence([1], 8, MASK)], model, {
      ...plain,
      signal: controller.signal,
    });
    await stream.next();
    const second = await stream.next();
    assertEquals((second.value as DenoiseStep).step, 1);
    controller.abort(reason);
    const error = await assertRejects(() => stream.next());
    assertEquals(error, reason);
    assertEquals((await stream.next()).done, true);
    if (model instanceof ToyCanvasModel) assertEquals(model.destroyed, model.opened);
  });

  Deno.test(`${name}: a signal aborted beforehand asks nothing of the model`, async () => {
    const before = model.batches.length;
    const stream = denoise([newSequence([1], 8, MASK)], model, {
      ...plain,
      signal: AbortSignal.abort(new Error("too late")),
    });
    await assertRejects(() => stream.next(), Error, "too late");
    assertEquals(model.batches.length, before);
  });
}

Deno.test("leaving the stream early, and a canvas that fails, destroy the canvas", async () => {
  const model = new ToyCanvasModel();
  for await (const _ of denoise([newSequence([1], 8, MASK)], model, plain)) break;
  assertEquals([model.opened, model.destroyed], [1, 1]);

  const broken = new ToyCanvasModel();
  const open = broken.openCanvas.bind(broken);
  broken.openCanvas = async (sequences) => ({
    ...await open(sequences),
    run: () => Promise.reject(new Error("device lost")),
  });
  const stream = denoise([newSequence([1], 8, MASK)], broken, plain);
  await assertRejects(() => stream.next(), Error, "device lost");
  assertEquals(broken.destroyed, 1);
});

Deno.test("options out of range are refused by name before the model is asked", async () => {
  const sequence = newSequence([1], 8, MASK);
  const bad: [readonly Sequence[], Partial<DenoiseOptions>, string][] = [
    [[], {}, "no sequence"],
    [[sequence, newSequence([1, 2], 7, MASK)], { seeds: [1, 1] }, "sequence 1 has 2 prompt tokens"],
    [[sequence], { seeds: [] }, "seeds has 0 entries for 1 sequences"],
    [[sequence], { seeds: [-1] }, "seed is -1"],
    [[sequence], { seeds: [0.5] }, "seed is 0.5"],
    [[sequence], { seeds: [2 ** 53] }, "seed is 9007199254740992"],
    [[sequence], { temperature: -1 }, "temperature is -1"],
    [[sequence], { temperature: NaN }, "temperature is NaN"],
    [[sequence], { cfgScale: Infinity }, "cfgScale is Infinity"],
    [[sequence], { stepsPerReadback: 0 }, "stepsPerReadback is 0"],
    [[sequence], { remasking: "entropy" as "random" }, "low_confidence, random"],
  ];
  const model = new ToyCanvasModel();
  for (const [sequences, options, message] of bad) {
    const stream = denoise(sequences, model, { ...plain, ...options });
    await assertRejects(() => stream.next(), RangeError, message);
  }
  const uneven = denoise([sequence], model, { ...plain, steps: 3 });
  await assertRejects(() => uneven.next(), ScheduleError, "steps is 3");
  assertEquals([model.opened, model.batches.length], [0, 0]);
});
