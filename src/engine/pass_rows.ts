/** Whether the widest pass of an answer fits the memory that is planned: asked before it begins. */

import type { GenerationPlan } from "./generation_plan.ts";
import { RequestError } from "./request_errors.ts";

/**
 * Refuses an answer whose passes would have too many rows: each token has one, with guidance its twin
 * another, and what a draft has written in a block is run a second time by `commit_verify`. All other
 * strategies run an answer of the context length, with guidance or without.
 * @param most rows that a pass of one answer may have
 * @throws {RequestError} naming the block length
 */
export function checkPassRows(
  { promptIds, genLength, blockLength, cfgScale, strategy }: Pick<
    GenerationPlan,
    "promptIds" | "genLength" | "blockLength" | "cfgScale" | "strategy"
  >,
  most: number,
): void {
  if (strategy !== "commit_verify") return;
  const each = cfgScale === 0 ? 1 : 2;
  const tokens = promptIds.length + genLength;
  const rows = each * (tokens + blockLength);
  if (rows <= most) return;
  const fits = Math.floor(most / each) - tokens;
  throw new RequestError(
    "blockLength",
    `blockLength is ${blockLength}: commit_verify would run ${rows} rows in one pass, ${each} for ` +
      `each of ${tokens} tokens and of a block, and the model is loaded for ${most}. ` +
      (fits > 0 ? `Ask for blocks of at most ${fits} tokens` : "Choose another strategy") +
      ", or load the model for more rows (--batch-rows)",
  );
}
