import { assertEquals } from "@std/assert";
import { logitChanges, sampledChoice } from "../../src/denoise/sampling.ts";
import { GREEDY } from "../../src/denoise/predictor.ts";
import { applyCommits, newSequence } from "../../src/denoise/sequence.ts";

const MASK = 9;
const END = 8;

/** Prompt 1 2 2 and answer 2 3 3 _ 8 _. */
const sequence = applyCommits(
  newSequence(Uint32Array.of(1, 2, 2), 6, MASK),
  [[3, 2], [4, 3], [5, 3], [7, END]].map(([position, token]) => ({
    position,
    token,
    confidence: 1,
    logProbability: 0,
  })),
);

Deno.test("penalties count the answer's tokens, repetition also the prompt's", () => {
  assertEquals(logitChanges(sequence, { frequencyPenalty: 0.5, presencePenalty: 1 }, [END]), [
    { token: 2, repetition: 1, offset: -1.5 },
    { token: 3, repetition: 1, offset: -2 },
  ]);
  assertEquals(logitChanges(sequence, { repetitionPenalty: 1.2 }, [END]), [
    { token: 1, repetition: 1.2, offset: 0 },
    { token: 2, repetition: 1.2, offset: 0 },
    { token: 3, repetition: 1.2, offset: 0 },
  ]);
});

Deno.test("masks, ends and hidden positions do not count", () => {
  const open = logitChanges(sequence, { presencePenalty: 1 }, []);
  assertEquals(open.map(({ token }) => token), [2, 3, END]);
  const attentionMask = Uint8Array.of(0, 1, 1, 1, 1, 1, 1, 1, 1);
  const hidden = logitChanges({ ...sequence, attentionMask }, { repetitionPenalty: 2 }, [END]);
  assertEquals(hidden.map(({ token }) => token), [2, 3]);
});

Deno.test("biases and penalties of a token add up; the last bias counts", () => {
  const logitBias = [[3, 5], [7, -Infinity], [3, 1]] as const;
  assertEquals(logitChanges(sequence, { logitBias, frequencyPenalty: 2 }, [END]), [
    { token: 2, repetition: 1, offset: -2 },
    { token: 3, repetition: 1, offset: -3 },
    { token: 7, repetition: 1, offset: -Infinity },
  ]);
});

Deno.test("a request without sampling keeps its choice as it is", () => {
  assertEquals(sampledChoice(GREEDY, sequence, { endTokens: [END] }), GREEDY);
  const { sampling } = sampledChoice(GREEDY, sequence, { sampling: { topK: 2 }, endTokens: [END] });
  assertEquals(sampling, {
    topK: 2,
    topP: undefined,
    minP: undefined,
    likeliest: undefined,
    changes: [],
  });
});
