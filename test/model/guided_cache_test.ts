/** Guidance with kept keys and values: both sequences have their own, and the reference agrees. */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { type CanvasStep, GREEDY, type PositionRange } from "../../src/denoise/predictor.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import { denoiseBlocks } from "../../src/denoise/strategies/blocks.ts";
import { gather } from "../denoise/draw.ts";
import { anyGpu } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { goldenPath } from "../reference/golden.ts";
import type { KeptKeys } from "../reference/kept_keys.ts";
import { loadReference } from "../reference/llada.ts";
import { goldenModel } from "./models.ts";

const SCALE = 1.5;
const STEP = {
  commits: 2,
  remasking: "low_confidence",
  choices: [GREEDY],
  stopAtEnd: false,
} as const;

for (const name of ["mha-f32", "gqa-bf16"]) {
  Deno.test(`${name}: guided parts run against what both sequences kept, as the reference does`, async () => {
    const model = await goldenModel(anyGpu, name);
    const oracle = loadReference(goldenPath(`checkpoints/${name}`));
    const { embeddingSize: columns, maskTokenId: mask, eosTokenId } = model.config;
    const random = new Random(`guided ${name}`);
    let compared = 0;
    let stale = 0;
    for (let round = 0; round < 3; round++) {
      const length = 12 + random.integer(25);
      const promptLength = 4;
      const state = random.integers(length, columns)
        .map((id, i) => i >= promptLength && random.next() < 0.8 ? mask : id);
      const twin = state.map((id, i) => i < promptLength ? mask : id);
      const kept: [KeptKeys, KeptKeys] = [[], []];
      const canvas = await model.openCanvas([{
        ids: state,
        promptLength,
        guidance: { scale: SCALE, unconditionalIds: twin },
        endTokens: [eosTokenId],
        maskToken: mask,
      }]);
      for (let step = 0; step < 6; step++) {
        const first = promptLength + random.integer(length - promptLength);
        const part: PositionRange = step === 0
          ? { first: 0, end: length }
          : { first, end: first + 1 + random.integer(length - first) };
        const [own, other] = [state, twin].map((ids, i) =>
          oracle.forward(ids, undefined, { kept: kept[i], element: "f32", ...part }).logits
        );
        const logits = own.map((logit, i) => other[i] + (SCALE + 1) * (logit - other[i]));
        const [[commits]] = await canvas.run([{
          ...STEP,
          blockStart: part.first,
          blockEnd: part.end,
          cache: step === 0 ? "refresh" : part,
        }]);
        for (const { position, token, logProbability } of commits) {
          const row = logits.subarray(position * columns, (position + 1) * columns);
          const most = row.reduce((a, b) => Math.max(a, b));
          assertAlmostEquals(row[token], most, 2e-3);
          const sum = row.reduce((sum, logit) => sum + Math.exp(logit - most), 0);
          assertAlmostEquals(logProbability, row[token] - most - Math.log(sum), 2e-3);
          compared++;
          const full = [state, twin].map((ids) => oracle.forward(ids).logits);
          const at = position * columns + token;
          const fresh = full[1][at] + (SCALE + 1) * (full[0][at] - full[1][at]);
          if (Math.abs(fresh - row[token]) > 0.05) stale++;
          state[position] = twin[position] = token;
        }
        // Tokens decided elsewhere, which keys and values kept do not know of.
        const at = promptLength + random.integer(length - promptLength);
        state[at] = twin[at] = random.integer(columns);
        canvas.setIds(0, state, twin);
      }
      canvas.destroy();
    }
    assert(compared > 10, `${compared} commits compared`);
    assert(stale > 3, `only ${stale} commits depended on what was kept`);
  });
}

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
