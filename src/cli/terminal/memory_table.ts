/** The memory plan as `unmask info` shows it. */

import Table from "cli-table3";
import { defaultLengths } from "../../engine/generation_plan.ts";
import { draftFolder } from "../../engine/load.ts";
import { type Gpu, GpuError } from "../../gpu/device.ts";
import { limitContext, readConfig, readGenerationDefaults } from "../../model/loading/config.ts";
import { keptElement } from "../../model/kv_cache.ts";
import { freeHostBytes } from "../../model/memory/host_memory.ts";
import {
  binarySize,
  type ModelMemory,
  planLine,
  planMemory,
} from "../../model/memory/memory_plan.ts";
import type { MemoryOptions } from "../../model/memory/plan_request.ts";
import { UNLIMITED } from "../../model/memory/dry_run.ts";
import { memoryOf } from "../options.ts";

/** A plan as `--json` prints it, or why there is none. */
type PlanDescription = Awaited<ReturnType<typeof describePlan>>;

/**
 * What loading a folder would choose.
 * @param gpu undefined: limits and free memory are not known
 */
export async function describePlan(
  dir: string,
  draft: string | false | undefined,
  gpu: Gpu | undefined,
  options: MemoryOptions,
) {
  const config = readConfig(dir);
  try {
    const plan = await planMemory(gpu ?? UNLIMITED, {
      ...memoryOf(options),
      target: dir,
      draft: draftFolder(dir, draft),
      answer: defaultLengths(
        readGenerationDefaults(dir, config),
        limitContext(config, options.context),
      ),
      cache: true,
      available: gpu && freeHostBytes(gpu),
    });
    const { target, draft: second, context, bytes, limit } = plan;
    return {
      line: planLine(plan),
      context_tokens: context,
      kv_cache: keptElement(gpu ?? UNLIMITED, options.kvCache),
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

function described({ choice, weights, cache, activations, staging }: ModelMemory) {
  return {
    weights: choice,
    weight_bytes: weights,
    cache_bytes: cache,
    activation_bytes: activations,
    staging_bytes: staging,
  };
}

/** A table of the plan, and the line that loading prints. */
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

function nameOf(choice: string): string {
  return choice === "stored" ? "as stored" : choice;
}

/** A table without rules between rows. */
export function plainTable() {
  const noRules = { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" };
  return new Table({ chars: noRules, style: { head: [], border: [] } });
}
