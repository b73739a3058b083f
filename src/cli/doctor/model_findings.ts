/** What `unmask doctor` finds of models: the one it is asked about, and its tuning. */

import { cachedRepositories } from "../../weights/hub/cache.ts";
import { hubCache } from "../../weights/hub/settings.ts";
import { modelId } from "../../engine/load.ts";
import { defaultTuningFile, readTuning } from "../../engine/tuning_file.ts";
import { type Gpu } from "../../gpu/device.ts";
import { binarySize } from "../../model/memory/binary_size.ts";
import { UNLIMITED } from "../../model/memory/counting_gpu.ts";
import { KnownMemory } from "../../model/memory/model_memory.ts";
import { loadChatTemplate } from "../../text/chat_template.ts";
import { loadTokenizer } from "../../text/tokenizer.ts";
import { describeTuning } from "../info.ts";
import { placeOf } from "../model_place.ts";
import { type MemoryFlags } from "../options.ts";
import { planRequest } from "../plan_request.ts";
import { describePlan } from "../terminal/memory_table.ts";
import { type Finding, fine, problem, warning } from "./finding.ts";

/** Names that are listed. */
const SHOWN = 5;

/** Which model, and how it would be loaded. */
export interface ModelFlags extends MemoryFlags {
  readonly model: string;
  readonly draft?: string | boolean;
}

/**
 * Reads a model's files, but not its weights, and plans its memory.
 * @param gpu the device; without one, only the folder is looked at
 */
export async function modelFindings(named: ModelFlags, gpu: Gpu | undefined): Promise<Finding[]> {
  const what = "model";
  using known = new KnownMemory(gpu ?? UNLIMITED);
  try {
    const { draft } = named;
    const flags = {
      ...named,
      model: placeOf(named.model),
      draft: typeof draft === "string" ? placeOf(draft) : draft,
    };
    const request = planRequest(flags, gpu);
    const { embeddingSize } = known.config(flags.model);
    loadTokenizer(flags.model, embeddingSize);
    loadChatTemplate(flags.model);
    const plan = await describePlan(gpu, request, known);
    const id = modelId(flags.model);
    if (plan.error !== undefined) {
      const shown = `unmask info --model ${flags.model}`;
      return [problem(what, `${id}: ${plan.error}`, `${shown} shows what would fit.`)];
    }
    const { bytes, limit_bytes: limit } = plan;
    const of = limit === null ? "" : ` of ${binarySize(limit)}`;
    const found = fine(what, `${id} is whole, and takes at most ${binarySize(bytes)}${of}`);
    return gpu ? [found, tuningFinding(await describeTuning(gpu, request, known))] : [found];
  } catch (error) {
    return [
      problem(
        what,
        error instanceof Error ? error.message : String(error),
        "Name a model's folder with --model, or leave it out for the embedded one.",
      ),
    ];
  }
}

/** The models that lie in the cache of the Hugging Face hub, beside the embedded pair. */
export function placesFinding(): Finding {
  const cache = hubCache();
  const names = cache === undefined
    ? []
    : cachedRepositories(cache).map(({ repo, snapshots }) =>
      snapshots.some(({ missing }) => missing.length === 0) ? repo : `${repo} (incomplete)`
    );
  const list = names.length > SHOWN ? [...names.slice(0, SHOWN), "others"] : names;
  const cached = names.length === 0 ? "none in the hub cache" : list.join(", ");
  return fine("models", `the embedded pair; ${cached}`);
}

function tuningFinding(tuning: Awaited<ReturnType<typeof describeTuning>>): Finding {
  const what = "tuning";
  const file = defaultTuningFile();
  const broken = file === undefined ? undefined : readTuning(file).warning;
  if (broken !== undefined) {
    const [found] = broken.split(". ");
    return warning(what, found, "Tile sizes follow the fixed rule; unmask tune writes it anew.");
  }
  if (!tuning || tuning.matrices === 0) return fine(what, "nothing to tune on this adapter");
  const { tuned, matrices } = tuning;
  const kept = `${tuned} of ${matrices} kinds of matrices are tuned for this adapter`;
  return fine(what, tuned < matrices ? `${kept}; unmask tune may find faster tiles` : kept);
}
