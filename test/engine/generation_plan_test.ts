import { assertEquals, assertMatch, assertThrows } from "@std/assert";
import fc from "fast-check";
import { folderDefaults, planGeneration } from "../../src/engine/generation_plan.ts";
import { type GenerateRequest, RequestError } from "../../src/engine/request.ts";
import { readConfig } from "../../src/model/loading/config.ts";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";

const config = readConfig(EMBEDDED_TARGET);
const defaults = folderDefaults(EMBEDDED_TARGET, config);
const messages = [{ role: "user", content: "hello" }];
const encode = () => new Uint32Array(20).fill(1);

const plan = (request: Partial<GenerateRequest>, folder = defaults) =>
  planGeneration({ messages, ...request }, config, folder, encode);

Deno.test("a bare request takes the folder's defaults", () => {
  const { genLength, blockLength, steps, temperature, cfgScale, remasking, stopAtEnd } = plan({});
  assertEquals(
    { genLength, blockLength, steps, temperature, cfgScale, remasking, stopAtEnd },
    {
      genLength: 64,
      blockLength: 32,
      steps: 64,
      temperature: 0,
      cfgScale: 0,
      remasking: "low_confidence",
      stopAtEnd: true,
    },
  );
});

Deno.test("a measure of confidence that is asked for is planned", () => {
  assertEquals(plan({ confidence: "entropy" }).confidence, "entropy");
  assertEquals(plan({ strategy: "threshold", confidence: "margin" }).confidence, "margin");
});

Deno.test("without a generation_config.json the engine has defaults of its own", () => {
  const { genLength, blockLength, steps } = plan({}, {});
  assertEquals({ genLength, blockLength, steps }, { genLength: 128, blockLength: 32, steps: 128 });
});

Deno.test("the canvas is maxTokens rounded up to whole blocks, one step a token", () => {
  const { genLength, maxTokens, blockLength, steps } = plan({ maxTokens: 40 });
  assertEquals({ genLength, maxTokens, blockLength, steps }, {
    genLength: 64,
    maxTokens: 40,
    blockLength: 32,
    steps: 64,
  });
  assertEquals(plan({ maxTokens: 5 }).blockLength, 5);
  assertEquals(plan({ maxTokens: 5, blockLength: 4 }).genLength, 8);
});

const REFUSED: [string, Partial<GenerateRequest>, string, RegExp][] = [
  ["no tokens", { maxTokens: 0 }, "maxTokens", /maxTokens is 0, expected a whole number/],
  ["half a token", { maxTokens: 1.5 }, "maxTokens", /maxTokens is 1.5/],
  ["more than the context", { maxTokens: 513 }, "maxTokens", /to 512/],
  ["block length 0", { blockLength: 0 }, "blockLength", /blockLength is 0/],
  ["steps that do not divide", { maxTokens: 64, steps: 33 }, "steps", /multiple of .* 2/],
  ["steps 0", { steps: 0 }, "steps", /steps is 0/],
  ["negative temperature", { temperature: -1 }, "temperature", /temperature is -1/],
  ["NaN temperature", { temperature: NaN }, "temperature", /temperature is NaN/],
  ["fractional seed", { seed: 0.5 }, "seed", /seed is 0.5/],
  ["huge seed", { seed: 2 ** 53 }, "seed", /seed is/],
  ["negative guidance", { cfgScale: -0.1 }, "cfgScale", /cfgScale is -0.1/],
  ["unknown remasking", { remasking: "best" as "random" }, "remasking", /low_confidence, random/],
  [
    "unknown measure",
    { confidence: "odds" as "margin" },
    "confidence",
    /probability, margin, entr/,
  ],
  ["measured noise", { confidence: "margin", remasking: "random" }, "confidence", /ranks by noise/],
  [
    "a measure that gives no confidence",
    { strategy: "threshold", confidence: "entropy" },
    "confidence",
    /strategy threshold needs a confidence in \[0, 1\]/,
  ],
  ["empty stop", { stop: ["a", ""] }, "stop", /empty string/],
  ["no rounds", { strategy: "self", rounds: 0 }, "rounds", /rounds is 0, expected a whole/],
  [
    "a back threshold above 1",
    { strategy: "commit_verify", backThreshold: 1.5 },
    "backThreshold",
    /backThreshold is 1.5, expected a number from 0 to 1/,
  ],
  ["gate's back threshold", { strategy: "gate", backThreshold: 0.5 }, "strategy", /needs a draft/],
  ["rounds of auto", { rounds: 2 }, "rounds", /choose lossless or self or gate/],
  ["no messages", { messages: [] }, "messages", /at least one message/],
];
for (const [name, request, field, message] of REFUSED) {
  Deno.test(`refused: ${name}`, () => {
    const error = assertThrows(() => plan(request), RequestError);
    assertEquals(error.field, field);
    assertMatch(error.message, message);
  });
}

Deno.test("a prompt and answer longer than the context are refused with both lengths", () => {
  const error = assertThrows(() => plan({ maxTokens: 500 }), RequestError);
  assertEquals(error.code, "context_length_exceeded");
  assertMatch(
    error.message,
    /20 tokens and the answer 500 \(rounded up to 512, 16 blocks of 32\), together more than the model's 512/,
  );
});

Deno.test("an answer whose length nobody asked for takes what the context leaves", () => {
  const long = (tokens: number, request: Partial<GenerateRequest> = {}) => {
    const ids = () => new Uint32Array(tokens).fill(1);
    return planGeneration({ messages, ...request }, config, defaults, ids);
  };
  const lengths = (tokens: number, request?: Partial<GenerateRequest>) => {
    const { maxTokens, genLength, blockLength, steps } = long(tokens, request);
    return [maxTokens, genLength, blockLength, steps];
  };
  assertEquals(lengths(448), [64, 64, 32, 64]);
  assertEquals(lengths(449), [32, 32, 32, 32]);
  assertEquals(lengths(465), [32, 32, 32, 32]);
  assertEquals(lengths(490), [22, 22, 22, 22]);
  assertEquals(lengths(511), [1, 1, 1, 1]);
  assertEquals(lengths(490, { blockLength: 8 }), [16, 16, 8, 16]);
  const cap = { maxTokens: 500, fitTokens: true };
  assertEquals(lengths(20, cap), [480, 480, 32, 480]);
  assertEquals(lengths(490, cap), [22, 22, 22, 22]);
  assertEquals(lengths(20, { maxTokens: 40, fitTokens: true }), [40, 64, 32, 64]);
  for (const full of [() => long(512), () => long(512, cap), () => long(510, { blockLength: 8 })]) {
    assertEquals(assertThrows(full, RequestError).code, "context_length_exceeded");
  }
});

Deno.test("any plan that is accepted fits: whole blocks, whole steps, inside the context", () => {
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 512 }),
    fc.option(fc.integer({ min: 1, max: 512 }), { nil: undefined }),
    fc.option(fc.integer({ min: 1, max: 600 }), { nil: undefined }),
    (maxTokens, blockLength, steps) => {
      let accepted;
      try {
        accepted = plan({ maxTokens, blockLength, steps });
      } catch (error) {
        return error instanceof RequestError;
      }
      const blocks = accepted.genLength / accepted.blockLength;
      return Number.isInteger(blocks) && Number.isInteger(accepted.steps / blocks) &&
        accepted.genLength >= maxTokens && accepted.genLength - maxTokens < accepted.blockLength &&
        accepted.genLength + 20 <= 512;
    },
  ));
});
