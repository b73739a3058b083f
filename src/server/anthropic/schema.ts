/** The bodies of `POST /v1/messages` and `/v1/messages/count_tokens`, as a zod schema. */
import { z } from "zod";
import { amount, fields, flag, listOf, object, oneOf, text, whole } from "../translated/body.ts";

const textBlock = fields({ type: z.literal("text"), text });
const toolUse = fields({ type: z.literal("tool_use"), id: text, name: text, input: object });
const toolResult = fields({
  type: z.literal("tool_result"),
  tool_use_id: text,
  content: z.union([
    text,
    listOf(
      fields({
        type: z.literal("text", { error: '"text" (images and documents are not supported)' }),
        text,
      }),
      "text blocks",
    ),
  ], { error: "text or a list of text blocks" }).optional(),
});
/** What a model thought is no part of what it answers on. */
const thinking = fields({ type: z.literal("thinking") });
const redacted = fields({ type: z.literal("redacted_thinking") });

const block = z.discriminatedUnion("type", [textBlock, toolUse, toolResult, thinking, redacted], {
  error: "a block of type text, tool_use or tool_result (images and documents are not supported)",
});

const message = fields({
  role: oneOf("user", "assistant", "system"),
  content: z.union([text, listOf(block, "blocks")], { error: "text or a list of blocks" }),
});

const tool = fields({
  type: z.literal("custom", { error: '"custom" (no other tools are supported)' }).optional(),
  name: text,
  description: text.optional(),
  input_schema: object,
});

const prompt = {
  model: text.optional(),
  messages: listOf(message, "messages"),
  system: z.union([text, listOf(textBlock, "text blocks")], {
    error: "text or a list of text blocks",
  }).optional(),
  tools: listOf(tool, "tools").optional(),
  tool_choice: fields({ type: oneOf("auto", "any", "tool", "none"), name: text.optional() })
    .optional(),
};

/** The schema of a body that asks for a count. */
export const countSchema = fields(prompt);

/** The schema of a body that asks for a message; what it does not name is a chat completion's. */
export const messagesSchema = fields({
  ...prompt,
  max_tokens: whole.optional(),
  stop_sequences: listOf(text, "texts").optional(),
  stream: flag.optional(),
  temperature: amount.optional(),
  top_p: amount.optional(),
  top_k: whole.optional(),
});

/** A checked body without what only an answer needs. */
export type Prompt = z.output<typeof countSchema>;
/** A checked body. */
export type MessagesRequest = z.output<typeof messagesSchema>;
/** The content of its messages. */
export type Content = Prompt["messages"][number]["content"];
