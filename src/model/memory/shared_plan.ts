/** What requests that run side by side share of a model: rows of a pass, pages of keys and values. */

import type { Gpu } from "../../gpu/device.ts";
import { elementBytes } from "../../gpu/kernel.ts";
import { PAGE_POSITIONS, pagesFor } from "../batch/page_book.ts";
import { SHARED_ROWS } from "../batch/pass_job.ts";
import { headShape } from "../forward_pass.ts";
import { keptElement } from "../kv_cache.ts";
import type { ModelConfig } from "../model_config.ts";
import type { PlanRequest } from "./plan_request.ts";

/** States in a round of proposals, unless a request asks for more: one answer may have as many rows. */
const STATES = 5;
/** Answers side by side for which there are pages, if there is memory. */
const ANSWERS = 16;

/** Rows and pages that requests share. */
export interface SharedPlan {
  /** Rows of one pass of the target. */
  readonly rows: number;
  /** Pages of keys and values of the target; of a draft there are as many. */
  readonly pages: number;
  /** Pages of states of the target, which have keys and values of their own while they are verified. */
  readonly statePages: number;
  /** Bytes of pages beyond those of one answer at the context length and of its states. */
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

/** Rows that a shared pass may have: those of one answer, or of a round of states of a short one. */
export function sharedRows(context: number, asked: number | undefined): number {
  return Math.max(context, asked ?? Math.min(SHARED_ROWS, STATES * context));
}

/** States that one answer at the context length may have verified in a pass. */
function statesOf({ batchRows }: Pick<PlanRequest, "batchRows">, context: number): number {
  return Math.max(STATES, Math.ceil(sharedRows(context, batchRows) / context));
}

/** Pages of states of an answer, which run a block each; by default of one: more take turns where they must. */
export function statePages(
  { answer }: Pick<PlanRequest, "answer">,
  context: number,
  states = 1,
): number {
  return pagesFor(states * Math.min(answer.blockLength, answer.maxTokens, context - 1));
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
  request: PlanRequest,
  context: number,
  each: { readonly target: number; readonly draft: number },
  free: number,
): SharedPlan {
  const { answer, cache, cachePages, batchRows } = request;
  const rows = sharedRows(context, batchRows);
  const least = pagesFor(context);
  const leastStates = statePages(request, context);
  if (!cache) return { rows, pages: least, statePages: leastStates, bytes: 0 };
  const one = Math.min(context, 2 * answer.maxTokens);
  const most = Math.max(2 * least, ANSWERS * pagesFor(one));
  const both = each.target + each.draft;
  // States of one round first, then pages, then states of several answers: what there is no memory
  // for takes turns.
  const room = (bytes: number) => Math.max(0, Math.floor(bytes / each.target));
  const round = statePages(request, context, statesOf(request, context)) - leastStates;
  const ofRound = Math.min(round, room(free));
  const left = free - ofRound * each.target;
  const fitting = least + Math.floor(left / both);
  const pages = Math.max(least, cachePages ?? Math.min(most, fitting));
  const wanted = pagesFor(Math.min(rows, batchRows ?? SHARED_ROWS)) - leastStates;
  const beyond = Math.min(Math.max(0, wanted - ofRound), room(left - (pages - least) * both));
  const more = ofRound + beyond;
  const bytes = (pages - least) * both;
  return { rows, pages, statePages: leastStates + more, bytes: bytes + more * each.target };
}
