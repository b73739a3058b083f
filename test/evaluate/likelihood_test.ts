/** The likelihood bound: its masks, its weights, and models for which it is known exactly. */

import { assert, assertAlmostEquals, assertEquals, assertRejects } from "@std/assert";
import * as fc from "fast-check";
import type { ForwardInput } from "../../src/denoise/predictor.ts";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import {
  batchLoss,
  likelihood,
  likelihoodFigures,
  type LikelihoodModel,
  maskedCounts,
  maskedRows,
} from "../../src/evaluate/likelihood.ts";
import { anyGpu } from "../gpu/device.ts";
import { modelOf } from "../model/models.ts";
import { publicExamples } from "./public_examples.ts";

const MASK = 99;
const OPTIONS = { maskTokenId: MASK, batches: 3, batchSize: 4 };

/** Gives the judged token a probability by its position. */
function toy(
  probability: (position: number) => number,
  logitsAt: LikelihoodModel["logitsAt"] = () => Promise.reject(new Error("not expected")),
): LikelihoodModel & { readonly asked: ForwardInput[] } {
  const asked: ForwardInput[] = [];
  return {
    asked,
    logitsAt,
    predict(inputs) {
      asked.push(...inputs);
      return Promise.resolve(inputs.map(({ positions }) =>
        [...positions].map((position) => ({
          position,
          token: 0,
          oddsAgainst: 1,
          uncertainty: 1,
          confidence: 0.5,
          logProbability: Math.log(0.5),
          logSumExp: 0,
          judgedConfidence: probability(position),
        }))
      ));
    },
  };
}

const example = (prompt: number, answer: number) => ({
  prompt: Uint32Array.from({ length: prompt }, (_, i) => i),
  answer: Uint32Array.from({ length: answer }, (_, i) => 50 + i),
});

Deno.test("numbers of masks are within the answer, and spread evenly around it", () => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 40 }));
  fc.assert(fc.property(sizes, fc.nat(), ([length, rows], at) => {
    const k = 1 + at % length;
    const counts = maskedCounts(length, rows, k);
    assertEquals([counts.length, counts[0]], [rows, k]);
    assert(counts.every((count) => count >= 1 && count <= length));
    const sorted = [...counts].sort((a, b) => a - b);
    const gaps = sorted.map((count, i) => (sorted[i + 1] ?? sorted[0] + length) - count);
    assert(gaps.every((gap) => Math.abs(gap - length / rows) <= 1), `${counts}`);
  }));
});

Deno.test("a model whose probabilities are no numbers is told", async () => {
  const nothing = new Float32Array(100).fill(NaN);
  for (const model of [toy(() => NaN), toy(() => 0, () => Promise.resolve(nothing))]) {
    await assertRejects(
      () => likelihood(model, example(2, 5), OPTIONS),
      RangeError,
      "is NaN, expected a finite number",
    );
  }
});

Deno.test("halves are rounded to even, as in the published code", () => {
  assertEquals(maskedCounts(10, 4, 1), [1, 4, 6, 8]);
  assertEquals(maskedCounts(5, 8, 3), [3, 4, 4, 5, 1, 1, 2, 2]);
});

Deno.test("masks fall on the answer only, by seed and batch", () => {
  const one = example(5, 11);
  for (const batch of [0, 1, 7]) {
    const rows = maskedRows(one, batch, { ...OPTIONS, seed: 4 });
    const counts = rows.map((ids) => ids.filter((id) => id === MASK).length);
    assertEquals(counts, maskedCounts(11, 4, counts[0]));
    for (const ids of rows) {
      const whole = [...one.prompt, ...one.answer];
      ids.forEach((id, i) => assert(id === whole[i] || (id === MASK && i >= 5)));
    }
    assertEquals(rows, maskedRows(one, batch, { ...OPTIONS, seed: 4 }));
  }
  const masks = (batch: number, seed: number) => maskedRows(one, batch, { ...OPTIONS, seed });
  assert(String(masks(0, 4)) !== String(masks(1, 4)));
  assert(String(masks(0, 4)) !== String(masks(0, 5)));
});

