/**
 * Tool calls through the translated APIs, with their real clients. A stand-in for the chat route
 * answers with calls, so that it does not depend on a model whether there are any.
 */
import { assert, assertEquals } from "@std/assert";
import Anthropic from "npm:@anthropic-ai/sdk@1.14.0";
import { createOpenAI } from "npm:@ai-sdk/openai@4.0.118";
import { jsonSchema, streamText, tool } from "npm:ai@7.0.173";
import { Hono } from "hono";
import { Ollama } from "npm:ollama@0.6.4";
import OpenAI from "openai";
import { messages } from "../../src/server/anthropic/route.ts";
import { CONNECTION_LIMITS, listen } from "../../src/server/http_server.ts";
import { ollamaChat } from "../../src/server/ollama/route.ts";
import { responses } from "../../src/server/responses/route.ts";
import type { ChatHandler } from "../../src/server/translated/translation.ts";
import { FakeEngine } from "../server/fake_engine.ts";

const HEAD = { id: "chatcmpl-1", created: 1_700_000_000, model: "fake-llada" };
const USAGE = { prompt_tokens: 5, completion_tokens: 7, total_tokens: 12 };
const CALLS = [
  { id: "call_a", name: "multiply", arguments: '{"a":7,"b":8}' },
  { id: "call_b", name: "multiply", arguments: '{"a":1,"b":2}' },
];

/** Answers with a text and two calls, whole or in pieces. */
function fakeChat(bodies: Record<string, unknown>[]): ChatHandler {
  return async (c) => {
    const body = await c.req.raw.json();
    bodies.push(body);
    if (!body.stream) {
      const tool_calls = CALLS.map(({ id, ...call }) => ({ id, type: "function", function: call }));
      const message = { role: "assistant", content: "Calls:", tool_calls };
      const choices = [{ index: 0, message, logprobs: null, finish_reason: "tool_calls" }];
      return c.json({ ...HEAD, object: "chat.completion", choices, usage: USAGE });
    }
    const chunk = (delta: object, finish_reason: string | null = null) => ({
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
    });
    const pieces = CALLS.flatMap(({ id, name, arguments: written }, index) => [
      { index, id, type: "function", function: { name, arguments: "" } },
      { index, function: { arguments: written.slice(0, 5) } },
      { index, function: { arguments: written.slice(5) } },
    ]);
    const chunks = [
      chunk({ role: "assistant", content: "" }),
      chunk({ content: "Calls:" }),
      ...pieces.map((piece) => chunk({ tool_calls: [piece] })),
      chunk({}, "tool_calls"),
      { choices: [], usage: USAGE },
    ];
    const lines = chunks.map((one) => `data: ${JSON.stringify({ ...HEAD, ...one })}\n\n`);
    return new Response(lines.join("") + "data: [DONE]\n\n");
  };
}

async function withServer(
  body: (url: string, bodies: Record<string, unknown>[]) => Promise<void>,
): Promise<void> {
  const bodies: Record<string, unknown>[] = [];
  const chat = fakeChat(bodies);
  const engine = new FakeEngine();
  const options = { body: { maxBytes: 2 ** 20, seconds: 5 }, beginSeconds: 1, pingSeconds: 15 };
  const app = new Hono();
  app.post("/v1/responses", responses(chat, options));
  app.post("/v1/messages", messages(engine, chat, options));
  app.post("/api/chat", ollamaChat(engine, chat, options));
  const limits = CONNECTION_LIMITS;
  const server = await listen(app.fetch, { hostname: "127.0.0.1", port: 0, limits });
  try {
    await body(`http://127.0.0.1:${server.port}`, bodies);
  } finally {
    server.cut();
    await server.stop();
  }
}

const SCHEMA = {
  type: "object" as const,
  properties: { a: { type: "number" as const }, b: { type: "number" as const } },
  required: ["a", "b"],
};
const CHAT_TOOLS = [{
  type: "function",
  function: { name: "multiply", description: "a times b", parameters: SCHEMA },
}];
const PARSED = [{ a: 7, b: 8 }, { a: 1, b: 2 }];
/** Clients keep connections and timers of their own. */
const test = { sanitizeResources: false, sanitizeOps: false };

Deno.test("tool calls reach the openai client's responses, and go back", test, async () => {
  await withServer(async (url, bodies) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
    const request = {
      model: "m",
      input: [
        { role: "user" as const, content: "7 * 8?" },
        { type: "function_call" as const, call_id: "c1", name: "multiply", arguments: "{}" },
        { type: "function_call_output" as const, call_id: "c1", output: "56" },
      ],
      tools: [{
        type: "function" as const,
        name: "multiply",
        description: "a times b",
        parameters: SCHEMA,
        strict: true,
      }],
      tool_choice: { type: "function" as const, name: "multiply" },
    };
    const whole = await client.responses.create(request);
    const streamed = await client.responses.stream(request).finalResponse();
    for (const { output, output_text, status } of [whole, streamed]) {
      assertEquals([output_text, status], ["Calls:", "completed"]);
      const calls = output.flatMap((item) => item.type === "function_call" ? [item] : []);
      assertEquals(calls.map((call) => call.name), ["multiply", "multiply"]);
      assertEquals(calls.map((call) => call.call_id), ["call_a", "call_b"]);
      assertEquals(calls.map((call) => JSON.parse(call.arguments)), PARSED);
      assertEquals(new Set(output.map(({ id }) => id)).size, 3);
    }
    const { messages, tools, tool_choice } = bodies[0];
    assertEquals(messages, [
      { role: "user", content: "7 * 8?" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{
          id: "c1",
          type: "function",
          function: { name: "multiply", arguments: "{}" },
        }],
      },
      { role: "tool", tool_call_id: "c1", content: "56" },
    ]);
    const [nested] = CHAT_TOOLS;
    assertEquals(tools, [{ ...nested, function: { ...nested.function, strict: true } }]);
    assertEquals(tool_choice, { type: "function", function: { name: "multiply" } });
  });
});

