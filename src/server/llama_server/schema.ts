/** The bodies of llama-server's routes about text, and vLLM's of the same names, as zod schemas. */
import { z } from "zod";
import { fields, flag, listOf, text, whole } from "../translated/body.ts";

const content = z.union([
  text,
  listOf(
    fields({
      type: z.literal("text", { error: '"text" (images and audio are not supported)' }),
      text,
    }),
    "text parts",
  ),
], { error: "text or a list of text parts" });
const messages = listOf(fields({ role: text, content: content.nullish() }), "messages");

/** llama-server's field is `content`; vLLM's are `prompt` or `messages`. */
export const tokenizeSchema = fields({
  content: text.optional(),
  prompt: text.optional(),
  messages: messages.optional(),
  parse_special: flag.optional(),
  with_pieces: flag.optional(),
  return_token_strs: flag.optional(),
  /** Both say whether tokens are added that the tokenizer adds to a text by itself: LLaDA's none. */
  add_special: flag.optional(),
  add_special_tokens: flag.optional(),
  add_generation_prompt: flag.optional(),
  continue_final_message: flag.optional(),
});

/** The schema of `POST /detokenize`. */
export const detokenizeSchema = fields({ tokens: listOf(whole, "token ids") });

/** The schema of `POST /apply-template`. */
export const templateSchema = fields({ messages });

/** Turns of a conversation, as a chat template takes them. */
export function turnsOf(
  messages: z.output<typeof templateSchema>["messages"],
): { readonly role: string; readonly content: string }[] {
  return messages.map(({ role, content }) => ({
    role: role === "developer" ? "system" : role,
    content: typeof content === "string"
      ? content
      : (content ?? []).map(({ text }) => text).join(""),
  }));
}