Deno.test("every number of masks and every place is as likely as another", () => {
  const one = example(1, 5);
  const counts = new Array(5).fill(0);
  const places = new Array(5).fill(0);
  for (let batch = 0; batch < 4000; batch++) {
    const [ids] = maskedRows(one, batch, { ...OPTIONS, batchSize: 1 });
    const masked = [...ids.keys()].filter((i) => ids[i] === MASK);
    counts[masked.length - 1]++;
    if (masked.length === 1) places[masked[0] - 1]++;
  }
  for (const count of counts) assertAlmostEquals(count, 800, 100);
  for (const count of places) assertAlmostEquals(count, counts[0] / 5, 50);
});

Deno.test("a model that gives every token one probability has an exact bound", async () => {
  const some = [example(3, 1), example(2, 7), example(0, 20)];
  const found = await Promise.all(some.map((one) => likelihood(toy(() => 0.25), one, OPTIONS)));
  for (const [i, { logLikelihood, batchLosses, tokens }] of found.entries()) {
    assertEquals(tokens, some[i].answer.length);
    assertEquals(batchLosses.length, 3);
    assertAlmostEquals(logLikelihood, tokens * Math.log(0.25), 1e-9);
  }
  const all = likelihoodFigures(found);
  assertEquals([all.examples, all.tokens], [3, 28]);
  assertAlmostEquals(all.perplexity, 4, 1e-9);
  assertAlmostEquals(all.standardError, 0, 1e-6);
});

Deno.test("the mean over many batches is the sum of all tokens' losses, and its error is told", async () => {
  // Independent of the mask, token i costs i + 1: the expectation is 1 + 2 + … + 6.
  const model = toy((position) => Math.exp(-(position - 1)));
  const options = { ...OPTIONS, batches: 400, batchSize: 2 };
  const one = await likelihood(model, example(2, 6), options);
  const { standardError } = likelihoodFigures([one]);
  assert(standardError > 0.05 && standardError < 0.5, `${standardError}`);
  assertAlmostEquals(one.logLikelihood, -21, 4 * standardError);
});

Deno.test("with guidance the second sequence hides the prompt and nothing else", async () => {
  const model = toy(() => 0.5);
  await likelihood(model, example(3, 4), { ...OPTIONS, batches: 1, cfgScale: 1.5 });
  assertEquals(model.asked.length, 4);
  for (const { ids, guidance, positions, judged } of model.asked) {
    assertEquals(guidance?.scale, 1.5);
    assertEquals([...guidance!.unconditionalIds.subarray(0, 3)], [MASK, MASK, MASK]);
    assertEquals(guidance!.unconditionalIds.subarray(3), ids.subarray(3));
    assertEquals([...judged!], [...positions].map((position) => 50 + position - 3));
  }
  await likelihood(model, example(3, 4), { ...OPTIONS, batches: 1 });
  assertEquals(model.asked.at(-1)?.guidance, undefined);
});

Deno.test("a probability that f32 does not hold is computed from the logits", async () => {
  const logits = (ids: Uint32Array) =>
    Float32Array.from({ length: 100 }, (_, token) => token === 0 ? (ids[0] === MASK ? 0 : 300) : 0);
  const model = toy(() => 0, ({ ids, positions }) => {
    assertEquals(positions.length, 1);
    return Promise.resolve(logits(ids));
  });
  const one = example(2, 1);
  const rows = [Uint32Array.of(0, 1, MASK)];
  // ln(e^300 + 99) = 300 within f64.
  assertAlmostEquals(await batchLoss(model, one, rows, { maskTokenId: MASK }), 300, 1e-9);
  const guided = await batchLoss(model, one, rows, { maskTokenId: MASK, cfgScale: 1.5 });
  assertAlmostEquals(guided, 750, 1e-9);
});

Deno.test("an answer without tokens is refused", async () => {
  await assertRejects(() => likelihood(toy(() => 1), example(2, 0), OPTIONS), RangeError);
});

Deno.test("the embedded target finds right answers likelier than turned ones", async () => {
  const model = await modelOf(anyGpu, EMBEDDED_TARGET);
  const options = { ...OPTIONS, maskTokenId: model.config.maskTokenId };
  for (const one of publicExamples(2)) {
    const right = await likelihood(model, one, options);
    const turned = await likelihood(model, { ...one, answer: one.answer.toReversed() }, options);
    assert(right.logLikelihood > -5, `${right.logLikelihood}`);
    assert(turned.logLikelihood < -30, `${turned.logLikelihood}`);
  }
});
