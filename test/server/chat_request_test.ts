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

/** The engine's request for a body, without the fields that are not set or the same in each. */
function generate(body: Record<string, unknown>): Partial<GenerateRequest> {
  const { fitTokens, ...rest } = parse({ messages, ...body }).generate;
  assertEquals(fitTokens, true);
  const given = Object.entries(rest);
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
  const { max_tokens: _, ...refusedAbove } = high;
  for (const [name, value] of Object.entries(refusedAbove)) {
    const error = assertThrows(() => parse({ messages, [name]: value + 1 }), ApiError);
    assertEquals([error.status, error.param], [400, name]);
  }
});

Deno.test("seeds are signed, each its own, and -1 is any", () => {
  assertEquals(generate({ seed: -1 }), { messages });
  assertEquals(generate({ seed: -2 }).seed, Number.MAX_SAFE_INTEGER - 1);
  assertEquals(generate({ seed: -(2 ** 53 - 1) }).seed, 1);
});

Deno.test("of two token limits the smaller holds; none is above the context, and -1 is all of it", () => {
  const limit = (body: Record<string, unknown>) => {
    const { generate, tokenLimitField } = parse({ messages, ...body });
    return [generate.maxTokens, tokenLimitField];
  };
  assertEquals(limit({}), [undefined, "max_tokens"]);
  assertEquals(limit({ max_tokens: null }), [undefined, "max_tokens"]);
  assertEquals(limit({ max_tokens: 9 }), [9, "max_tokens"]);
  assertEquals(limit({ max_completion_tokens: 9 }), [9, "max_completion_tokens"]);
  assertEquals(limit({ max_completion_tokens: 9, max_tokens: 9 }), [9, "max_completion_tokens"]);
  assertEquals(limit({ max_completion_tokens: 9, max_tokens: 8 }), [8, "max_tokens"]);
  assertEquals(limit({ max_completion_tokens: 7, max_tokens: 8 }), [7, "max_completion_tokens"]);
  assertEquals(limit({ max_tokens: 1024 }), [256, "max_tokens"]);
  assertEquals(limit({ max_tokens: -1 }), [256, "max_tokens"]);
  assertEquals(limit({ max_tokens: -1, max_completion_tokens: 5 }), [5, "max_completion_tokens"]);
});

Deno.test("stop takes sixteen texts, and empty ones end nothing", () => {
  const sixteen = [..."abcdefghijklmnop"];
  assertEquals(generate({ stop: sixteen }).stop, sixteen);
  assertEquals(generate({ stop: ["", "a", ""] }).stop, ["a"]);
  for (const stop of ["", [""], []]) assertEquals(generate({ stop }), { messages });
});

Deno.test("text parts are joined, developer is system, empty extras pass", () => {
  const conversation = [
    { role: "developer", content: "Be brief." },
    { role: "system", content: "Be kind." },
    { role: "user", content: [{ type: "text", text: "a" }, { type: "text", text: "b\n" }] },
    { role: "assistant", content: "", refusal: null, tool_calls: [], annotations: [] },
    { role: "assistant", content: [{ type: "refusal", refusal: "No." }] },
    { role: "assistant", content: null },
    { role: "user", content: [{ type: "input_text", text: "c" }] },
    { role: "assistant" },
  ];
  assertEquals(parse({ messages: conversation }).generate.messages, [
    { role: "system", content: "Be brief." },
    { role: "system", content: "Be kind." },
    { role: "user", content: "ab\n" },
    { role: "assistant", content: "" },
    { role: "assistant", content: "No." },
    { role: "assistant", content: "" },
    { role: "user", content: "c" },
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
    logprobs: false,
    top_logprobs: 0,
    tools: [],
    tool_choice: "auto",
    response_format: { type: "text" },
    modalities: ["text"],
    parallel_tool_calls: true,
    user: "someone",
    safety_identifier: "id",
    prompt_cache_key: "key",
    metadata: { run: "1" },
  };
  assertEquals(generate(neutral), { messages });
  assertEquals(generate({ user: 7, metadata: "run 1", prompt_cache_key: [] }), { messages });
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

Deno.test("fields that are not known are ignored and told, wherever they are", () => {
  const { generate, ignored } = parse({
    messages: [
      { role: "user", name: "bob", content: [{ type: "text", text: "hi", cache_control: {} }] },
      { role: "assistant", content: "", reasoning_content: "x", name: "eve", id: null },
      { role: "user", content: "" },
    ],
    reasoning_effort: "low",
    store: true,
    stream: true,
    stream_options: { include_usage: true, include_obfuscation: false },
    temprature: 1,
    suffix: null,
    ["__proto__"]: { steps: 7 },
  });
  assertEquals(ignored.toSorted(), [
    "__proto__",
    "messages[].content[].cache_control",
    "messages[].name",
    "messages[].name",
    "messages[].reasoning_content",
    "reasoning_effort",
    "store",
    "stream_options.include_obfuscation",
    "temprature",
  ]);
  assertEquals(generate.messages, [
    { role: "user", content: "hi" },
    { role: "assistant", content: "" },
    { role: "user", content: "" },
  ]);
  assertEquals(generate.steps, undefined);
  assertEquals(parse({ messages, store: true }).ignored, ["store"]);
  assertEquals(parse({ messages }).ignored, []);
});

Deno.test("a body of very many unknown fields is answered", () => {
  const body = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`x${i}`, 1]));
  assertEquals(parse({ messages, ...body }).ignored.length, 20_000);
});

Deno.test("how to stream is ignored without a stream", () => {
  const { includeUsage, streamEvents, ignored } = parse({
    messages,
    stream_options: { include_usage: true },
    stream_events: true,
  });
  assertEquals([includeUsage, streamEvents], [false, false]);
  assertEquals(ignored, ["stream_options", "stream_events"]);
});

Deno.test("stream options are kept apart from the engine's request", () => {
  const { generate: _, report: _report, ...rest } = parse({
    messages,
    stream: true,
    stream_options: { include_usage: true },
    stream_events: true,
  });
  assertEquals(rest, {
    mayCall: false,
    olderCalls: false,
    answers: 1,
    stream: true,
    includeDiffusion: false,
    includeUsage: true,
    streamEvents: true,
    tokenLimitField: "max_tokens",
    ignored: [],
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
      const { messages = [] } = generate;
      assertEquals(messages.length >= 1 && messages.length <= 8, true);
      for (const one of messages) assertEquals(typeof one.content, "string");
      const { maxTokens = 1, seed = 0, temperature = 0, stop = [] } = generate;
      assertEquals(Number.isInteger(maxTokens) && maxTokens >= 1 && maxTokens <= 256, true);
      assertEquals(Number.isSafeInteger(seed) && seed >= 0, true);
      assertEquals(temperature >= 0 && temperature <= 2, true);
      assertEquals(stop.length <= 16 && stop.every((one) => one.length > 0), true);
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
  assertEquals(said({ audio: {} }), "Unsupported parameter: 'audio'. Leave it out.");
  assertEquals(
    said({ messages: [{ role: "assistant", audio: { id: "a" }, content: "hi" }] }),
    "Unsupported parameter: 'messages[0].audio'. Leave it out.",
  );
  assertEquals(
    said({ modalities: ["text", "audio"] }),
    `Unsupported parameter: 'modalities'. Leave it out, or send ["text"].`,
  );
});
