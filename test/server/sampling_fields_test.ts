/** The sampling fields of a request's body. */
import { assertEquals, assertThrows } from "@std/assert";
import type { ModelSummary } from "../../src/engine/request.ts";
import { chatRequestParser, requestLimits } from "../../src/server/chat_request.ts";
import { ApiError } from "../../src/server/errors.ts";

const model: ModelSummary = {
  id: "tiny",
  created: 0,
  contextLength: 256,
  defaultMaxTokens: 64,
  defaultBlockLength: 32,
};
const parse = chatRequestParser(model, requestLimits(model, 8));
const messages = [{ role: "user", content: "hi" }];
const generate = (fields: Record<string, unknown>) => {
  const { messages: _, fitTokens: __, ...rest } = parse({ messages, ...fields }).generate;
  return Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined));
};

Deno.test("each sampling field reaches the engine", () => {
  const fields = {
    top_p: 0.9,
    top_k: 40,
    min_p: 0.05,
    presence_penalty: 1,
    frequency_penalty: -0.5,
    repetition_penalty: 1.1,
    ignore_eos: true,
  };
  assertEquals(generate(fields), {
    topP: 0.9,
    topK: 40,
    minP: 0.05,
    presencePenalty: 1,
    frequencyPenalty: -0.5,
    repetitionPenalty: 1.1,
    ignoreEos: true,
  });
});

Deno.test("llama-server's name of the repetition penalty is known too", () => {
  assertEquals(generate({ repeat_penalty: 1.2 }), { repetitionPenalty: 1.2 });
  assertEquals(generate({ repeat_penalty: 1.2, repetition_penalty: 1.3 }), {
    repetitionPenalty: 1.3,
  });
});

Deno.test("biases by id and by text, as an object and as pairs", () => {
  assertEquals(generate({ logit_bias: { "15": 1, " yes": -2, "7": false } }).logitBias, [
    [7, -Infinity],
    [15, 1],
    [" yes", -2],
  ]);
  assertEquals(generate({ logit_bias: [[15, 1], ["15", 3], ["no", false]] }).logitBias, [
    [15, 1],
    ["15", 3],
    ["no", -Infinity],
  ]);
  for (const wrong of [5, "x", { "": 1 }, [[-1, 1]], [[1.5, 1]], { a: "1" }, { a: NaN }]) {
    const error = assertThrows(() => generate({ logit_bias: wrong }), ApiError);
    assertEquals(error.param, "logit_bias");
  }
});

Deno.test("log-probabilities: how many likeliest tokens, only if asked for", () => {
  assertEquals(generate({ logprobs: true }), { topLogprobs: 0 });
  assertEquals(generate({ logprobs: true, top_logprobs: 5 }), { topLogprobs: 5 });
  assertEquals(generate({ logprobs: false, top_logprobs: 0 }), {});
});
