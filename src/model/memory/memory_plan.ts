/**
 * What a target and its draft would take of a GPU's memory, and in which precision they fit. Planned
 * before anything is uploaded, by a dry run of what loading and an answer allot.
 */

import { GpuError } from "../../gpu/device.ts";
import type { Arithmetic } from "../../gpu/kernel.ts";
import { GROUP_SIZES, QUANTISED, quantised } from "../../quant/scheme.ts";
import { openCheckpoint } from "../../weights/checkpoint.ts";
import { limitContext, type ModelConfig, readConfig } from "../loading/config.ts";
import { fittingOptions, LEAST_CONTEXT } from "./fitting_options.ts";
import { type DeviceLimits, type DryRun, dryRun } from "./dry_run.ts";
import {
  type MemoryOptions,
  type Pair,
  type PlanRequest,
  WEIGHT_CHOICES,
  type WeightChoice,
} from "./plan_request.ts";
import { keptElement } from "../kv_cache.ts";
import { checkTensors } from "../loading/tensors.ts";
import type { WeightPrecision } from "../loading/upload.ts";

/** Bytes of one model on the GPU. */
export interface ModelMemory {
  /** Path of the model folder. */
  readonly folder: string;
  /** How its linear layers are kept. */
  readonly choice: WeightChoice;
  /** All weights and the rotation table. */
  readonly weights: number;
  /** Keys and values that are kept, at the context length. */
  readonly cache: number;
  /** What else an answer at the context length takes. */
  readonly activations: number;
  /** What is in use only while loading. */
  readonly staging: number;
}

/** The bytes alone. */
export type ModelBytes = Omit<ModelMemory, "folder" | "choice">;

/** What is loaded and what it takes. */
export interface MemoryPlan {
  /** The model that answers. */
  readonly target: ModelMemory;
  /** The one that proposes, where there is one. */
  readonly draft?: ModelMemory;
  /** Tokens of prompt and answer that there is room for. */
  readonly context: number;
  /** The most bytes that are in use at any time. */
  readonly bytes: number;
  /** Bytes that may be used; Infinity where nobody knows. */
  readonly limit: number;
  /** Whether the user named the limit. */
  readonly limited: boolean;
  /** Bytes of a larger plan for which there turned out to be no memory. */
  readonly tooMany?: number;
}

/** States that a round of proposals has at most unless a request asks for more. */
const STATES = 5;

/** How a choice is told to the loader. */
export function precisionOf(
  choice: WeightChoice | undefined,
  { arithmetic, group = GROUP_SIZES[0], head = false }: Pick<
    MemoryOptions,
    "arithmetic" | "group" | "head"
  >,
  config: ModelConfig,
): WeightPrecision {
  // A folder that is quantised so already has groups of its own size.
  const stored = choice === undefined || choice === "stored" ||
    choice === config.quantisation?.scheme.name;
  const layers = stored ? undefined : quantised(choice, group);
  return { layers, head: head ? layers : undefined, arithmetic };
}

/**
 * Picks the largest precision in which target, draft and an answer at the context length fit: first
 * the draft gives way, from as stored to q8 to q4, then the target with a draft that is no larger.
 * Whatever is named is kept.
 * @throws {GpuError} saying by how much the smallest choice falls short, and which options would fit;
 * for a kvCache that the device does not have
 * @throws {ConfigError} {@linkcode CheckpointError} when a folder is not as it must be
 */
