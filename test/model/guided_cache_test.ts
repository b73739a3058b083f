/** Guidance with a cache: each of the two sequences runs against keys and values of its own. */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { DenoiseStep } from "../../src/denoise/denoise_step.ts";
import { type CanvasStep, GREEDY, type Predictor } from "../../src/denoise/predictor.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import { type StrategyName, strategyOf, type StrategyOptions } from "../../src/denoise/strategy.ts";
import { denoiseBlocks } from "../../src/denoise/strategies/blocks.ts";
import { gather } from "../denoise/draw.ts";
import { someTwins } from "../denoise/some_twins.ts";
import { anyGpu, elements } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { goldenPath } from "../reference/golden.ts";
import { keptCanvas, KeptReference } from "../reference/kept_canvas.ts";
import { loadReference } from "../reference/llada.ts";
import { goldenModel } from "./models.ts";

const SCALE = 1.5;
const STEP = {
  commits: 2,
  remasking: "low_confidence",
  choices: [GREEDY],
  stopAtEnd: false,
} as const;
/** As without guidance (kv_cache_test.ts), for both sequences' logits by what they are multiplied. */
const LOGITS_ABS = { f32: 5e-4 * (2 * SCALE + 1), f16: 4e-2 * (2 * SCALE + 1) };

const cases = ["mha-f32", "gqa-bf16"].flatMap((name) =>
  elements.map((element) => [name, element] as const)
);

for (const [name, element] of cases) {
  Deno.test(`${name}, kept in ${element}: parts of both sequences run as in the reference`, async () => {
    const model = await goldenModel(anyGpu, name, element);
    const { maskTokenId: mask, embeddingSize: columns } = model.config;
    const reference = loadReference(goldenPath(`checkpoints/${name}`));
    const random = new Random(`guided ${name}`);
    let compared = 0;
    let stale = 0;
    for (let round = 0; round < 3; round++) {
      const length = 9 + random.integer(20);
      const pads = random.integer(3);
      const attentionMask = Uint8Array.from({ length }, (_, i) => i < pads ? 0 : 1);
      const ids = random.integers(length, columns).map((id) => random.next() < 0.5 ? mask : id);
      const twin = new Uint32Array(length).fill(mask);
      const guidance = { scale: SCALE, unconditionalIds: twin };
      const kept = new KeptReference(reference, element);
      const canvas = await model.openCanvas([{
        ...{ ids, attentionMask, guidance, maskToken: mask },
        ...{ promptLength: 0, endTokens: [] },
      }]);
      for (let step = 0; step < 6; step++) {
        const isRefresh = step === 0 || random.next() < 0.2;
        const first = pads + random.integer(length - pads);
        const part = isRefresh
          ? { first: 0, end: length }
          : { first, end: first + 1 + random.integer(length - first) };
        const input = { ids, guidance, attentionMask };
        const logits = kept.logits(input, isRefresh ? "refresh" : part, true);
        const fresh = new KeptReference(reference, element).logits(input, "refresh");
        const [[commits]] = await canvas.run([{
          ...STEP,
          blockStart: part.first,
          blockEnd: part.end,
          cache: isRefresh ? "refresh" : part,
        }]);
        for (const { position, token, logProbability } of commits) {
          const row = logits.subarray(position * columns, (position + 1) * columns);
          const most = row.reduce((a, b) => Math.max(a, b));
          assertAlmostEquals(row[token], most, LOGITS_ABS[element]);
          const sum = row.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
          assertAlmostEquals(
            logProbability,
            row[token] - most - Math.log(sum),
            LOGITS_ABS[element],
          );
          compared++;
          if (Math.abs(fresh[position * columns + token] - row[token]) > 0.2) stale++;
          ids[position] = twin[position] = token;
        }
        // What only one of the two sequences sees, and what is kept knows nothing of.
        ids[pads + random.integer(length - pads)] = random.integer(columns);
        twin[pads + random.integer(length - pads)] = random.integer(columns);
        canvas.setIds(0, ids, twin);
      }
      canvas.destroy();
    }
    assert(compared > 12, `${compared} commits compared`);
    assert(stale > 3, `only ${stale} commits depended on what was kept`);
  });
}

const RUNS: readonly (readonly [StrategyName, Partial<StrategyOptions>])[] = [
  ["plain", { cache: "prefix" }],
  ["plain", { cache: "dual", refreshInterval: 2, suffixWindow: 3 }],
  ["plain", { suffixWindow: 0 }],
  ["plain", { cache: "dual", temperature: 0.8, sampling: { topP: 0.9 } }],
  ["threshold", { cache: "dual", threshold: 0.2 }],
  ["factor", { cache: "prefix", factor: 4 }],
  ["self", { cache: "dual", depth: 3 }],
  ["lossless", { cache: "dual", depth: 2 }],
  ["commit_verify", { cache: "prefix", draftThreshold: 0.05, targetThreshold: 0.4 }],
  ["auto", { quality: "fast", threshold: 0.2 }],
];

