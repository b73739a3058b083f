import { assertEquals, assertThrows } from "@std/assert";
import { type GenerateRequest, RequestError } from "../../src/engine/request.ts";
import { planSampling, samplingOptions, withTokenBiases } from "../../src/engine/sampling_plan.ts";
import { STRATEGY_NAMES, type StrategyName } from "../../src/denoise/strategy.ts";

const messages = [{ role: "user", content: "hello" }];

const plan = (
  request: Partial<GenerateRequest>,
  temperature = 0.7,
  strategy: StrategyName = "auto",
) => planSampling({ messages, ...request }, { temperature, strategy, embeddingSize: 100 });

Deno.test("fields that change nothing are left out, and filters at temperature 0", () => {
  const nothing = { sampling: undefined, ignoreEos: false, reportsTokens: false };
  assertEquals(plan({}), nothing);
  const neutral = { topP: 1, topK: 0, minP: 0, presencePenalty: 0, frequencyPenalty: 0 };
  assertEquals(plan({ ...neutral, repetitionPenalty: 1, logitBias: [] }), nothing);
  assertEquals(plan({ topK: -1 }), nothing);
  assertEquals(plan({ topK: 100 }), nothing);
  const filters = { topP: 0.9, topK: 40, minP: 0.05 };
  assertEquals(plan(filters).sampling, filters);
  assertEquals(plan(filters, 0), nothing);
  const penalties = { presencePenalty: 1, frequencyPenalty: -0.5, repetitionPenalty: 1.1 };
  assertEquals(plan({ ...filters, ...penalties }, 0).sampling, penalties);
});

Deno.test("log-probabilities take the GPU's scores only where a commit's own is another", () => {
  assertEquals(plan({ topLogprobs: 0 }), {
    sampling: undefined,
    ignoreEos: false,
    reportsTokens: true,
  });
  assertEquals(plan({ topLogprobs: 3 }).sampling, { likeliest: 3 });
  assertEquals(plan({ topLogprobs: 0, ignoreEos: true }).sampling, { likeliest: 0 });
  assertEquals(plan({ topLogprobs: 0, topK: 2 }).sampling, { topK: 2, likeliest: 0 });
});

Deno.test("biases by text go to each token of the text", () => {
  const encode = (text: string) => [...text].map((char) => char.charCodeAt(0) - 90);
  const request = { messages, logitBias: [["ab", 2], [5, -Infinity]] as const };
  assertEquals(withTokenBiases(request, encode).logitBias, [[7, 2], [8, 2], [5, -Infinity]]);
  assertEquals(plan({ logitBias: [[7, 2]] }, 0).sampling, { logitBias: [[7, 2]] });
});

Deno.test("a field out of range, and a strategy that does not use it, are refused by name", () => {
  const refused: readonly (readonly [Partial<GenerateRequest>, string])[] = [
    [{ topP: 1.1 }, "topP"],
    [{ topP: NaN }, "topP"],
    [{ topK: 1.5 }, "topK"],
    [{ minP: -0.1 }, "minP"],
    [{ presencePenalty: 3 }, "presencePenalty"],
    [{ frequencyPenalty: -2.1 }, "frequencyPenalty"],
    [{ repetitionPenalty: 0 }, "repetitionPenalty"],
    [{ repetitionPenalty: 2.5 }, "repetitionPenalty"],
    [{ topLogprobs: 21 }, "topLogprobs"],
    [{ logitBias: [[100, 1]] }, "logitBias"],
    [{ logitBias: [[1, 101]] }, "logitBias"],
    [{ logitBias: [[1, Infinity]] }, "logitBias"],
  ];
  for (const [request, field] of refused) {
    assertEquals(assertThrows(() => plan(request), RequestError).field, field);
  }
  const many = { messages, logitBias: Array.from({ length: 301 }, () => ["a", 1] as const) };
  assertThrows(() => withTokenBiases(many, () => []), RequestError, "301 entries");
  for (const strategy of STRATEGY_NAMES) {
    const ask = () => plan({ topP: 0.5, topLogprobs: 2 }, 1, strategy);
    if (strategy !== "commit_verify") ask();
    else assertThrows(ask, RequestError, "does not use topP: leave it out, or choose plain or");
  }
  assertEquals(plan({ topP: 0.5 }, 0, "commit_verify").sampling, undefined);
});

Deno.test("ends that are ignored are banned, however many there are", () => {
  const banned = samplingOptions(plan({ ignoreEos: true }), [1, 2]);
  assertEquals(banned, { sampling: undefined, bannedTokens: [1, 2] });
  assertEquals(samplingOptions(plan({}), [1, 2]).bannedTokens, []);
  const many = samplingOptions(plan({ ignoreEos: true, topP: 0.5 }), [1, 2, 3, 4, 5]);
  assertEquals(many.bannedTokens, [1, 2, 3, 4]);
  assertEquals(many.sampling, { topP: 0.5, logitBias: [[5, -Infinity]] });
});
