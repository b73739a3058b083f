/** Accepted tokens by rank and by strategy, for known drafts and against the strategies themselves. */

import { assert, assertEquals } from "@std/assert";
import type { ForwardInput, Prediction, Predictor } from "../../src/denoise/predictor.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import { strategyOf } from "../../src/denoise/strategy.ts";
import { EMBEDDED_DRAFT, EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { addAcceptances, DEPTHS, draftAcceptance } from "../../src/evaluate/draft_acceptance.ts";
import { anyGpu } from "../gpu/device.ts";
import { modelOf } from "../model/models.ts";
import { publicExamples } from "./public_examples.ts";

const MASK = 99;
const END = 98;
const OPTIONS = {
  maskTokenId: MASK,
  eosTokenId: END,
  endTokens: [END],
  genLength: 8,
  blockLength: 4,
  steps: 8,
};

/** Prefers earlier positions; token and confidence as a function of position and visible tokens. */
function toy(
  choose: (position: number, visible: number) => readonly [token: number, confidence: number],
): Predictor {
  const answer = ({ ids, positions, judged }: ForwardInput): Prediction[] =>
    [...positions].map((position, i) => {
      const visible = ids.filter((id) => id !== MASK).length;
      const [token, confidence] = choose(position, visible);
      const oddsAgainst = (1 - confidence) / confidence;
      return {
        position,
        token,
        confidence,
        oddsAgainst,
        uncertainty: oddsAgainst,
        logProbability: Math.log(confidence),
        logSumExp: 0,
        ...judged && { judgedConfidence: judged[i] === token ? confidence : 1 - confidence },
      };
    });
  return { predict: (inputs) => Promise.resolve(inputs.map(answer)) };
}

/** From left to right, ever less sure, all of it above 0.9. */
const leftToRight = (position: number) => [position, 0.99 - position / 1000] as const;

Deno.test("a draft that equals its target has all its tokens accepted", async () => {
  const model = toy(leftToRight);
  const { steps, tokens, byRank, rounds } = await draftAcceptance(model, model, [1, 2], OPTIONS);
  assertEquals([steps, tokens], [8, 8]);
  assertEquals(byRank.slice(0, 9).map(({ states }) => states), [8, 7, 6, 5, 4, 3, 2, 1, 0]);
  assert(byRank.every(({ states, same }) => states === same));
  const one = {
    rounds: 1,
    proposed: 8,
    accepted: 8,
    committed: 8,
    draftPasses: 1,
    targetStates: 1,
  };
  assertEquals(rounds.order, one);
  assertEquals(rounds["lossless 8"], {
    ...one,
    proposed: 7,
    accepted: 7,
    draftPasses: 7,
    targetStates: 8,
  });
  // Rounds of three and of two steps end with the target's own.
  assertEquals(rounds["lossless 2"].rounds, 3);
  // Both keep to the block of four.
  const two = { ...one, rounds: 2, draftPasses: 2, targetStates: 2 };
  assertEquals(rounds.gate, two);
  // Of a state of ten positions, four guesses have a row more each.
  assertEquals(rounds.commit_verify, { ...two, targetStates: 2.8 });
  assertEquals(rounds.threshold, { ...two, proposed: 0, accepted: 0, draftPasses: 0 });
});

Deno.test("a draft that is always wrong leaves one token a pass", async () => {
  const target = toy(leftToRight);
  const draft = toy((position) => [position + 1, 0.95]);
  const { byRank, rounds } = await draftAcceptance(target, draft, [1, 2], OPTIONS);
  assert(byRank.every(({ same }) => same === 0));
  for (const [name, { accepted, committed, rounds: count }] of Object.entries(rounds)) {
    assertEquals([accepted, committed], [0, 8], name);
    // commit_verify replaces what it rejects by the target's sure tokens, and threshold needs no draft.
    assertEquals(count, ["commit_verify", "threshold"].includes(name) ? 2 : 8, name);
  }
});

Deno.test("wrong tokens end a run in the target's order, and only theirs are taken from gate", async () => {
  const target = toy(leftToRight);
  // Positions 2 to 9 are the answer; the draft is wrong at 4.
  const draft = toy((position) => [position === 4 ? 0 : position, 0.98 - position / 1000]);
  const { byRank, rounds } = await draftAcceptance(target, draft, [1, 2], OPTIONS);
  assertEquals(byRank[0], { states: 8, same: 7 });
  assertEquals(byRank[2], { states: 6, same: 5 });
  // Two are accepted, the target adds the third, and the other five are accepted.
  assertEquals(rounds.order.rounds, 2);
  assertEquals([rounds.order.accepted, rounds.order.committed], [7, 8]);
  assertEquals(rounds["lossless 8"].rounds, 2);
  assertEquals(rounds.gate.accepted, 7);
  // 2, 3 and 5; then 4, the target's own; then the second block.
  assertEquals([rounds.gate.rounds, rounds.gate.committed], [3, 8]);
});

Deno.test("lossless is counted as it runs, for the embedded pair", async () => {
  const target = await modelOf(anyGpu, EMBEDDED_TARGET);
  const draft = await modelOf(anyGpu, EMBEDDED_DRAFT);
  const { maskTokenId, eosTokenId } = target.config;
  const options = {
    maskTokenId,
    eosTokenId,
    endTokens: [eosTokenId, 2036],
    genLength: 32,
    blockLength: 16,
    steps: 16,
  };
  const [{ prompt }] = publicExamples(4).slice(3);
  const counted = await draftAcceptance(target, draft, prompt, options);
  const depth = DEPTHS[1];
  const run = strategyOf("lossless").run(newSequence(prompt, 32, maskTokenId), { target, draft }, {
    blockLength: 16,
    steps: 16,
    seeds: [0],
    eosToken: eosTokenId,
    endTokens: options.endTokens,
    stopAtEnd: true,
    depth,
  });
  let next = await run.next();
  while (!next.done) next = await run.next();
  const { targetForwards, accepted } = next.value;
  const found = counted.rounds[`lossless ${depth}`];
  assertEquals(found.rounds, targetForwards);
  // All rounds but the last, which the end of the answer may cut, are the same.
  assertEquals(accepted.length, found.rounds);
  assert(found.accepted > 0 && found.committed === counted.tokens);
  const two = addAcceptances([counted, counted]);
  assertEquals([two.tokens, two.rounds.gate.rounds], [
    2 * counted.tokens,
    2 * counted.rounds.gate.rounds,
  ]);
});