Deno.test("structured output is asked of a chat as a chat has it", test, async () => {
  await withServer(async (url, bodies) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
    const format = { type: "json_schema" as const, name: "product", schema: SCHEMA, strict: true };
    await client.responses.create({ model: "m", input: "7 * 8?", text: { format } });
    const { type, ...json_schema } = format;
    assertEquals(bodies[0].response_format, { type, json_schema });
    await client.responses.create({ model: "m", input: "Hi", text: { format: { type: "text" } } });
    assertEquals(bodies[1].response_format, undefined);
    await new Ollama({ host: url }).chat({
      model: "m",
      messages: [{ role: "user", content: "7 * 8?" }],
      format: SCHEMA,
    });
    assertEquals(bodies[2].response_format, {
      type: "json_schema",
      json_schema: { name: "format", schema: SCHEMA },
    });
  });
});

Deno.test("tool calls reach the ai package over responses", test, async () => {
  await withServer(async (url) => {
    const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
    const result = streamText({
      model: openai("m"),
      prompt: "7 * 8?",
      maxRetries: 0,
      tools: {
        multiply: tool({ description: "a times b", inputSchema: jsonSchema(SCHEMA) }),
      },
    });
    const calls = await result.toolCalls;
    assertEquals(calls.map(({ toolName }) => toolName), ["multiply", "multiply"]);
    assertEquals(calls.map(({ input }) => input), PARSED);
    assertEquals([await result.text, await result.finishReason], ["Calls:", "tool-calls"]);
  });
});

Deno.test("tool calls reach the Anthropic client, and go back", test, async () => {
  await withServer(async (url, bodies) => {
    const client = new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });
    const request = {
      model: "m",
      max_tokens: 64,
      messages: [
        { role: "user" as const, content: "7 * 8?" },
        {
          role: "assistant" as const,
          content: [{ type: "tool_use" as const, id: "t1", name: "multiply", input: PARSED[0] }],
        },
        {
          role: "user" as const,
          content: [
            { type: "tool_result" as const, tool_use_id: "t1", content: "56" },
            { type: "text" as const, text: "Go on." },
          ],
        },
      ],
      tools: [{ name: "multiply", description: "a times b", input_schema: SCHEMA }],
      tool_choice: { type: "any" as const },
    };
    const whole = await client.messages.create(request);
    const streamed = await client.messages.stream(request).finalMessage();
    for (const { content, stop_reason, usage } of [whole, streamed]) {
      assertEquals([stop_reason, usage.output_tokens], ["tool_use", 7]);
      assert(content[0].type === "text" && content[0].text === "Calls:");
      const calls = content.filter((block) => block.type === "tool_use");
      assertEquals(calls.map(({ id }) => id), ["call_a", "call_b"]);
      assertEquals(calls.map(({ input }) => input), PARSED);
    }
    const { messages, tools, tool_choice } = bodies[0];
    const call = { name: "multiply", arguments: JSON.stringify(PARSED[0]) };
    assertEquals(messages, [
      { role: "user", content: "7 * 8?" },
      {
        role: "assistant",
        content: null,
        tool_calls: [{ id: "t1", type: "function", function: call }],
      },
      { role: "tool", tool_call_id: "t1", content: "56" },
      { role: "user", content: "Go on." },
    ]);
    assertEquals([tools, tool_choice], [CHAT_TOOLS, "required"]);
  });
});

Deno.test("tool calls reach the ollama client, and go back", test, async () => {
  await withServer(async (url, bodies) => {
    const client = new Ollama({ host: url });
    const called = { function: { name: "multiply", arguments: PARSED[0] } };
    const request = {
      model: "m",
      messages: [
        { role: "user", content: "7 * 8?" },
        { role: "assistant", content: "", tool_calls: [called] },
        { role: "tool", content: "56", tool_name: "multiply" },
      ],
      tools: CHAT_TOOLS,
    };
    const whole = await client.chat(request);
    assertEquals(whole.message.content, "Calls:");
    assertEquals(whole.message.tool_calls?.map((call) => call.function.arguments), PARSED);
    const calls = [];
    for await (const { message } of await client.chat({ ...request, stream: true })) {
      calls.push(...message.tool_calls ?? []);
    }
    assertEquals(calls.map((call) => call.function.arguments), PARSED);
    const [, assistant, result] = bodies[0].messages as Record<string, unknown>[];
    const [{ id }] = assistant.tool_calls as { id: string }[];
    assertEquals(result, { role: "tool", tool_call_id: id, content: "56" });
    assertEquals(bodies[0].tools, CHAT_TOOLS);
  });
});
