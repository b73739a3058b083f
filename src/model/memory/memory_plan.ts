/**
 * In which precision, and with how long a context, a target and its draft fit a GPU's memory. Planned
 * before anything is uploaded, by a dry run of what loading and an answer allot.
 */

import { GpuError } from "../../gpu/device.ts";
import { keptElement } from "../kv_cache.ts";
import { limitContext } from "../loading/config.ts";
import { binarySize } from "./binary_size.ts";
import type { DeviceLimits } from "./dry_run.ts";
import { fittingOptions, LEAST_CONTEXT, longestContext } from "./fitting_options.ts";
import { bytesOf, KnownMemory, type ModelMemory } from "./model_memory.ts";
import { isStored, type Pair, type PlanRequest, type WeightChoice } from "./plan_request.ts";
import { checkChoices, nameOf, pairsOf } from "./precision.ts";

/** A context that is cut by itself holds at least this many of the answers that are usual. */
const LEAST_ANSWERS = 2;
/** After memory ran out, a shorter context must take at most this share of what was too many. */
const SHARE_OF_TOO_MANY = 0.9;

/** What is loaded and what it takes. */
export interface MemoryPlan {
  /** The model that answers. */
  readonly target: ModelMemory;
  /** The one that proposes, where there is one. */
  readonly draft?: ModelMemory;
  /** Tokens of prompt and answer that there is room for. */
  readonly context: number;
  /** Tokens that the folder, or the user, asks for: more than `context` where only that fits. */
  readonly fullContext: number;
  /** The most bytes that are in use at any time. */
  readonly bytes: number;
  /** Bytes that may be used; Infinity where nobody knows. */
  readonly limit: number;
  /** Whether the user named the limit. */
  readonly limited: boolean;
  /** Bytes of a larger plan for which there turned out to be no memory. */
  readonly tooMany?: number;
}

/**
 * Picks the largest precision in which target, draft and an answer at the context length fit: first
 * the draft gives way, from as stored to q8 to q4, then the target with a draft that is no larger.
 * Where even the smallest does not fit, the context is cut to the longest that does, unless the user
 * named one. Whatever is named is kept.
 * @param known what was asked before of the same device
 * @throws {GpuError} saying by how much the smallest choice falls short, and which options would fit;
 * for a kvCache that the device does not have
 * @throws {ConfigError} {@linkcode CheckpointError} when a folder is not as it must be
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

/** Says what the least that can be asked for would take. */
async function least(
  request: PlanRequest,
  plan: (asked: PlanRequest) => Promise<Attempt>,
): Promise<string> {
  const all = { draft: undefined, weights: undefined, draftWeights: undefined };
  const attempt = await plan({ ...request, ...all, context: LEAST_CONTEXT });
  return `Nothing smaller would fit: ` +
    (attempt.problem ?? `even ${described(attempt)} takes ${binarySize(attempt.bytes)}.`);
}

/** One line that says what was chosen. */
export function planLine(plan: MemoryPlan): string {
  const { limit, limited, bytes, tooMany, context, fullContext } = plan;
  const of = limit === Infinity ? "" : ` of ${binarySize(limit)} ${limited ? "allowed" : "free"}`;
  const instead = tooMany === undefined ? "" : `there was none for ${binarySize(tooMany)}; `;
  const cut = context < fullContext ? ` (${fullContext} do not fit)` : "";
  return `GPU memory: ${instead}${described(plan)}${cut} take at most ${binarySize(bytes)}${of}.`;
}

/** What a pair of choices comes to. */
export interface Attempt {
  readonly pair: Pair;
  readonly request: PlanRequest;
  readonly target?: ModelMemory;
  readonly draft?: ModelMemory;
  readonly context: number;
  readonly bytes: number;
  /** Why the device has no room for it, whatever memory there is. */
  readonly problem?: string;
}

/** What target and draft take, kept as `pair` says, at the request's context. */
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
