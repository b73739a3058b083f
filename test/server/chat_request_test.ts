import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import type { GenerateRequest } from "../../src/engine/request.ts";
import { chatRequestParser, requestLimits } from "../../src/server/chat_request.ts";
import { ApiError } from "../../src/server/errors.ts";
import { REFUSED_IN_BODY } from "../../src/server/refused_fields.ts";

const MODEL = {
  id: "fake-llada",
  created: 1_700_000_000,
  contextLength: 256,
  defaultMaxTokens: 64,
  defaultBlockLength: 32,
};
const parse = chatRequestParser(MODEL, requestLimits(MODEL, 8));
const messages = [{ role: "user", content: "hi" }];

/** The engine's request for a body, without the fields that are not set. */
function generate(body: Record<string, unknown>): Partial<GenerateRequest> {
  const given = Object.entries(parse({ messages, ...body }).generate);
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

Deno.test("every field reaches the engine under the engine's name", () => {
  assertEquals(
    generate({
      model: "fake-llada",
      max_tokens: 64,
      temperature: 0.5,
      seed: 9007199254740991,
      stop: ["a", "b"],
      steps: 32,
      block_length: 16,
      remasking: "random",
      confidence: "margin",
      cfg_scale: 1.5,
    }),
    {
      messages,
      maxTokens: 64,
      temperature: 0.5,
      seed: 9007199254740991,
      stop: ["a", "b"],
      steps: 32,
      blockLength: 16,
      remasking: "random",
      confidence: "margin",
      cfgScale: 1.5,
    },
  );
});

Deno.test("fields that are absent or null are left to the engine", () => {
  assertEquals(generate({}), { messages });
  const nulls = [
    ...["model", "max_tokens", "max_completion_tokens", "temperature", "seed", "stop", "stream"],
    ...[
      "stream_options",
      "steps",
      "block_length",
      "remasking",
      "confidence",
      "cfg_scale",
      "stream_events",
    ],
    ...["user", "safety_identifier", "prompt_cache_key", "metadata"],
    ...REFUSED_IN_BODY.keys(),
  ];
  assertEquals(generate(Object.fromEntries(nulls.map((name) => [name, null]))), { messages });
});

Deno.test("bounds are inclusive", () => {
  assertEquals(generate({ max_tokens: 1, temperature: 0, seed: 0, steps: 1, cfg_scale: 0 }), {
    messages,
    maxTokens: 1,
    temperature: 0,
    seed: 0,
    steps: 1,
    cfgScale: 0,
  });
  const high = { max_tokens: 256, temperature: 2, steps: 1024, block_length: 256, cfg_scale: 10 };
  assertEquals(generate({ ...high, stop: "x".repeat(256) }), {
    messages,
    maxTokens: 256,
    temperature: 2,
    steps: 1024,
    blockLength: 256,
    cfgScale: 10,
    stop: ["x".repeat(256)],
  });
  for (const [name, value] of Object.entries(high)) {
    const error = assertThrows(() => parse({ messages, [name]: value + 1 }), ApiError);
    assertEquals([error.status, error.param], [400, name]);
  }
});

Deno.test("seeds are signed, each its own, and -1 is any", () => {
  assertEquals(generate({ seed: -1 }), { messages });
  assertEquals(generate({ seed: -2 }).seed, Number.MAX_SAFE_INTEGER - 1);
  assertEquals(generate({ seed: -(2 ** 53 - 1) }).seed, 1);
});

Deno.test("either name sets the token limit, and both if they agree", () => {
  assertEquals(generate({ max_completion_tokens: 9 }).maxTokens, 9);
  assertEquals(generate({ max_completion_tokens: 9, max_tokens: 9 }).maxTokens, 9);
  assertEquals(parse({ messages, max_tokens: 9 }).tokenLimitField, "max_tokens");
  assertEquals(
    parse({ messages, max_completion_tokens: 9 }).tokenLimitField,
    "max_completion_tokens",
  );
});

Deno.test("text parts are joined, developer is system, empty extras pass", () => {
  const conversation = [
    { role: "developer", content: "Be brief." },
    { role: "system", content: "Be kind." },
    { role: "user", content: [{ type: "text", text: "a" }, { type: "text", text: "b\n" }] },
    { role: "assistant", content: "", refusal: null, tool_calls: [], annotations: [] },
  ];
  assertEquals(parse({ messages: conversation }).generate.messages, [
    { role: "system", content: "Be brief." },
    { role: "system", content: "Be kind." },
    { role: "user", content: "ab\n" },
    { role: "assistant", content: "" },
  ]);
});

Deno.test("messages and parts count together against what a context can hold", () => {
  const part = { type: "text", text: "x".repeat(1500) };
  const message = { role: "user", content: [part] };
  for (
    const messages of [[{ role: "user", content: [part, part, part] }], Array(3).fill(message)]
  ) {
    const error = assertThrows(
      () => parse({ messages }),
      ApiError,
      "The messages hold 4500 charac",
    );
    assertEquals([error.param, error.code], ["messages", "context_length_exceeded"]);
    assert(error.message.includes("(4096 characters at most)"));
  }
  assertEquals(generate({ messages: [message, message] })?.messages?.length, 2);
});

Deno.test("a refused field passes with the value that asks for nothing", () => {
  const neutral = {
    n: 1,
    logprobs: false,
    top_logprobs: 0,
    tools: [],
    tool_choice: "none",
    response_format: { type: "text" },
    modalities: ["text"],
    service_tier: "auto",
    store: false,
    parallel_tool_calls: true,
    user: "someone",
    safety_identifier: "id",
    prompt_cache_key: "key",
    metadata: { run: "1" },
  };
  assertEquals(generate(neutral), { messages });
});

Deno.test("what a refusal offers as neutral is accepted", () => {
  for (const [name, { written }] of REFUSED_IN_BODY) {
    for (const value of written === "" ? [] : written.split(" or ")) {
      assertEquals(generate({ [name]: JSON.parse(value) }), { messages }, `${name}: ${value}`);
    }
    const error = assertThrows(() => parse({ messages, [name]: { other: 1 } }), ApiError);
    assertEquals([error.status, error.code, error.param], [400, "unsupported_parameter", name]);
  }
});

Deno.test("an unknown field's name is cut short, and many are counted", () => {
  const body = Object.fromEntries(
    Array.from({ length: 1000 }, (_, i) => [`${"x".repeat(1000)}${i}`, 1]),
  );
  const error = assertThrows(() => parse({ messages, ...body }), ApiError, "and 999 more");
  assertEquals(error.code, "unknown_parameter");
  assertEquals(error.message.length < 700, true);
  assertEquals(error.param, `${"x".repeat(64)}…`);
});

Deno.test("stream options are kept apart from the engine's request", () => {
  const { generate: _, ...rest } = parse({
    messages,
    stream: true,
    stream_options: { include_usage: true, include_obfuscation: false },
    stream_events: true,
  });
  assertEquals(rest, {
    stream: true,
    includeUsage: true,
    streamEvents: true,
    tokenLimitField: "max_tokens",
  });
});

Deno.test("any JSON is either accepted within bounds or refused as the client's mistake", () => {
  const names = ["messages", "max_tokens", "seed", "stop", "stream", "stream_options", "steps"];
  const more = ["temperature", "remasking", "top_p", "tools", "metadata", "model"];
  const value = fc.oneof(
    fc.jsonValue(),
    fc.constantFrom("random", 1, 0, -0, true, null, [], {}),
    fc.constant(messages),
    fc.array(fc.record({ role: fc.constantFrom("user", 1), content: fc.jsonValue() })),
  );
  const body = fc.dictionary(fc.constantFrom(...names, ...more, "other"), value);
  fc.assert(fc.property(fc.oneof(body, fc.jsonValue()), (json) => {
    try {
      const { generate } = parse(json);
      assertEquals(generate.messages.length >= 1 && generate.messages.length <= 8, true);
      for (const one of generate.messages) assertEquals(typeof one.content, "string");
      const { maxTokens = 1, seed = 0, temperature = 0, stop = [] } = generate;
      assertEquals(Number.isInteger(maxTokens) && maxTokens >= 1 && maxTokens <= 256, true);
      assertEquals(Number.isSafeInteger(seed) && seed >= 0, true);
      assertEquals(temperature >= 0 && temperature <= 2, true);
      assertEquals(stop.length <= 4 && stop.every((one) => one.length > 0), true);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      assertEquals(error.status === 400 || error.code === "model_not_found", true, error.message);
      assertEquals(error.message.length < 600, true);
    }
  }));
});

Deno.test("the sentence about a refused field ends as it should", () => {
  const said = (body: Record<string, unknown>) =>
    assertThrows(() => parse({ messages, ...body }), ApiError).message;
  assertEquals(said({ suffix: "x" }), "Unsupported parameter: 'suffix'. Leave it out.");
  assertEquals(
    said({ messages: [{ role: "user", name: "bob", content: "hi" }] }),
    "Unsupported parameter: 'messages[0].name'. Leave it out.",
  );
  assertEquals(said({ n: 2 }), "Unsupported parameter: 'n'. Leave it out, or send 1.");
});
