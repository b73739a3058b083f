/** The body of `POST /v1/responses`, as a zod schema. */
import { z } from "zod";
import { amount, fields, flag, listOf, object, oneOf, text, whole } from "../translated/body.ts";

const textPart = fields({
  type: z.enum(["input_text", "output_text", "text"], {
    error: '"input_text" or "output_text" (images, audio and files are not supported)',
  }),
  text,
});
const refusalPart = fields({ type: z.literal("refusal"), refusal: text });
const parts = listOf(
  z.discriminatedUnion("type", [textPart, refusalPart], {
    error: "a part of type input_text or output_text (images, audio and files are not supported)",
  }),
  "text parts",
);
const content = z.union([text, parts], { error: "text or a list of text parts" });

const message = fields({
  type: z.literal("message"),
  role: oneOf("user", "assistant", "system", "developer"),
  content,
});
const call = fields({
  type: z.literal("function_call"),
  call_id: text,
  name: text,
  arguments: text,
});
const callOutput = fields({
  type: z.literal("function_call_output"),
  call_id: text,
  output: content,
});
const reasoning = fields({ type: z.literal("reasoning") });

/** A message may leave its type out. */
const item = z.preprocess(
  (value) =>
    typeof value === "object" && value !== null && !("type" in value) && "role" in value
      ? { type: "message", ...value }
      : value,
  z.discriminatedUnion("type", [message, call, callOutput, reasoning], {
    error: "an item of type message, function_call, function_call_output or reasoning",
  }),
);

/** A tool, flat where a chat nests it. */
const tool = fields({
  type: z.literal("function", { error: '"function" (no other tools are supported)' }),
  name: text,
  description: text.nullish(),
  parameters: object.nullish(),
  strict: flag.nullish(),
});

/** The schema. Fields that it does not name are a chat completion's, or ignored. */
export const responsesSchema = fields({
  model: text.optional(),
  input: z.union([text, listOf(item, "items")], { error: "text or a list of items" }),
  instructions: text.optional(),
  stream: flag.optional(),
  max_output_tokens: whole.optional(),
  temperature: amount.optional(),
  top_p: amount.optional(),
  top_logprobs: whole.optional(),
  include: listOf(text, "names").optional(),
  text: fields({
    format: fields({ type: oneOf("text", "json_object", "json_schema") }).nullish(),
  }).optional(),
  tools: listOf(tool, "tools").optional(),
  tool_choice: z.union([
    oneOf("none", "auto", "required"),
    fields({ type: z.literal("function", { error: '"function"' }), name: text }),
  ], { error: '"none", "auto", "required" or {"type": "function", "name": …}' }).optional(),
  metadata: object.optional(),
  background: flag.optional(),
  previous_response_id: text.optional(),
  conversation: z.unknown().optional(),
  prompt: z.unknown().optional(),
});

/** A checked body. */
export type ResponsesRequest = z.output<typeof responsesSchema>;
/** An item of its input. */
export type InputItem = Exclude<ResponsesRequest["input"], string>[number];
