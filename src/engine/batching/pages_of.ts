/** How many pages of keys and values a request takes. */

import { keepers } from "../../denoise/strategy.ts";
import type { GenerationPlan } from "../generation_plan.ts";
import type { Wish } from "./admission.ts";

/** What of a pool counts. */
type Pages = { readonly positions: number };

/** The pages that a plan may take at most, of the target's and of the draft's. */
export function pagesOf(
  plan: Pick<
    GenerationPlan,
    "strategy" | "cache" | "quality" | "cfgScale" | "promptIds" | "genLength"
  >,
  target: Pages,
  draft?: Pages,
): Pick<Wish, "pages" | "draftPages"> {
  const { strategy, cfgScale, promptIds, genLength } = plan;
  const kept = keepers(strategy, plan);
  const of = ({ positions }: Pages) =>
    Math.ceil((promptIds.length + genLength) / positions) * (cfgScale > 0 ? 2 : 1);
  return {
    pages: kept.includes("target") ? of(target) : 0,
    draftPages: draft && kept.includes("draft") ? of(draft) : 0,
  };
}
