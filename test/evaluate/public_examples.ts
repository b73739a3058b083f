/** Prompts of models/eval-public.json with their answers, as token ids. */

import { EVAL_PUBLIC } from "../../src/engine/embedded_models.ts";
import type { AnsweredPrompt } from "../../src/evaluate/draft_agreement.ts";

interface Item {
  readonly prompt_ids: readonly number[];
  /** Without the token that ends the answer. */
  readonly expected_ids: readonly number[];
}

/** The first `count` prompts, with the answers that they should have. */
export function publicExamples(count: number): AnsweredPrompt[] {
  const { items, eot_token_id: end } = JSON.parse(Deno.readTextFileSync(EVAL_PUBLIC));
  return (items as Item[]).slice(0, count).map(({ prompt_ids, expected_ids }) => ({
    prompt: Uint32Array.from(prompt_ids),
    answer: Uint32Array.of(...expected_ids, end),
  }));
}
