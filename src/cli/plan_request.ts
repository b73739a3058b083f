/** Turns a command's options into a request for a memory plan. */

import { defaultLengths, folderDefaults } from "../engine/generation_plan.ts";
import { draftFolder } from "../engine/load.ts";
import type { Gpu } from "../gpu/device.ts";
import { limitContext, readConfig } from "../model/loading/config.ts";
import { freeHostBytes } from "../model/memory/host_memory.ts";
import type { PlanRequest } from "../model/memory/plan_request.ts";
import { draftOf, type MemoryFlags, memoryOf } from "./options.ts";

/**
 * The request that loading a folder plans with.
 * @param gpu device whose limits and free memory apply; undefined when they are not known
 */
export function planRequest(
  flags: MemoryFlags & { readonly model: string; readonly draft?: string | boolean },
  gpu: Gpu | undefined,
): PlanRequest {
  const { model: target } = flags;
  const config = readConfig(target);
  return {
    ...memoryOf(flags),
    target,
    draft: draftFolder(target, draftOf(flags)),
    answer: defaultLengths(
      folderDefaults(target, config),
      limitContext(config, flags.context),
    ),
    cache: true,
    available: gpu && freeHostBytes(gpu),
  };
}
