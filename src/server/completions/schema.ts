/** The body of `POST /v1/completions`, as a zod schema. */
import { z } from "zod";
import { fields, flag, listOf, oneOf, text, whole } from "../translated/body.ts";

const ids = listOf(whole, "token ids");

/** The schema. Fields that it does not name are a chat completion's, or ignored. */
export const completionsSchema = fields({
  model: text.optional(),
  prompt: z.union([text, ids, listOf(text, "texts"), listOf(ids, "lists of token ids")], {
    error: "text, token ids, or a list of either",
  }),
  suffix: text.optional(),
  echo: flag.optional(),
  n: z.int().min(1, { error: "a whole number from 1" }).optional(),
  best_of: whole.optional(),
  logprobs: z.int({ error: "a whole number from 0 to 5" }).min(0, {
    error: "a whole number from 0 to 5",
  }).max(5, { error: "a whole number from 0 to 5" }).optional(),
  max_tokens: whole.optional(),
  /** llama-server's name of it. */
  n_predict: whole.optional(),
  prompt_logprobs: whole.optional(),
  /** vLLM's: tokens that are kept of each prompt, its last ones, or with `right` its first. */
  truncate_prompt_tokens: z.int({ error: "a whole number from 1, or -1" })
    .min(-1, { error: "a whole number from 1, or -1" })
    .refine((value) => value !== 0, { error: "a whole number from 1, or -1" }).optional(),
  truncation_side: oneOf("left", "right").optional(),
  return_tokens_as_token_ids: flag.optional(),
  stream: flag.optional(),
  stream_options: fields({
    include_usage: flag.nullish(),
    continuous_usage_stats: flag.nullish(),
  }).optional(),
});

/** A checked body. */
export type CompletionsRequest = z.output<typeof completionsSchema>;
/** One of its prompts. */
export type Prompt = string | readonly number[];

/** The prompts, each a text or a list of ids. */
export function promptsOf({ prompt }: CompletionsRequest): readonly Prompt[] {
  if (typeof prompt === "string") return [prompt];
  return typeof prompt[0] === "number" ? [prompt as number[]] : prompt as Prompt[];
}
