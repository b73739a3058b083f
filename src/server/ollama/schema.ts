/** The bodies of ollama's `POST /api/chat`, `/api/generate` and `/api/show`, as zod schemas. */
import { z } from "zod";
import { amount, fields, flag, listOf, object, text, whole } from "../translated/body.ts";

const noImages = z.array(z.unknown()).max(0, { error: "no images: this model reads only text" })
  .nullish();

const message = fields({
  role: text,
  content: text.nullish(),
  images: noImages,
  tool_name: text.nullish(),
  tool_calls: listOf(
    fields({ id: text.nullish(), function: fields({ name: text, arguments: object.nullish() }) }),
    "calls",
  ).nullish(),
});

const options = fields({
  num_predict: whole.nullish(),
  temperature: amount.nullish(),
  top_p: amount.nullish(),
  top_k: whole.nullish(),
  min_p: amount.nullish(),
  seed: whole.nullish(),
  stop: z.union([text, listOf(text, "texts")], { error: "text or a list of texts" }).nullish(),
  repeat_penalty: amount.nullish(),
  presence_penalty: amount.nullish(),
  frequency_penalty: amount.nullish(),
});

const shared = {
  model: text.optional(),
  stream: flag.optional(),
  format: z.union([z.literal("json"), z.literal(""), object], {
    error: '"json" or a JSON schema',
  }).optional(),
  options: options.optional(),
  keep_alive: z.union([text, amount], { error: "a duration" }).optional(),
  logprobs: flag.optional(),
  top_logprobs: whole.optional(),
};

/** The schema of `/api/chat`. Fields that it does not name are a chat completion's, or ignored. */
export const chatSchema = fields({
  ...shared,
  messages: listOf(message, "messages").optional(),
  tools: listOf(fields({ type: text, function: object }), "tools").optional(),
});

/** The schema of `/api/generate`. */
export const generateSchema = fields({
  ...shared,
  prompt: text.optional(),
  suffix: text.optional(),
  system: text.optional(),
  template: text.optional(),
  raw: flag.optional(),
  /** Token ids of the turns before, as an answer gave them. */
  context: listOf(whole, "token ids").optional(),
  images: noImages,
});

/** The schema of `/api/show`. */
export const showSchema = fields({ model: text.optional(), name: text.optional() });

/** What the two that answer have in common. */
export type SharedRequest = Pick<z.output<typeof chatSchema>, keyof typeof shared>;
/** A checked body of `/api/chat`. */
export type OllamaChat = z.output<typeof chatSchema>;
/** A checked body of `/api/generate`. */
export type OllamaGenerate = z.output<typeof generateSchema>;
