/** Whether the widest pass of an answer fits the memory that is planned: asked before it begins. */

import { strategyOf } from "../denoise/strategy.ts";
import type { GenerationPlan } from "./generation_plan.ts";
import { RequestError } from "./request_errors.ts";

/** What the rows of an answer's passes follow from. */
export type PassPlan = Pick<
  GenerationPlan,
  "promptIds" | "genLength" | "blockLength" | "cfgScale" | "strategy"
>;

/**
 * Refuses an answer whose passes would have too many rows: each token has one, with guidance its twin
 * another, and a strategy that judges what a draft has written in a block runs it a second time, as
 * shadows. All other passes of an answer of the context length fit, with guidance or without.
 * @param most rows that a pass of one answer may have
 * @throws {RequestError} naming the block length
 */
export function checkPassRows(plan: PassPlan, most: number): void {
  const { blockLength, strategy } = plan;
  if (!strategyOf(strategy).judgesShadows || rowsOf(plan) <= most) return;
  const each = sequencesOf(plan);
  const tokens = tokensOf(plan);
  const fits = Math.floor(most / each) - tokens;
  throw new RequestError(
    "blockLength",
    `blockLength is ${blockLength}: ${strategy} would run ${
      rowsOf(plan)
    } rows in one pass, ${each} for ` +
      `each of ${tokens} tokens and of a block, and the model is loaded for ${most}. ` +
      (fits > 0 ? `Ask for blocks of at most ${fits} tokens` : "Choose another strategy") +
      ", or load the model for more rows (--batch-rows)",
  );
}

/**
 * Whether an answer may have the draft: `auto`, which needs none, leaves it alone where it could choose
 * to judge shadows for which there are too few rows.
 */
export function draftFits(plan: PassPlan, most: number): boolean {
  return strategyOf(plan.strategy).needsDraft || rowsOf(plan) <= most;
}

function sequencesOf({ cfgScale }: Pick<PassPlan, "cfgScale">): number {
  return cfgScale === 0 ? 1 : 2;
}

function tokensOf({ promptIds, genLength }: Pick<PassPlan, "promptIds" | "genLength">): number {
  return promptIds.length + genLength;
}

/** Rows of a pass over all tokens and the shadows of a block. */
function rowsOf(plan: Omit<PassPlan, "strategy">): number {
  return sequencesOf(plan) * (tokensOf(plan) + plan.blockLength);
}
