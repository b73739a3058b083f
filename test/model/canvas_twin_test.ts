import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { denoise } from "../../src/denoise/denoise.ts";
import type { DenoiseOptions, DenoiseResult, DenoiseStep } from "../../src/denoise/denoise_step.ts";
import { GREEDY, type Predictor } from "../../src/denoise/predictor.ts";
import { decidedUpToEnd, newSequence, type Sequence } from "../../src/denoise/sequence.ts";
import type { Model } from "../../src/model/model.ts";
import { rankingArb } from "../denoise/draw.ts";
import { someTwins } from "../denoise/some_twins.ts";
import { anyGpu } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { goldenModel } from "./models.ts";

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

/** The same model without its canvas: predictions come to the host, which selects and commits. */
const stepByStep = (model: Model): Predictor => ({ predict: (inputs) => model.predict(inputs) });

async function assertSame(
  model: Model,
  sequences: readonly Sequence[],
  options: DenoiseOptions,
): Promise<Run> {
  const single = await collect(sequences, stepByStep(model), options);
  const chunked = await collect(sequences, model, options);
  assertEquals(chunked.steps, single.steps);
  assertEquals(chunked.result.sequences, single.result.sequences);
  return single;
}

const runArb = fc.record({
  prompt: fc.integer({ min: 0, max: 13 }),
  batch: fc.integer({ min: 1, max: 3 }),
  blocks: fc.integer({ min: 1, max: 3 }),
  blockLength: fc.integer({ min: 1, max: 7 }),
  stepsPerBlock: fc.integer({ min: 1, max: 8 }),
  seed: fc.maxSafeNat(),
  masksInPrompt: fc.boolean(),
  ranking: rankingArb,
  temperature: fc.constantFrom(0, 0, 0.7),
  cfgScale: fc.constantFrom(0, 0, 1.5),
  logitsEosInf: fc.boolean(),
  confidenceEosEotInf: fc.boolean(),
  stopAtEnd: fc.boolean(),
  stepsPerReadback: fc.integer({ min: 1, max: 6 }),
});

type Draw = Parameters<Parameters<typeof runArb.map>[0]>[0];

function drawn(model: Model, draw: Draw) {
  const {
    prompt,
    batch,
    blocks,
    blockLength,
    stepsPerBlock,
    seed,
    masksInPrompt,
    ranking,
    ...rest
  } = draw;
  const { embeddingSize, maskTokenId, eosTokenId } = model.config;
  const random = new Random(seed);
  const sequences = Array.from({ length: batch }, (_, row) => {
    const ids = random.integers(prompt, embeddingSize)
      .map((id) => masksInPrompt && random.next() < 0.3 ? maskTokenId : id);
    const pads = Math.min(row * 2, prompt);
    const mask = row === 0 ? undefined : Uint8Array.from(ids, (_, i) => i < pads ? 0 : 1);
    return newSequence(ids, blocks * blockLength, maskTokenId, mask);
  });
  const options: DenoiseOptions = {
    ...rest,
    ...ranking,
    blockLength,
    steps: blocks * stepsPerBlock,
    seeds: sequences.map((_, row) => (seed + row) % Number.MAX_SAFE_INTEGER),
    eosToken: eosTokenId,
    eotToken: random.integer(embeddingSize),
    endTokens: [eosTokenId],
  };
  return { sequences, options };
}

for (const [name, numRuns] of [["mha-f32", 30], ["gqa-bf16", 15]] as const) {
  Deno.test(`${name}: the canvas commits what selectCommits makes of predictions`, async () => {
    const model = await goldenModel(anyGpu, name);
    let stops = 0;
    await fc.assert(
      fc.asyncProperty(runArb, async (draw) => {
        const { sequences, options } = drawn(model, draw);
        const full = await assertSame(model, sequences, { ...options, stopAtEnd: false });
        if (!options.stopAtEnd) return;
        // A random model hardly ever ends its text: tokens that it did choose end it here.
        const chosen = full.steps.flatMap(({ commits }) => commits.flat().map(({ token }) => token))
          .filter((token) => token !== model.config.maskTokenId);
        const endTokens = [0.2, 0.6].map((share) => chosen[Math.floor(share * chosen.length)])
          .filter((token) => token !== undefined);
        const stopped = await assertSame(model, sequences, { ...options, endTokens });
        if (stopped.steps.length < full.steps.length) stops++;
      }),
      { numRuns, seed: 3 },
    );
    assert(stops > 0, "no run of the property stopped early");
  });
}

