/** Prompts as llama-server takes them: texts, token ids, or both mixed in one, alone or in a list. */
import { z } from "zod";
import type { TextEngine } from "../../engine/request.ts";
import { ApiError } from "../errors.ts";
import { listOf, text, whole } from "../translated/body.ts";

/** Most prompts of a request. */
const MOST_PROMPTS = 128;

const piece = z.union([text, whole], { error: "text or a token id" });

/** The schema of `prompt`. */
export const promptSchema = z.union(
  [text, listOf(z.union([text, whole, listOf(piece, "texts and token ids")]), "prompts")],
  { error: "text, token ids, or a list of either" },
);

/** A prompt: text, or pieces of text and token ids that follow each other. */
export type Prompt = string | readonly (string | number)[];

/**
 * The prompts of a request. A list in which an id stands is one prompt.
 * @throws {ApiError} 400 for none, for more than 128, and for a list in a list with ids
 */
export function promptsOf(
  given: z.output<typeof promptSchema>,
): readonly [Prompt, ...Prompt[]] {
  if (typeof given === "string") return [given];
  const isPieces = given.some((one) => typeof one === "number");
  const pieces = given.filter((one) => !Array.isArray(one)) as (string | number)[];
  if (isPieces && pieces.length === given.length) return [pieces];
  const [first, ...others] = given as Prompt[];
  if (first === undefined || isPieces || others.length >= MOST_PROMPTS) {
    const expected = `text, token ids, or a list of 1 to ${MOST_PROMPTS} of either`;
    const message = `Invalid 'prompt': expected ${expected}.`;
    throw new ApiError(400, "invalid_value", message, { param: "prompt" });
  }
  return [first, ...others];
}

/** A prompt as the engine takes it, texts between ids tokenised; and as text, for the answer. */
export async function readPrompt(
  engine: TextEngine,
  prompt: Prompt,
): Promise<{ readonly ids?: readonly number[]; readonly text: string }> {
  if (typeof prompt === "string") return { text: prompt };
  const ids: number[] = [];
  for (const piece of prompt) {
    if (typeof piece === "number") ids.push(piece);
    else ids.push(...(await engine.text({ type: "encode", text: piece, control: true })).ids);
  }
  return { ids, text: (await engine.text({ type: "decode", ids })).text };
}
