/** The `@anthropic-ai/sdk` client. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import Anthropic, { BadRequestError } from "npm:@anthropic-ai/sdk@1.14.0";
import type { ClientCase, ClientServer } from "./server.ts";

const client = ({ url }: ClientServer) =>
  new Anthropic({ baseURL: url, apiKey: "none", maxRetries: 0 });

const question = ({ model, prompt, limit }: ClientServer) => ({
  model,
  max_tokens: limit,
  messages: [{ role: "user" as const, content: prompt }],
});

/** The cases. */
export const ANTHROPIC_CASES: readonly ClientCase[] = [
  ["messages.create", async (s) => {
    const message = await client(s).messages.create(question(s));
    assertEquals(message.content.length, 1);
    assert(message.content[0].type === "text");
    assertEquals([message.content[0].text, message.stop_reason], [s.text, "end_turn"]);
    assert(message.usage.input_tokens > 8 && message.usage.output_tokens > 8);
  }],
  ["messages with system text, blocks and a limit", async (s) => {
    const message = await client(s).messages.create({
      model: s.model,
      max_tokens: 4,
      system: [{ type: "text", text: "Answer." }],
      messages: [
        { role: "user", content: "Hello" },
        { role: "assistant", content: [{ type: "text", text: "Hello!" }] },
        { role: "user", content: [{ type: "text", text: s.prompt }] },
      ],
    });
    assertEquals(message.stop_reason, "max_tokens");
  }],
  ["messages.stream: the helper's text and final message", async (s) => {
    const stream = client(s).messages.stream(question(s));
    let text = "";
    stream.on("text", (delta) => text += delta);
    const final = await stream.finalMessage();
    assertEquals([text, await stream.finalText()], [s.text, s.text]);
    assertEquals(final.stop_reason, "end_turn");
    assert(final.usage.input_tokens > 8 && final.usage.output_tokens > 8);
  }],
  ["messages.countTokens counts what the answer's usage says", async (s) => {
    const { max_tokens: _, ...prompt } = question(s);
    const { input_tokens } = await client(s).messages.countTokens(prompt);
    const message = await client(s).messages.create({ ...question(s), max_tokens: 4 });
    assertEquals(input_tokens, message.usage.input_tokens);
  }],
  ["messages with a tool that must be called", async (s) => {
    const message = await client(s).messages.create({
      ...question(s),
      max_tokens: 64,
      tools: [{
        name: "multiply",
        input_schema: {
          type: "object",
          properties: { a: { type: "integer" }, b: { type: "integer" } },
          required: ["a", "b"],
        },
      }],
      tool_choice: { type: "tool", name: "multiply" },
    });
    assertEquals(message.stop_reason, "tool_use");
    const [call] = message.content.flatMap((block) => block.type === "tool_use" ? [block] : []);
    const { a, b } = call.input as { a: unknown; b: unknown };
    assert(call.name === "multiply" && Number.isInteger(a) && Number.isInteger(b));
  }],
  ["errors have Anthropic's body, and images are refused by name", async (s) => {
    const source = { type: "base64" as const, media_type: "image/png" as const, data: "AA==" };
    const content = [{ type: "image" as const, source }];
    const asked = client(s).messages.create({
      ...question(s),
      messages: [{ role: "user", content }],
    });
    const error = await asked.then(() => undefined, (error) => error);
    assert(error instanceof BadRequestError);
    assertEquals(error.type, "invalid_request_error");
    assertMatch(error.message, /messages\[0\]\.content\[0\]\.type/);
  }],
];