Deno.test("every strategy with a cache and guidance commits what it does over the reference", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { maskTokenId, eosTokenId, embeddingSize } = model.config;
  const prompt = new Random("prompt").integers(7, embeddingSize).filter((id) => id !== maskTokenId);
  const sequence = newSequence(prompt, 12, maskTokenId);
  const run = async (
    target: Predictor,
    name: StrategyName,
    more: Partial<StrategyOptions>,
  ) => {
    const steps: DenoiseStep[] = [];
    // Its own draft, whose keys and values are older than the target's in commit_verify.
    const models = { target, draft: target };
    const options: StrategyOptions = {
      blockLength: 6,
      steps: 12,
      seeds: [11],
      cfgScale: SCALE,
      eosToken: eosTokenId,
      endTokens: [eosTokenId],
      stopAtEnd: false,
      ...more,
    };
    for await (const step of strategyOf(name).run(sequence, models, options)) steps.push(step);
    return steps.map(({ commits: [own] }) => own);
  };
  const asked = someTwins(model, () => false).predictor;
  const reference = keptCanvas(loadReference(goldenPath("checkpoints/mha-f32")), "f32");
  for (const [name, more] of RUNS) {
    const what = `${name} ${JSON.stringify(more)}`;
    const found = await run(model, name, more);
    const positions = found.flat().map(({ position }) => position);
    const { promptLength } = sequence;
    assertEquals(
      positions.toSorted((a, b) => a - b),
      Array.from({ length: 12 }, (_, i) => promptLength + i),
    );
    // Its choices depend on what steps cost.
    if (name === "auto") continue;
    const expected = await run(reference, name, more);
    for (const [i, own] of found.entries()) {
      assertEquals(
        own.map(({ position, token }) => [position, token]),
        expected[i].map(({ position, token }) => [position, token]),
        `${what}, step ${i}`,
      );
      for (const [j, { confidence }] of own.entries()) {
        assertAlmostEquals(confidence, expected[i][j].confidence, 1e-3, what);
      }
    }
    // On the canvas or asked one by one: the same bits.
    const single = await run(asked, name, more);
    assertEquals(single, found, what);
  }
  anyGpu.throwIfFaulty();
});

Deno.test("guided: a refresh at every step is no cache at all, with and without a horizon", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { eosTokenId, maskTokenId: mask } = model.config;
  const ids = Uint32Array.of(3, 7, 30, 2, ...Array(12).fill(mask));
  const canvas = await model.openCanvas([{
    ids,
    promptLength: 4,
    guidance: { scale: SCALE, unconditionalIds: new Uint32Array(ids.length).fill(mask) },
    endTokens: [eosTokenId],
    maskToken: mask,
  }]);
  for (const horizon of [undefined, 11]) {
    const steps = (cache?: "refresh"): CanvasStep[] =>
      [8, 8, 11, 11].map((blockEnd) => ({ ...STEP, blockStart: 4, blockEnd, cache, horizon }));
    const reset = () => canvas.setIds(0, ids, new Uint32Array(ids.length).fill(mask));
    reset();
    const expected = await canvas.run(steps());
    reset();
    assertEquals(await canvas.run(steps("refresh")), expected);
    assertEquals(expected.flat(2).length, 7);
    // A pass over the shorter pair, asked of its own.
    reset();
    const shown = ids.subarray(0, horizon);
    const positions = Uint32Array.of(4, 5, 6, 7);
    const guidance = { scale: SCALE, unconditionalIds: new Uint32Array(shown.length).fill(mask) };
    const ask = { ids: shown, positions, guidance, choice: GREEDY };
    const [[alone], [kept]] = [
      await model.predict([ask]),
      await canvas.predict([ask], "refresh"),
    ];
    assertEquals(kept, alone);
    const answers = await canvas.predict([ask, ask], { first: 4, end: 8 });
    assertEquals(answers, [alone, alone], "right behind a refresh a part is the whole");
  }
  canvas.destroy();
});

Deno.test("guided: strategies take a cache", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { eosTokenId, maskTokenId: mask } = model.config;
  const sequence = newSequence([3, 7, 30, 2], 12, mask);
  const run = (change: object) =>
    gather(denoiseBlocks(sequence, model, {
      rule: { kind: "count" },
      blockLength: 6,
      steps: 6,
      seeds: [4],
      cfgScale: SCALE,
      eosToken: eosTokenId,
      endTokens: [eosTokenId],
      stopAtEnd: false,
      ...change,
    }));
  const expected = await run({});
  for (const cache of ["prefix", "dual"]) {
    assertEquals(await run({ cache, refreshInterval: 1 }), expected);
    const { result } = await run({ cache, refreshInterval: 3 });
    assert(!result.sequences[0].ids.subarray(4).includes(mask));
  }
});
