/** How many pages of keys and values a request takes. */

import { mayKeepKeys, type StrategyName } from "../../denoise/strategy.ts";
import type { GenerationPlan } from "../generation_plan.ts";
import type { Wish } from "./admission.ts";

/** Strategies whose cache is the draft's alone. */
const DRAFT_KEEPS: readonly StrategyName[] = ["commit_verify"];
/** Strategies that may keep keys and values of a draft. */
const MAY_DRAFT: readonly StrategyName[] = ["lossless", "commit_verify", "auto"];

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
  if (!mayKeepKeys(plan)) return { pages: 0 };
  const { strategy, cfgScale, promptIds, genLength } = plan;
  const of = ({ positions }: Pages) =>
    Math.ceil((promptIds.length + genLength) / positions) * (cfgScale > 0 ? 2 : 1);
  return {
    pages: DRAFT_KEEPS.includes(strategy) ? 0 : of(target),
    draftPages: draft && MAY_DRAFT.includes(strategy) ? of(draft) : 0,
  };
}
