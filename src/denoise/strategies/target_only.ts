/** Strategies without a draft or proposals: the plain schedule, and Fast-dLLM's rules. */

import { repeatsBlocks } from "./block_steps.ts";
import { denoiseBlocks } from "./blocks.ts";
import { denoise } from "../denoise.ts";
import { withoutProposals } from "./proposal_run.ts";
import { COUNT } from "../selection.ts";
import type { Strategy } from "../strategy_options.ts";

const USES = ["confidence", "cache", "refreshInterval", "suffixWindow", "sampling"] as const;

/**
 * `plain`: LLaDA's schedule. With a cache or suffix window, or where part of the answer is given, it
 * repeats a block until it has no mask.
 */
export const plainStrategy: Strategy = {
  lossless: true,
  needsDraft: false,
  uses: USES,
  async *run(sequence, { target }, options) {
    return withoutProposals(
      repeatsBlocks(sequence, options)
        ? yield* denoiseBlocks(sequence, target, { ...options, rule: COUNT })
        : yield* denoise([sequence], target, options),
    );
  },
};

/** `threshold`: every step commits all tokens of at least a given confidence. */
export const thresholdStrategy: Strategy = {
  lossless: false,
  needsDraft: false,
  uses: [...USES, "threshold"],
  async *run(sequence, { target }, { threshold = 0.9, ...options }) {
    const rule = { kind: "threshold", threshold } as const;
    return withoutProposals(yield* denoiseBlocks(sequence, target, { ...options, rule }));
  },
};

/** `factor`: every step commits as many tokens as possible; more tokens need more confidence. */
export const factorStrategy: Strategy = {
  lossless: false,
  needsDraft: false,
  uses: [...USES, "factor"],
  async *run(sequence, { target }, { factor = 1, ...options }) {
    const rule = { kind: "factor", factor } as const;
    return withoutProposals(yield* denoiseBlocks(sequence, target, { ...options, rule }));
  },
};
