/** Structured answers and tools with the clients that people use, each in its documented ways. */
import { assert, assertEquals } from "@std/assert";
import { generateText, jsonSchema, Output, stepCountIs, streamText, tool } from "npm:ai@7.0.173";
import { createOpenAI } from "npm:@ai-sdk/openai@4.0.118";
import { createOpenAICompatible } from "npm:@ai-sdk/openai-compatible@3.0.92";
import { ChatOpenAI } from "npm:@langchain/openai@1.6.0";
import Instructor from "npm:@instructor-ai/instructor@1.7.0";
import {
  Agent,
  OpenAIProvider,
  Runner,
  setTracingDisabled,
  tool as agentTool,
} from "npm:@openai/agents@0.20.0";
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
// Instructor 1.7 reads schemas of the older zod.
import { z as olderZod } from "npm:zod@3.25.76";
import type { ClientCase, ClientServer } from "./server.ts";

const Answer = z.object({ answer: z.number(), sure: z.boolean(), unit: z.enum(["none", "kg"]) });
const Arguments = z.object({ a: z.int().min(0).max(99), b: z.int().min(0).max(99) });
const argumentsSchema = z.toJSONSchema(Arguments) as Record<string, unknown> & { type: "object" };
const FUNCTION = {
  name: "multiply",
  description: "a times b",
  parameters: argumentsSchema as object,
};

const openai = ({ url }: ClientServer) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const chat = (s: ClientServer) => ({
  model: s.model,
  messages: [{ role: "user" as const, content: s.prompt }],
});

const OPENAI: readonly ClientCase[] = [
  ["openai: chat.completions.parse with zod", async (s) => {
    const completion = await openai(s).chat.completions.parse({
      ...chat(s),
      response_format: zodResponseFormat(Answer, "answer"),
    });
    Answer.parse(completion.choices[0].message.parsed);
  }],
  ["openai: the stream helper with zod", async (s) => {
    const stream = openai(s).chat.completions.stream({
      ...chat(s),
      response_format: zodResponseFormat(Answer, "answer"),
    });
    const completion = await stream.finalChatCompletion();
    Answer.parse(completion.choices[0].message.parsed);
  }],
  ["openai: responses.parse with zod", async (s) => {
    const response = await openai(s).responses.parse({
      model: s.model,
      input: s.prompt,
      text: { format: zodTextFormat(Answer, "answer") },
    });
    Answer.parse(response.output_parsed);
  }],
  ["openai: runTools", async (s) => {
    const given: unknown[] = [];
    const runner = openai(s).chat.completions.runTools({
      ...chat(s),
      tool_choice: { type: "function", function: { name: "multiply" } },
      tools: [{
        type: "function",
        function: {
          ...FUNCTION,
          parse: (text: string) => Arguments.parse(JSON.parse(text)),
          function: (value: z.infer<typeof Arguments>) => void given.push(value),
        },
      }],
    });
    await runner.done();
    assertEquals(given.length, 1);
  }],
  ["openai: runTools streamed, the model may answer without", async (s) => {
    const runner = openai(s).chat.completions.runTools({
      ...chat(s),
      stream: true,
      tools: [{
        type: "function",
        function: { ...FUNCTION, parse: JSON.parse, function: () => "56" },
      }],
    });
    assert((await runner.finalContent())!.length > 0);
  }],
];

const AI_MODELS = [
  [
    "responses",
    (s: ClientServer) => createOpenAI({ baseURL: `${s.url}/v1`, apiKey: "-" })(s.model),
  ],
  [
    "chat",
    (s: ClientServer) => createOpenAI({ baseURL: `${s.url}/v1`, apiKey: "-" }).chat(s.model),
  ],
  [
    "compatible",
    (s: ClientServer) =>
      createOpenAICompatible({
        name: "unmask",
        baseURL: `${s.url}/v1`,
        supportsStructuredOutputs: true,
      })(s.model),
  ],
] as const;

