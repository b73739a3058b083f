/** What requests that run side by side share of a model: rows of a pass, pages of keys and values. */

import type { Gpu } from "../../gpu/device.ts";
import { elementBytes } from "../../gpu/kernel.ts";
import { PAGE_POSITIONS, pagesFor } from "../batch/page_book.ts";
import { headShape } from "../forward_pass.ts";
import { keptElement } from "../kv_cache.ts";
import type { ModelConfig } from "../model_config.ts";
import type { PlanRequest } from "./plan_request.ts";

/** Rows of a shared pass, unless an answer has more. */
const SHARED_ROWS = 512;
/** States in a round of proposals, unless a request asks for more: one answer may have as many rows. */
export const STATES = 5;
/** Answers side by side for which there are pages, if there is memory. */
const ANSWERS = 16;

/** Rows and pages that requests share. */
export interface SharedPlan {
  /** Rows of one pass of the target. */
  readonly rows: number;
  /** Pages of keys and values of the target; of a draft there are as many. */
  readonly pages: number;
  /** Bytes of pages beyond those of one answer at the context length. */
  readonly bytes: number;
}

/** Bytes of a page of a model's keys and values, of all layers. */
export function pageBytes(
  device: Pick<Gpu, "name" | "features">,
  config: ModelConfig,
  kvCache: PlanRequest["kvCache"],
): number {
  const { kvHeads, headStride } = headShape(config);
  const row = kvHeads * headStride * elementBytes(keptElement(device, kvCache));
  return 2 * config.layers * PAGE_POSITIONS * row;
}

/** Rows that a shared pass may have: those of one answer, or more where that takes no more memory. */
export function sharedRows(context: number, asked: number | undefined): number {
  return Math.max(context, asked ?? Math.min(SHARED_ROWS, STATES * context));
}

/**
 * Finds how many pages there is room for. There are always those of one answer at the context length,
 * which the plan counts already; and at most those of 16 answers of the default length, each behind a
 * prompt as long, or of one at the context length with guidance.
 * @param context tokens of prompt plus answer
 * @param each bytes of a page of the target, and of one of its draft
 * @param free bytes that the plan leaves
 */
export function sharedPlan(
  { answer, cache, cachePages, batchRows }: PlanRequest,
  context: number,
  each: { readonly target: number; readonly draft: number },
  free: number,
): SharedPlan {
  const rows = sharedRows(context, batchRows);
  const least = pagesFor(context);
  if (!cache) return { rows, pages: least, bytes: 0 };
  const one = Math.min(context, 2 * answer.maxTokens);
  const most = Math.max(2 * least, ANSWERS * pagesFor(one));
  const both = each.target + each.draft;
  const fitting = least + Math.floor(free / both);
  const pages = Math.max(least, cachePages ?? Math.min(most, fitting));
  return { rows, pages, bytes: (pages - least) * both };
}
