/** How agreement is counted, and that it falls as weights get coarser. */

import { assert, assertEquals } from "@std/assert";
import { GREEDY, type Prediction, type Predictor } from "../../src/denoise/predictor.ts";
import { maskedPositions } from "../../src/denoise/sequence.ts";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import {
  compare,
  keeping,
  MASK_RATIOS,
  type MaskedState,
  maskedStates,
  stateError,
  total,
} from "../../src/evaluate/agreement.ts";
import { loadModel } from "../../src/model/loading/load.ts";
import { quantised } from "../../src/quant/scheme.ts";
import { anyGpu, elements } from "../gpu/device.ts";
import { modelOf } from "../model/models.ts";

const original = await modelOf(anyGpu, EMBEDDED_TARGET);
const { config } = original;

/** "What is 7 times 8?" through the chat template. */
const PROMPT = [
  2032,
  2034,
  362,
  2035,
  260,
  511,
  295,
  421,
  1014,
  424,
  31,
  2036,
  2034,
  361,
  2035,
  260,
];

async function statesOf(steps = 16, genLength = 64): Promise<MaskedState[]> {
  const plan = { genLength, blockLength: 32, steps };
  return await Array.fromAsync(maskedStates(original, PROMPT, plan, config));
}

Deno.test("states are those of plain denoising, a quarter of the answer apart", async () => {
  const states = await statesOf();
  assertEquals(states.map(({ maskRatio }) => maskRatio), [...MASK_RATIOS]);
  assertEquals(
    states.map(({ sequence: { ids } }) => ids.filter((id) => id === config.maskTokenId).length),
    [64, 48, 32, 16],
  );
  assertEquals(
    states.map(({ blockEnd }) => blockEnd - PROMPT.length),
    [32, 32, 64, 64],
  );
  for (const [i, { sequence }] of states.entries()) {
    assertEquals([...sequence.ids.subarray(0, PROMPT.length)], PROMPT);
    const before = states[i - 1]?.sequence.ids ?? [];
    for (const [position, id] of before.entries()) {
      assert(id === config.maskTokenId || id === sequence.ids[position], "a commit stays");
    }
  }
  // Steps that pass several shares at once leave the last of them.
  assertEquals((await statesOf(2)).map(({ maskRatio }) => maskRatio), [1, 0.5]);
});

/** Answers every position with a token and a confidence of its own. */
function fixed(answers: readonly (readonly [token: number, confidence: number])[]): Predictor {
  const answer = (position: number): Prediction => {
    const [token, confidence] = answers[position - 1];
    const oddsAgainst = (1 - confidence) / confidence;
    const logProbability = Math.log(confidence);
    const shared = { position, token, confidence, oddsAgainst, uncertainty: oddsAgainst };
    return { ...shared, logProbability, logSumExp: 0 };
  };
  return {
    predict: (inputs) =>
      Promise.resolve(inputs.map(({ positions, choice }) => {
        assertEquals(choice, GREEDY);
        return [...positions].map(answer);
      })),
  };
}

Deno.test("tokens, sure tokens, the next commit and confidences are counted", async () => {
  const mask = 9;
  const ids = Uint32Array.of(1, mask, mask, mask, mask);
  const state: MaskedState = {
    sequence: { ids, promptLength: 1, maskToken: mask },
    maskRatio: 1,
    blockEnd: 4,
  };
  assertEquals([...maskedPositions(state.sequence, 5)], [1, 2, 3, 4]);
  // The last position, though surest, is behind the block.
  const one = fixed([[5, 0.5], [6, 0.95], [7, 0.9], [8, 0.99]]);
  const other = fixed([[5, 0.25], [6, 0.9], [4, 0.95], [8, 0.99]]);
  const [found] = await compare(one, other, [state]);
  assertEquals({ ...found, confidenceError: 0, largestConfidenceError: 0 }, {
    maskRatio: 1,
    states: 1,
    positions: 4,
    sameToken: 3,
    sure: 3,
    sameSure: 2,
    sameCommit: 0,
    confidenceError: 0,
    largestConfidenceError: 0,
  });
  assertEquals(found.largestConfidenceError, 0.25);
  assert(Math.abs(found.confidenceError - 0.35) < 1e-12);

  const [itself] = await compare(one, one, [state]);
  assertEquals([itself.sameToken, itself.sameSure, itself.sameCommit], [4, 3, 1]);
  const both = total([found, { ...itself, maskRatio: 0.5 }]);
  assertEquals([both.states, both.positions, both.sameToken, both.sameCommit], [2, 8, 7, 1]);
  assertEquals(both.largestConfidenceError, 0.25);
  assert(Number.isNaN(both.maskRatio));
  assertEquals(total([found, itself]).maskRatio, 1);
});

Deno.test("the model agrees with itself; q8 departs from it less than q4", async () => {
  const states = await statesOf();
  const same = total(await compare(original, original, states));
  assertEquals([same.positions, same.sameToken, same.sameCommit], [160, 160, 4]);
  assertEquals(same.confidenceError, 0);
  assertEquals(await stateError(original, original, states[0]), { hidden: 0, logits: 0 });

  const measured = [];
  for (const name of ["q8", "q4"] as const) {
    const scheme = quantised(name, 32);
    using model = await loadModel(anyGpu, EMBEDDED_TARGET, {
      precision: { layers: scheme, head: scheme },
    });
    const agreement = total(await compare(original, model, states));
    measured.push({ ...agreement, ...await stateError(original, model, states[0]) });
  }
  const [q8, q4] = measured;
  assert(q8.sameToken >= 158, `${q8.sameToken} of 160`);
  assert(q4.sameToken >= 150, `${q4.sameToken} of 160`);
  assert(q8.confidenceError > 0 && q8.confidenceError < q4.confidenceError / 4);
  assert(q8.hidden > 1e-4 && q8.hidden < q4.hidden / 4, `${q8.hidden} and ${q4.hidden}`);
  assert(q8.logits > 1e-4 && q8.logits < q4.logits / 4, `${q8.logits} and ${q4.logits}`);
});

Deno.test("in a cache of f32 the model agrees with itself, in f16 nearly", async () => {
  const states = (await statesOf()).slice(0, 2);
  const f32 = await modelOf(anyGpu, EMBEDDED_TARGET, "f32");
  const same = total(await compare(original, keeping(f32), states));
  assertEquals([same.positions, same.sameToken, same.confidenceError], [112, 112, 0]);
  if (!elements.includes("f16")) return;
  const f16 = await modelOf(anyGpu, EMBEDDED_TARGET, "f16");
  const rounded = total(await compare(keeping(f32), keeping(f16), states));
  assert(rounded.sameToken >= 110, `${rounded.sameToken} of 112`);
  assert(rounded.confidenceError > 0 && rounded.confidenceError < 112 * 0.001);
  const { hidden, logits } = await stateError(f32, f16, states[0], true);
  assert(hidden > 1e-5 && hidden < 5e-3 && logits > 1e-5 && logits < 5e-3, `${hidden}, ${logits}`);
});