Deno.test("steps without a twin, between others that have one, commit the same", async () => {
  const model = await goldenModel(anyGpu, "gqa-bf16");
  let alone = 0;
  await fc.assert(
    fc.asyncProperty(runArb, async (draw) => {
      const { sequences, options } = drawn(model, draw);
      const expected = await collect(sequences, model, options);
      const limited = someTwins(model, ({ choices: [{ step }] }) => step % 4 > 1);
      const found = await collect(sequences, limited.predictor, options);
      assertEquals(found.steps, expected.steps);
      assertEquals(found.result.sequences, expected.result.sequences);
      if (limited.counts.runs > 0) alone += limited.counts.predicts;
    }),
    { numRuns: 12, seed: 4 },
  );
  assert(alone > 0, "no run had steps of both sorts");
});

Deno.test("masks of the prompt are candidates, behind the block's end they are not", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const mask = model.config.maskTokenId;
  const sequences = [newSequence([mask, 8, mask, mask, 21], 8, mask, [1, 1, 1, 0, 1])];
  const options: DenoiseOptions = {
    blockLength: 4,
    steps: 4,
    seeds: [9],
    remasking: "random",
    eosToken: model.config.eosTokenId,
    endTokens: [model.config.eosTokenId],
    stopAtEnd: false,
  };
  const { steps, result } = await assertSame(model, sequences, options);
  const positions = steps.flatMap(({ commits }) => commits[0].map(({ position }) => position));
  assert(positions.some((position) => position < 5), `committed at ${positions}`);
  assert(!positions.includes(3), "a hidden mask was committed");
  assert(
    steps.slice(0, 2).every(({ commits }) => commits[0].every(({ position }) => position < 9)),
  );
  assertEquals(result.sequences[0].ids[3], mask);
  await assertSame(model, sequences, { ...options, cfgScale: 0.7, remasking: "low_confidence" });
});

Deno.test("a model that chooses the mask keeps the position masked", async () => {
  // With a tied head many a token answers itself, and any id may stand for "not decided".
  const model = await goldenModel(anyGpu, "tied-f16");
  const tokens = Array.from({ length: model.config.embeddingSize }, (_, token) => token);
  const answers = await model.predict(tokens.map((token) => ({
    ids: Uint32Array.of(1, 2, token, token),
    positions: Uint32Array.of(2, 3),
    choice: GREEDY,
  })));
  const stubborn = tokens.filter((token) =>
    answers[token].some((answer) => answer.token === token)
  );
  assert(stubborn.length > 0);
  let kept = 0;
  for (const mask of stubborn.slice(0, 3)) {
    const { steps, result } = await assertSame(model, [newSequence([1, 2], 2, mask)], {
      blockLength: 2,
      steps: 5,
      seeds: [1],
      stepsPerReadback: 3,
      eosToken: 0,
      endTokens: [],
      stopAtEnd: false,
    });
    assert(steps.flatMap(({ commits }) => commits[0]).some(({ token }) => token === mask));
    if (result.sequences[0].ids.includes(mask)) kept++;
  }
  assert(kept > 0);
});

Deno.test("a sequence that is decided from the start does nothing, beside one that is not", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { maskTokenId: mask, eosTokenId: end } = model.config;
  const done: Sequence = {
    ids: Uint32Array.of(4, 5, 30, end, mask, mask),
    promptLength: 2,
    maskToken: mask,
  };
  const sequences = [done, newSequence([4, 5], 4, mask)];
  const options: DenoiseOptions = {
    blockLength: 4,
    steps: 4,
    seeds: [1, 1],
    logitsEosInf: true,
    eosToken: end,
    endTokens: [end],
    stopAtEnd: true,
  };
  const { steps, result } = await assertSame(model, sequences, options);
  assert(decidedUpToEnd(done, [end]));
  assertEquals(result.sequences[0].ids, done.ids);
  assertEquals(steps.map(({ commits }) => commits.map((row) => row.length)), Array(4).fill([0, 1]));
  const full = await assertSame(model, sequences, { ...options, stopAtEnd: false });
  assert(!full.result.sequences[0].ids.includes(mask));
});
