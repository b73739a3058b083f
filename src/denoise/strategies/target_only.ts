/** Strategies of the target alone: the plain schedule, and Fast-dLLM's rules. */

import { repeatsBlocks } from "./block_steps.ts";
import { denoiseBlocks } from "./blocks.ts";
import { denoise } from "../denoise.ts";
import { withoutProposals } from "./proposal_run.ts";
import { COUNT } from "../selection.ts";
import type { Strategy } from "../strategy_options.ts";

const USES = ["confidence", "cache", "refreshInterval", "suffixWindow"] as const;

/** `plain`: LLaDA's schedule; with a cache or a suffix window each block until it holds no mask. */
export const plainStrategy: Strategy = {
  lossless: true,
  needsDraft: false,
  uses: USES,
  async *run(sequence, { target }, options) {
    return withoutProposals(
      repeatsBlocks(options)
        ? yield* denoiseBlocks(sequence, target, { ...options, rule: COUNT })
        : yield* denoise([sequence], target, options),
    );
  },
};

/** `threshold`: what the target is sure enough of, a step at a time. */
export const thresholdStrategy: Strategy = {
  lossless: false,
  needsDraft: false,
  uses: [...USES, "threshold"],
  async *run(sequence, { target }, { threshold = 0.9, ...options }) {
    const rule = { kind: "threshold", threshold } as const;
    return withoutProposals(yield* denoiseBlocks(sequence, target, { ...options, rule }));
  },
};

/** `factor`: as many as are sure enough for their number. */
export const factorStrategy: Strategy = {
  lossless: false,
  needsDraft: false,
  uses: [...USES, "factor"],
  async *run(sequence, { target }, { factor = 1, ...options }) {
    const rule = { kind: "factor", factor } as const;
    return withoutProposals(yield* denoiseBlocks(sequence, target, { ...options, rule }));
  },
};