export async function planMemory(
  device: DeviceLimits,
  request: PlanRequest,
): Promise<MemoryPlan> {
  const limited = request.gpuMemory !== undefined;
  const limit = request.gpuMemory ?? request.available ?? Infinity;
  const { tooMany = Infinity } = request;
  checkChoices(request);
  keptElement(device, request.kvCache);
  const known = new Map<string, Promise<ModelMemory>>();
  const fitting = ({ problem, bytes }: Attempt) =>
    problem === undefined && bytes <= limit && bytes < tooMany;
  const plan = async (asked: PlanRequest): Promise<Attempt> => {
    let last: Attempt | undefined;
    for (const pair of pairsOf(asked)) {
      last = await attempt(pair, asked, device, known);
      if (fitting(last)) break;
    }
    return last!;
  };
  const chosen = await plan(request);
  if (fitting(chosen)) {
    const { target, draft, context, bytes } = chosen;
    return {
      target: target!,
      draft,
      context,
      bytes,
      limit,
      limited,
      tooMany: request.tooMany,
    };
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

/** @throws {GpuError} for arithmetic that the named weights do not have */
function checkChoices({ target, draft, weights, draftWeights, arithmetic }: PlanRequest): void {
  if (arithmetic !== "int8") return;
  const named = [[target, weights, "--weights"], [draft, draftWeights, "--draft-weights"]] as const;
  for (const [folder, choice, option] of named) {
    if (folder === undefined || choice !== "stored" || readConfig(folder).quantisation) continue;
    throw new GpuError(
      `Arithmetic int8 multiplies quantised weights, and ${nameOf(folder)} as stored has none. ` +
        `Ask for ${option} q8 or q4, or for arithmetic f32.`,
    );
  }
}

/** One line that says what was chosen. */
export function planLine(plan: MemoryPlan): string {
  const { limit, limited, bytes, tooMany } = plan;
  const of = limit === Infinity ? "" : ` of ${binarySize(limit)} ${limited ? "allowed" : "free"}`;
  const instead = tooMany === undefined ? "" : `there was none for ${binarySize(tooMany)}; `;
  return `GPU memory: ${instead}${described(plan)} take at most ${binarySize(bytes)}${of}.`;
}

/** Bytes in the largest unit that keeps them above 1. */
export function binarySize(bytes: number): string {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  const unit = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  return `${unit === 0 ? bytes : (bytes / 1024 ** unit).toFixed(1)} ${units[unit]}`;
}

/** What a pair of choices comes to. */
interface Attempt {
  readonly pair: Pair;
  readonly request: PlanRequest;
  readonly target?: ModelMemory;
  readonly draft?: ModelMemory;
  readonly context: number;
  readonly bytes: number;
  /** Why the device has no room for it, whatever memory there is. */
  readonly problem?: string;
}

/** Pairs in the order in which they are tried. */
function* pairsOf(
  { target, draft, weights, draftWeights, arithmetic }: PlanRequest,
): Generator<Pair> {
  for (const choice of choicesOf(target, weights, arithmetic)) {
    if (draft === undefined) yield { target: choice };
    else {
      const largest = WEIGHT_CHOICES.indexOf(choice);
      const choices = choicesOf(draft, draftWeights, arithmetic);
      const smaller = choices.filter((other) => WEIGHT_CHOICES.indexOf(other) >= largest);
      const allowed = draftWeights || smaller.length === 0 ? choices : smaller;
      for (const other of allowed) yield { target: choice, draft: other };
    }
  }
}

/** A folder that is quantised loads as it is stored. */
function choicesOf(
  folder: string,
  named: WeightChoice | undefined,
  arithmetic: Arithmetic | undefined,
): readonly WeightChoice[] {
  if (named) return [named];
  if (readConfig(folder).quantisation) return ["stored"];
  return arithmetic === "int8" ? QUANTISED : WEIGHT_CHOICES;
}

async function attempt(
  pair: Pair,
  request: PlanRequest,
  device: DeviceLimits,
  known: Map<string, Promise<ModelMemory>>,
): Promise<Attempt> {
  const context = limitContext(readConfig(request.target), request.context).maxSequenceLength;
  const memory = (folder: string, choice: WeightChoice, alone: boolean) => {
    const key = JSON.stringify([folder, choice, context, alone]);
    const found = known.get(key) ??
      memoryOf(folder, choice, alone, { ...request, context }, device);
    known.set(key, found);
    return found;
  };
  try {
    const target = await memory(request.target, pair.target, false);
    const draft = request.draft === undefined
      ? undefined
      : await memory(request.draft, pair.draft!, true);
    return {
      pair,
      request,
      target,
      draft,
      context,
      bytes: bytesOf(draft ? [target, draft] : [target]),
    };
  } catch (error) {
    if (!(error instanceof GpuError)) throw error;
    return { pair, request, context, bytes: Infinity, problem: error.message };
  }
}

/** The most bytes that are in use at any time: models are loaded one behind the other, then all answer. */
export function bytesOf(models: readonly ModelBytes[]): number {
  const sum = (of: (model: ModelBytes) => number) =>
    models.reduce((total, model) => total + of(model), 0);
  const staging = Math.max(...models.map(({ staging }) => staging));
  return sum(({ weights }) => weights) +
    Math.max(staging, sum(({ cache, activations }) => cache + activations));
}

async function memoryOf(
  folder: string,
  choice: WeightChoice,
  isDraft: boolean,
  request: PlanRequest & { readonly context: number },
  device: DeviceLimits,
): Promise<ModelMemory> {
  const own = readConfig(folder);
  const context = Math.min(request.context, own.maxSequenceLength);
  const config = limitContext(own, context);
  using checkpoint = openCheckpoint(folder);
  checkTensors(config, checkpoint);
  const precision = precisionOf(choice, request, config);
  const planned = await dryRun(config, checkpoint, device, precision);
  const { activations, cache } = await answerMemory(planned, context, isDraft, request);
  const { weightBytes: weights, loadingBytes: staging } = planned;
  return { folder, choice, weights, cache, activations, staging };
}

/** What an answer takes at the context length. A draft keeps no keys and verifies nothing. */
async function answerMemory(
  planned: DryRun,
  context: number,
  isDraft: boolean,
  request: PlanRequest,
): Promise<{ readonly activations: number; readonly cache: number }> {
  const maxTokens = Math.min(request.answer.maxTokens, context - 1);
  const shape = {
    promptTokens: context - maxTokens,
    maxTokens,
    blockLength: Math.min(request.answer.blockLength, maxTokens),
  };
  const states = isDraft ? undefined : STATES;
  const activations = await planned.activationBytes({ ...shape, states });
  if (isDraft || !request.cache) return { activations, cache: 0 };
  const kept = await planned.activationBytes({
    ...shape,
    states,
    cache: true,
    kvCache: request.kvCache,
  });
  return { activations, cache: kept - activations };
}

function described({ target, draft, context, ...rest }: MemoryPlan | Attempt): string {
  const { pair, request } = "pair" in rest ? rest : {};
  const name = (folder: string, choice: WeightChoice) =>
    `${nameOf(folder)} ${choice === "stored" ? "as stored" : `in ${choice}`}`;
  const models = [name(target?.folder ?? request!.target, target?.choice ?? pair!.target)];
  if (draft) models.push(name(draft.folder, draft.choice));
  return `${models.join(" and ")} at ${context} tokens of context`;
}

function nameOf(folder: string): string {
  return folder.split(/[/\\]/).findLast((part) => part !== "") ?? folder;
}
