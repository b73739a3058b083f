/** Which token a constrained position gets. */
import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import {
  chooseAllowed as chooseRanked,
  chooseOf,
  type StepChoice,
} from "../../src/engine/constrained_choice.ts";
import { TRIES } from "../../src/model/ranked_pass.ts";
import { rankRow } from "../reference/ranking.ts";

const GREEDY: StepChoice = { temperature: 0, seed: 0, step: 0 };
const row = (...logits: number[]) => Float32Array.from(logits);
const rank = (logits: Float32Array, choice: StepChoice) => rankRow(logits, 7, choice, TRIES);
const chooseAllowed = (
  logits: Float32Array,
  allows: (token: number) => boolean,
  choice: StepChoice,
) => chooseRanked(rank(logits, choice), allows, choice);
const sampled = (sampling: StepChoice["sampling"]): StepChoice => ({ ...GREEDY, sampling });

Deno.test("the best allowed token is chosen, its probability is among all", () => {
  const chosen = chooseAllowed(row(3, 2, 1), (token) => token !== 0, GREEDY)!;
  assertEquals([chosen.token, chosen.position], [1, 7]);
  assertAlmostEquals(chosen.confidence, 1 / (1 + Math.E + Math.exp(-1)), 1e-6);
  // Of 200 tokens the allowed one is the worst, and not among those that are tried.
  const many = row(...Array.from({ length: 200 }, (_, i) => -i));
  assertEquals(chooseAllowed(many, (token) => token === 199, GREEDY), undefined);
  assertEquals(chooseOf([198, 199], rank(many, GREEDY), many, GREEDY).token, 198);
});

Deno.test("biases and penalties change logits; what only they report is of the unchanged ones", () => {
  const changes = [{ token: 0, repetition: 2, offset: 0 }, { token: 2, repetition: 1, offset: 9 }];
  const chosen = chooseAllowed(row(3, 2, -8), () => true, sampled({ changes, likeliest: 2 }))!;
  assertEquals(chosen.token, 1);
  assert(chosen.confidence > 0.4 && chosen.confidence < 0.6);
  const sum = Math.exp(3) + Math.exp(2) + Math.exp(-8);
  assertAlmostEquals(chosen.scores!.logProbability, 2 - Math.log(sum), 1e-6);
  assertEquals(chosen.scores!.likeliest.map(({ token }) => token), [0, 1]);
  const banned = [{ token: 0, repetition: 1, offset: -Infinity }];
  assertEquals(chooseAllowed(row(3, 2), () => true, sampled({ changes: banned }))!.token, 1);
});

Deno.test("filters leave tokens out, unless the constraint allows no other", () => {
  const counts = (
    sampling: Omit<NonNullable<StepChoice["sampling"]>, "changes">,
    allowed?: number,
  ) => {
    const found = new Set<number>();
    for (let seed = 0; seed < 60; seed++) {
      const choice = { temperature: 5, seed, step: 1, sampling: { ...sampling, changes: [] } };
      const allows = (token: number) => allowed === undefined || token === allowed;
      found.add(chooseAllowed(row(4, 3.5, 3, 1), allows, choice)!.token);
    }
    return [...found].sort();
  };
  assertEquals(counts({}), [0, 1, 2, 3]);
  assertEquals(counts({ topK: 2 }), [0, 1]);
  // Shares 0.49, 0.30, 0.18 and 0.02.
  assertEquals(counts({ topP: 0.7 }), [0, 1]);
  assertEquals(counts({ minP: 0.3 }), [0, 1, 2]);
  assertEquals(counts({ topK: 1 }, 3), [3]);
});
