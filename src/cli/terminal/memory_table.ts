/** Memory tables of `unmask info`: the plan that loading would choose, and the alternatives. */

import { type Gpu, GpuError } from "../../gpu/device.ts";
import { keptElement } from "../../model/kv_cache.ts";
import { limitContext } from "../../model/loading/config.ts";
import { planLine, planMemory } from "../../model/memory/memory_plan.ts";
import type { KnownMemory, ModelMemory } from "../../model/memory/model_memory.ts";
import { binarySize } from "../../model/memory/binary_size.ts";
import { isStored, type PlanRequest, type WeightChoice } from "../../model/memory/plan_request.ts";
import { memoryChoices } from "../../model/memory/choices.ts";
import { UNLIMITED } from "../../model/memory/counting_gpu.ts";
import { LEAST_CONTEXT } from "../../model/memory/fitting_options.ts";
import { FittedTable } from "../../bench/fitted_table.ts";

/** A plan as `--json` prints it, or the error that says why there is none. */
type PlanDescription = Awaited<ReturnType<typeof describePlan>>;

/** Context lengths in the table, as shares of the longest. */
const CONTEXT_SHARES = [1 / 8, 1 / 4, 1 / 2, 1];

/** Describes the plan that loading would choose. */
export async function describePlan(
  gpu: Gpu | undefined,
  request: PlanRequest,
  known: KnownMemory,
) {
  try {
    const plan = await planMemory(gpu ?? UNLIMITED, request, known);
    const { target, draft: second, context, fullContext, bytes, limit } = plan;
    return {
      line: planLine(plan),
      context_tokens: context,
      full_context_tokens: fullContext,
      kv_cache: keptElement(gpu ?? UNLIMITED, request.kvCache),
      target: described(target),
      draft: second ? described(second) : null,
      bytes,
      limit_bytes: Number.isFinite(limit) ? limit : null,
    };
  } catch (error) {
    if (!(error instanceof GpuError)) throw error;
    return { error: error.message };
  }
}

/**
 * Describes the memory that each precision takes at several contexts, including the planned one,
 * and whether it fits: null if the free memory is not known.
 */
export async function describeChoices(
  gpu: Gpu | undefined,
  request: PlanRequest,
  planned: number | undefined,
  known: KnownMemory,
) {
  const { maxSequenceLength } = limitContext(known.config(request.target), request.context);
  const shares = CONTEXT_SHARES.map((share) => Math.ceil(share * maxSequenceLength));
  const contexts = [...new Set(planned === undefined ? shares : [...shares, planned])]
    .filter((tokens) => tokens >= Math.min(LEAST_CONTEXT, maxSequenceLength))
    .sort((a, b) => a - b);
  const limit = request.gpuMemory ?? request.available;
  const choices = await memoryChoices(gpu ?? UNLIMITED, request, contexts, known);
  return choices.map(({ weights, draftWeights, problem, bytes, ...row }) => ({
    weights,
    draft_weights: draftWeights ?? null,
    context_tokens: row.context,
    weight_bytes: row.weightBytes,
    cache_bytes: row.cacheBytes,
    bytes: problem === undefined ? bytes : null,
    fits: problem !== undefined ? false : limit === undefined ? null : bytes <= limit,
    problem,
  }));
}

function described({ choice, weights, cache, activations, staging }: ModelMemory) {
  return {
    weights: choice,
    weight_bytes: weights,
    cache_bytes: cache,
    activation_bytes: activations,
    staging_bytes: staging,
  };
}

/** The plan as a table, and the line that loading prints. */
export function planTable(plan: PlanDescription): string {
  const table = plainTable();
  if (plan.error !== undefined) {
    table.push(["memory plan", plan.error]);
    return table.toString();
  }
  const { target, draft, context_tokens, kv_cache, bytes, limit_bytes } = plan;
  const row = (name: string, of: (model: ReturnType<typeof described>) => string) => [
    name,
    of(target),
    ...draft ? [of(draft)] : [],
  ];
  table.push(
    row(`memory at ${context_tokens} tokens`, (model) => model === target ? "target" : "draft"),
    row("weights", (model) => `${binarySize(model.weight_bytes)}, ${nameOf(model.weights)}`),
    row(`kept keys and values, ${kv_cache}`, (model) => binarySize(model.cache_bytes)),
    row("activations of an answer", (model) => binarySize(model.activation_bytes)),
    row("only while loading", (model) => binarySize(model.staging_bytes)),
  );
  const limit = limit_bytes === null ? "no limit known" : `of ${binarySize(limit_bytes)}`;
  const together = [binarySize(bytes), limit];
  table.push(["most at any time", ...draft ? together : [together.join(", ")]]);
  return table.toString();
}

function nameOf(choice: WeightChoice): string {
  return isStored(choice) ? "as stored" : choice;
}

/**
 * The choices as a table, one row per precision and context.
 * @param limit bytes that may be used; undefined if not known
 */
export function choicesTable(
  choices: Awaited<ReturnType<typeof describeChoices>>,
  limit: number | undefined,
): string {
  const room = limit === undefined ? [] : [`in ${binarySize(limit)}`];
  const table = plainTable([
    "precision",
    "context",
    "weights",
    "keys and values",
    "all",
    ...room,
  ]);
  let before: string | undefined;
  for (const row of choices) {
    const { weights, draft_weights: draft, bytes, fits } = row;
    const name = draft === null || draft === weights
      ? nameOf(weights)
      : `${nameOf(weights)}, draft ${nameOf(draft)}`;
    table.push([
      name === before ? "" : name,
      row.context_tokens,
      binarySize(row.weight_bytes),
      binarySize(row.cache_bytes),
      bytes === null ? "too long for the adapter" : binarySize(bytes),
      ...room.length > 0 ? [fits ? "fits" : "no"] : [],
    ]);
    before = name;
  }
  return table.toString();
}

/** A table without rules between rows. */
export function plainTable(head: string[] = []): FittedTable {
  return new FittedTable({ head, rules: "none" });
}
