/** How masked answers are made, and how a draft's agreement on them is counted. */

import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import * as fc from "fast-check";
import { GREEDY, type Predictor } from "../../src/denoise/predictor.ts";
import { EMBEDDED_DRAFT, EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import {
  addAgreements,
  type AnsweredPrompt,
  calibrationError,
  choicesAt,
  countAgreement,
  DRAFT_RATIOS,
  type DraftAgreement,
  draftFigures,
  maskAnswer,
  type MaskingOptions,
} from "../../src/evaluate/draft_agreement.ts";
import { anyGpu } from "../gpu/device.ts";
import { modelOf } from "../model/models.ts";
import { publicExamples } from "./public_examples.ts";

const MASK = 99;
const PADDING = 98;
const MASKING = { maskTokenId: MASK, paddingTokenId: PADDING, responseLength: 16 };

/** Agreement of two models with some examples masked at one ratio. */
async function agreementAt(
  maskRatio: number,
  target: Predictor,
  draft: Predictor,
  examples: readonly AnsweredPrompt[],
  options: MaskingOptions,
): Promise<DraftAgreement> {
  const states = examples.map((example) => maskAnswer(example, maskRatio, options));
  return countAgreement(
    maskRatio,
    await choicesAt(target, states),
    await choicesAt(draft, states),
  );
}

/** Answers by a function of the position and the number of visible tokens. */
function toy(
  choose: (position: number, visible: number) => readonly [token: number, confidence: number],
): Predictor {
  return {
    predict: (inputs) =>
      Promise.resolve(inputs.map(({ ids, positions, choice }) => {
        assertEquals(choice, GREEDY);
        assert(positions.length > 0);
        const visible = ids.filter((id) => id !== MASK).length;
        return [...positions].map((position) => {
          const [token, confidence] = choose(position, visible);
          const oddsAgainst = (1 - confidence) / confidence;
          const logProbability = Math.log(confidence);
          const ranked = { oddsAgainst, uncertainty: oddsAgainst, logSumExp: 0 };
          return { position, token, confidence, logProbability, ...ranked };
        });
      })),
  };
}

const tokens = (most: number) =>
  fc.array(fc.nat(90), { minLength: 1, maxLength: most }).map((ids) => Uint32Array.from(ids));
const example = fc.record({ prompt: tokens(8), answer: tokens(24) });
const examples = fc.array(example, { minLength: 1, maxLength: 8 });

Deno.test("masks fall on the response only, and answer positions are asked", () => {
  fc.assert(fc.property(example, fc.double({ min: 0, max: 1, noNaN: true }), (one, ratio) => {
    const { prompt, answer } = one;
    const { ids, positions, maskRatio } = maskAnswer(one, ratio, MASKING);
    const end = prompt.length + answer.length;
    assertEquals(maskRatio, ratio);
    assertEquals(ids.length, prompt.length + Math.max(16, answer.length));
    assertEquals(ids.subarray(0, prompt.length), prompt);
    const whole = [...prompt, ...answer, ...Array(ids.length - end).fill(PADDING)];
    ids.forEach((id, i) => assert(id === whole[i] || (id === MASK && i >= prompt.length)));
    assertEquals(
      [...positions],
      [...ids.keys()].filter((i) => ids[i] === MASK && i < end),
    );
    assertEquals(maskAnswer(one, ratio, MASKING), { ids, positions, maskRatio });
  }));
  const one = { prompt: Uint32Array.of(1, 2), answer: Uint32Array.of(3, 4, 5) };
  assertEquals([...maskAnswer(one, 1, MASKING).positions], [2, 3, 4]);
  assertEquals(maskAnswer(one, 1, MASKING).ids.filter((id) => id === MASK).length, 16);
  assertEquals([...maskAnswer(one, 0, MASKING).ids.slice(2, 6)], [3, 4, 5, PADDING]);
});

Deno.test("as many positions are masked as the ratio says, others by another seed and ratio", () => {
  const answer = Uint32Array.from({ length: 20_000 }, (_, i) => i % 90);
  const one = { prompt: Uint32Array.of(1), answer };
  const masksOf = (ratio: number, seed: number) => maskAnswer(one, ratio, { ...MASKING, seed });
  for (const ratio of DRAFT_RATIOS) {
    const share = masksOf(ratio, 0).positions.length / answer.length;
    // Four standard deviations.
    assertAlmostEquals(share, ratio, 4 * Math.sqrt(ratio * (1 - ratio) / answer.length));
  }
  // Two independent masks of 0.5 share a quarter of the positions.
  const both = (a: Uint32Array, b: Uint32Array) => a.filter((at) => b.includes(at)).length;
  const [zero, one_] = [masksOf(0.5, 0), masksOf(0.5, 1)].map(({ positions }) => positions);
  assertAlmostEquals(both(zero.slice(0, 2000), one_) / 2000, 0.5, 0.05);
  const other = masksOf(0.3, 0).positions;
  assertAlmostEquals(both(other.slice(0, 2000), zero) / 2000, 0.5, 0.05);
});

Deno.test("counts, figures and the calibration error are those of a worked example", () => {
  const choice = (token: number, confidence: number) => ({ token, confidence });
  const target = [[choice(1, 0.5), choice(2, 0.5)], [], [choice(3, 0.5), choice(4, 0.5)]];
  const draft = [[choice(1, 0.95), choice(7, 0.92)], [], [choice(3, 0.9), choice(8, 1)]];
  const found = countAgreement(0.3, target, draft);
  assertEquals({ ...found, bins: [] }, {
    maskRatio: 0.3,
    states: 3,
    positions: 4,
    sameToken: 2,
    // 0.9 itself is not above 0.9.
    confident: 3,
    sameConfident: 1,
    bins: [],
  });
  assertEquals(found.bins.map(({ positions }) => positions), [0, 0, 0, 0, 0, 0, 0, 0, 0, 4]);
  assertAlmostEquals(calibrationError(found.bins), (0.95 + 0.92 + 0.9 + 1) / 4 - 0.5, 1e-12);
  const surer = countAgreement(0.5, [[choice(1, 1)]], [[choice(1, 0.25)]]);
  assertEquals(surer.bins[2], { positions: 1, sameToken: 1, confidence: 0.25 });
  const empty = countAgreement(0.7, [[]], [[]]);
  const figures = draftFigures([found, surer, empty]);
  assertEquals(figures.byRatio.map(({ agreement }) => agreement), [0.5, 1, NaN]);
  assertEquals(figures.agreement, 0.75);
  assertEquals([figures.confidentCorrect, figures.confidentShare], [1 / 3, 3 / 8]);
  assertAlmostEquals(figures.calibrationError, (3.77 - 2 + 0.75) / 5, 1e-12);
  assertEquals(addAgreements([found, surer]).maskRatio, NaN);
});

Deno.test("a draft whose confidences are no numbers is told", () => {
  const [target, draft] = [0.5, NaN].map((confidence) => [[{ token: 1, confidence }]]);
  assertThrows(() => countAgreement(0.5, target, draft), RangeError, "is NaN, expected 0 to 1");
});

Deno.test("a model agrees with itself everywhere, whatever the examples", async () => {
  const model = toy((position, visible) => [position * visible % 7, 1 / (1 + position % 3)]);
  await fc.assert(fc.asyncProperty(examples, fc.nat(), async (some, seed) => {
    const { positions, sameToken, confident, sameConfident } = await agreementAt(
      0.6,
      model,
      model,
      some,
      { ...MASKING, seed },
    );
    assertEquals([sameToken, sameConfident], [positions, confident]);
  }));
});

Deno.test("the order of the examples changes nothing", async () => {
  const target = toy((position, visible) => [(position + visible) % 3, 0.5]);
  const draft = toy((position, visible) => [position * visible % 3, (position % 9 + 1) / 10]);
  const shuffled = examples.chain((some) =>
    fc.tuple(
      fc.constant(some),
      fc.shuffledSubarray(some, { minLength: some.length, maxLength: some.length }),
    )
  );
  const count = async (some: readonly AnsweredPrompt[]) => {
    const { bins, ...counts } = await agreementAt(0.5, target, draft, some, MASKING);
    return { counts, bins };
  };
  await fc.assert(fc.asyncProperty(shuffled, async ([some, others]) => {
    const [one, other] = [await count(some), await count(others)];
    assertEquals(one.counts, other.counts);
    one.bins.forEach((bin, i) => {
      assertAlmostEquals(bin.confidence, other.bins[i].confidence, 1e-9);
      assertEquals(bin.sameToken, other.bins[i].sameToken);
    });
  }));
});

Deno.test("a draft that is wrong at every other position agrees at half of them", async () => {
  const target = toy(() => [1, 0.5]);
  const draft = toy((position) => [position % 2, 0.95]);
  const some = Array.from({ length: 40 }, (_, i) => ({
    prompt: Uint32Array.of(i),
    answer: Uint32Array.from({ length: 10 }, (_, j) => j),
  }));
  const all = await agreementAt(1, target, draft, some, MASKING);
  assertEquals([all.positions, all.sameToken, all.sameConfident], [400, 200, 200]);
  assertEquals([all.states, all.confident], [40, 400]);
});

Deno.test("the embedded target agrees with itself, its draft nearly always with it", async () => {
  const target = await modelOf(anyGpu, EMBEDDED_TARGET);
  const draft = await modelOf(anyGpu, EMBEDDED_DRAFT);
  const { maskTokenId, eosTokenId } = target.config;
  const states = publicExamples(8).map((one) =>
    maskAnswer(one, 0.5, { maskTokenId, paddingTokenId: eosTokenId })
  );
  const own = await choicesAt(target, states);
  const same = countAgreement(0.5, own, await choicesAt(target, states));
  assertEquals([same.sameToken, same.states], [same.positions, 8]);
  const { positions, sameToken } = countAgreement(0.5, own, await choicesAt(draft, states));
  assert(positions === same.positions && positions > 40, `${positions}`);
  assert(sameToken >= 0.9 * positions && sameToken <= positions, `${sameToken} of ${positions}`);
});