const AI: readonly ClientCase[] = AI_MODELS.flatMap(([name, modelOf]): ClientCase[] => [
  [`ai: Output.object, ${name}`, async (s) => {
    const { output } = await generateText({
      model: modelOf(s),
      prompt: s.prompt,
      maxRetries: 0,
      output: Output.object({ schema: Answer }),
    });
    Answer.parse(output);
  }],
  [`ai: Output.object streamed, ${name}`, async (s) => {
    const result = streamText({
      model: modelOf(s),
      prompt: s.prompt,
      maxRetries: 0,
      output: Output.object({ schema: Answer }),
    });
    Answer.parse(await result.output);
  }],
  [`ai: a required tool, ${name}`, async (s) => {
    const given: unknown[] = [];
    const { toolCalls } = await generateText({
      model: modelOf(s),
      prompt: s.prompt,
      maxRetries: 0,
      toolChoice: "required",
      stopWhen: stepCountIs(1),
      tools: {
        multiply: tool({
          description: "a times b",
          inputSchema: jsonSchema(argumentsSchema as Parameters<typeof jsonSchema>[0]),
          execute: (value: unknown) => void given.push(value),
        }),
      },
    });
    assertEquals([toolCalls.length, given.length], [1, 1]);
    Arguments.parse(given[0]);
  }],
]);

const langchain = ({ url, model }: ClientServer) =>
  new ChatOpenAI({ model, maxRetries: 0, apiKey: "none", configuration: { baseURL: `${url}/v1` } });

const LANGCHAIN: readonly ClientCase[] = [
  ...(["jsonSchema", "functionCalling"] as const).map((method): ClientCase => [
    `@langchain/openai: withStructuredOutput by ${method}`,
    async (s) => {
      const model = langchain(s).withStructuredOutput(Answer, { method, name: "answer" });
      Answer.parse(await model.invoke(s.prompt));
    },
  ]),
  ["@langchain/openai: withStructuredOutput by jsonMode", async (s) => {
    const any = z.looseObject({});
    const model = langchain(s).withStructuredOutput(any, { method: "jsonMode", name: "any" });
    any.parse(await model.invoke(s.prompt));
  }],
  ["@langchain/openai: bindTools", async (s) => {
    const tools = [{ type: "function" as const, function: FUNCTION }];
    const answer = await langchain(s).bindTools(tools, { tool_choice: "multiply" }).invoke(
      s.prompt,
    );
    Arguments.parse(answer.tool_calls![0].args);
  }],
];

// In its modes JSON and MD_JSON only the system message says what the answer must be.
const INSTRUCTOR: readonly ClientCase[] =
  (["TOOLS", "FUNCTIONS", "JSON", "MD_JSON", "JSON_SCHEMA", "THINKING_MD_JSON"] as const).map(
    (mode): ClientCase => [`@instructor-ai/instructor: ${mode}`, async (s) => {
      const schema = olderZod.object({ answer: olderZod.number(), sure: olderZod.boolean() });
      // It was made for an older client, of the same calls.
      const client = Instructor({ client: openai(s) as never, mode });
      const answer: unknown = await client.chat.completions.create({
        ...chat(s),
        response_model: { schema: schema as never, name: "Answer" },
        max_retries: 0,
      });
      schema.parse(answer);
    }],
  );

const AGENTS: readonly ClientCase[] = [true, false].map((useResponses): ClientCase => [
  `@openai/agents: a tool over ${useResponses ? "responses" : "chat"}`,
  async (s) => {
    setTracingDisabled(true);
    const given: unknown[] = [];
    const multiply = agentTool({
      name: "multiply",
      description: "a times b",
      parameters: Arguments,
      execute: (value) => {
        given.push(value);
        return "56";
      },
    });
    const agent = new Agent({
      name: "calculator",
      instructions: "Be brief.",
      model: s.model,
      tools: [multiply],
      modelSettings: { toolChoice: "required" },
    });
    const provider = { baseURL: `${s.url}/v1`, apiKey: "none", useResponses };
    const runner = new Runner({ modelProvider: new OpenAIProvider(provider) });
    const result = await runner.run(agent, s.prompt);
    Arguments.parse(given[0]);
    assert(typeof result.finalOutput === "string");
  },
]);

/** The cases. */
export const STRUCTURED_CASES: readonly ClientCase[] = [
  ...OPENAI,
  ...AI,
  ...LANGCHAIN,
  ...INSTRUCTOR,
  ...AGENTS,
];
