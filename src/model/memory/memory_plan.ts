/**
 * Plans the precision and context length in which a target and its draft fit a GPU's memory.
 * Planning runs before any upload, with a dry run of loading and of one answer.
 */

import { GpuError } from "../../gpu/device.ts";
import { PAGE_POSITIONS } from "../batch/page_book.ts";
import { keptElement } from "../kv_cache.ts";
import { limitContext } from "../loading/config.ts";
import { binarySize } from "./binary_size.ts";
import type { DeviceLimits } from "./counting_gpu.ts";
import { fittingOptions, LEAST_CONTEXT, longestContext } from "./fitting_options.ts";
import { bytesOf, KnownMemory, type ModelMemory } from "./model_memory.ts";
import { isStored, type Pair, type PlanRequest, type WeightChoice } from "./plan_request.ts";
import { checkChoices, nameOf, pairsOf } from "./precision.ts";
import { type SharedPlan, sharedPlan } from "./shared_plan.ts";

/** A context that is shortened automatically holds at least this many answers of default length. */
const LEAST_ANSWERS = 2;
/** After memory ran out, a shorter context may take at most this share of the bytes that failed. */
const SHARE_OF_TOO_MANY = 0.9;

/** A memory plan: what is loaded, and the memory it takes. */
export interface MemoryPlan {
  /** The model that answers. */
  readonly target: ModelMemory;
  /** The model that proposes, if there is one. */
  readonly draft?: ModelMemory;
  /** Tokens of prompt plus answer that fit. */
  readonly context: number;
  /** Context that the folder or the user asks for; larger than `context` if it does not fit. */
  readonly fullContext: number;
  /** Peak of the bytes in use, by one answer at the context length. */
  readonly bytes: number;
  /** What requests that run side by side share, and the bytes that it takes beside `bytes`. */
  readonly shared: SharedPlan;
  /** Bytes that may be used; Infinity if not known. */
  readonly limit: number;
  /** Whether the user gave the limit. */
  readonly limited: boolean;
  /** Bytes of a larger plan that ran out of memory. */
  readonly tooMany?: number;
}

/**
 * Picks the largest precision in which target, draft and an answer at the context length fit. First
 * the draft's bits are reduced (as stored, q8, q4), then the target's with a draft that is no
 * larger. If even the smallest does not fit, the context is shortened to the longest that does,
 * unless the user named a context. Options that the user named are never changed.
 * @param known memory figures found before for the same device
 * @throws {GpuError} saying how many bytes the smallest choice lacks and which options would fit;
 * also for a kvCache that the device does not have
 * @throws {ConfigError} {@linkcode CheckpointError} when a folder is wrong
 */
export async function planMemory(
  device: DeviceLimits,
  request: PlanRequest,
  known?: KnownMemory,
): Promise<MemoryPlan> {
  using own = known ? undefined : new KnownMemory(device);
  const memory = known ?? own!;
  const limited = request.gpuMemory !== undefined;
  const limit = request.gpuMemory ?? request.available ?? Infinity;
  const { tooMany = Infinity } = request;
  checkChoices(request, (folder) => memory.config(folder));
  keptElement(device, request.kvCache);
  const fitting = ({ problem, bytes }: Attempt, share = 1) =>
    problem === undefined && bytes <= limit &&
    (tooMany === Infinity || (share < 1 ? bytes <= share * tooMany : bytes < tooMany));
  const plan = async (asked: PlanRequest, share?: number): Promise<Attempt> => {
    let last: Attempt | undefined;
    for (const pair of pairsOf(asked, (folder) => memory.config(folder))) {
      last = await attempt(pair, asked, memory);
      if (fitting(last, share)) break;
    }
    return last!;
  };
  const planned = (
    { target, draft, context, bytes }: Attempt,
    fullContext: number,
  ): MemoryPlan => ({
    target: target!,
    draft,
    context,
    fullContext,
    bytes,
    shared: sharedPlan(
      request,
      context,
      { target: target!.page, draft: draft?.page ?? 0 },
      // Memory that ran out has no room for more.
      (request.tooMany === undefined ? limit : bytes) - bytes,
    ),
    limit,
    limited,
    tooMany: request.tooMany,
  });

  const chosen = await plan(request);
  if (fitting(chosen)) return planned(chosen, chosen.context);
  if (request.context === undefined) {
    const least = LEAST_ANSWERS * request.answer.maxTokens;
    const at = (context: number) => plan({ ...request, context }, SHARE_OF_TOO_MANY);
    const fits = async (context: number) => fitting(await at(context), SHARE_OF_TOO_MANY);
    const context = await longestContext(chosen.context, fits, least);
    if (context !== undefined) return planned(await at(context), chosen.context);
  }
  const options = await fittingOptions(request, chosen.context, async (changes) => {
    const changed = await plan({ ...request, ...changes });
    return fitting(changed) ? changed.pair : undefined;
  });
  const what = limited ? "--gpu-memory" : `what ${device.name} has free`;
  const problem = chosen.problem ??
    `${described(chosen)} need ${binarySize(chosen.bytes)} of GPU memory, ` +
      `${binarySize(chosen.bytes - limit)} more than ${what} of ${binarySize(limit)}.`;
  throw new GpuError(
    `${problem} ` +
      (options.length > 0 ? `What would fit: ${options.join("; ")}.` : await least(request, plan)),
  );
}

/** Text about the memory of the smallest possible choice. */
async function least(
  request: PlanRequest,
  plan: (asked: PlanRequest) => Promise<Attempt>,
): Promise<string> {
  const all = { draft: undefined, weights: undefined, draftWeights: undefined };
  const attempt = await plan({ ...request, ...all, context: LEAST_CONTEXT });
  return `Nothing smaller would fit: ` +
    (attempt.problem ?? `even ${described(attempt)} takes ${binarySize(attempt.bytes)}.`);
}

/** One line about the plan. */
export function planLine(plan: MemoryPlan): string {
  const { limit, limited, bytes, tooMany, context, fullContext, shared } = plan;
  const of = limit === Infinity ? "" : ` of ${binarySize(limit)} ${limited ? "allowed" : "free"}`;
  const instead = tooMany === undefined ? "" : `there was none for ${binarySize(tooMany)}; `;
  const cut = context < fullContext ? ` (${fullContext} do not fit)` : "";
  const positions = PAGE_POSITIONS * shared.pages;
  const beside = shared.bytes > 0 ? `, which take ${binarySize(shared.bytes)} more` : "";
  return `GPU memory: ${instead}${described(plan)}${cut} take at most ${binarySize(bytes)}${of}. ` +
    `Requests share passes of ${shared.rows} rows, and kept keys and values of ${positions} ` +
    `positions${beside}.`;
}

/** The memory of a pair of choices. */
export interface Attempt {
  readonly pair: Pair;
  readonly request: PlanRequest;
  readonly target?: ModelMemory;
  readonly draft?: ModelMemory;
  readonly context: number;
  readonly bytes: number;
  /** Why the device cannot hold it, even with enough memory. */
  readonly problem?: string;
}

/** Computes the memory of target and draft, kept as `pair` says, at the request's context. */
export async function attempt(
  pair: Pair,
  request: PlanRequest,
  known: KnownMemory,
): Promise<Attempt> {
  const context = limitContext(known.config(request.target), request.context).maxSequenceLength;
  const question = { ...request, context };
  try {
    const target = await known.model(request.target, pair.target, false, question);
    const draft = request.draft === undefined
      ? undefined
      : await known.model(request.draft, pair.draft!, true, question);
    const bytes = bytesOf(draft ? [target, draft] : [target]);
    return { pair, request, target, draft, context, bytes };
  } catch (error) {
    if (!(error instanceof GpuError)) throw error;
    return { pair, request, context, bytes: Infinity, problem: error.message };
  }
}

function described({ target, draft, context, ...rest }: MemoryPlan | Attempt): string {
  const { pair, request } = "pair" in rest ? rest : {};
  const name = (folder: string, choice: WeightChoice) =>
    `${nameOf(folder)} ${isStored(choice) ? "as stored" : `in ${choice}`}`;
  const models = [name(target?.folder ?? request!.target, target?.choice ?? pair!.target)];
  if (draft) models.push(name(draft.folder, draft.choice));
  return `${models.join(" and ")} at ${context} tokens of context`;
}
