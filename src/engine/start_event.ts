/** The first event of an answer: what was planned, and what its request wants to know of the prompt. */

import { GREEDY, type Predictor } from "../denoise/predictor.ts";
import { NO_CACHE } from "../denoise/cache_plan.ts";
import { NO_ACCEPTANCE } from "../denoise/strategies/acceptance.ts";
import type { DenoiseStep } from "../denoise/denoise_step.ts";
import type { Sequence } from "../denoise/sequence.ts";
import type { StrategyResult } from "../denoise/strategy.ts";
import type { PromptToken } from "./answer_fields.ts";
import { likelyToken, type TokenTexts } from "./answer_tokens.ts";
import type { GenerationPlan } from "./generation_plan.ts";
import type { GenerateEvent } from "./request.ts";

/** What of a start does not stand in its plan. */
export interface Started {
  readonly promptIds: Uint32Array;
  readonly genLength: number;
  readonly steps: number;
  readonly maskToken: number;
  /** Whether the text is held to a constraint; absent without one. */
  readonly constrained?: boolean;
}

/** The first event. A plan that asks for the prompt's log-probabilities takes a pass. */
export async function startEvent(
  plan: GenerationPlan,
  { promptIds, genLength, steps, maskToken, constrained }: Started,
  target: Predictor,
  tokenizer: TokenTexts,
): Promise<Extract<GenerateEvent, { type: "start" }>> {
  const { promptLogprobs: count } = plan;
  return {
    type: "start",
    promptTokens: promptIds.length,
    generationLength: genLength,
    blockLength: plan.blockLength,
    ...plan.given.length > 0 && { given: plan.given },
    steps,
    seed: plan.seed,
    strategy: plan.strategy,
    cache: plan.cache ?? NO_CACHE,
    maskToken,
    ...constrained !== undefined && { constrained },
    ...plan.reportsPrompt && { promptIds: [...promptIds] },
    ...count !== undefined && { prompt: await scorePrompt(promptIds, count, target, tokenizer) },
  };
}

/**
 * The prompt's tokens, each with its log-softmax where it alone is masked, before an answer: what
 * masked models have in place of the probability after a left context (Salazar et al. 2020, "Masked
 * Language Model Scoring", arXiv 1910.14659). All in one pass, with a shadow row a token, so from the
 * second layer on a row sees what the others made of the token.
 */
async function scorePrompt(
  promptIds: Uint32Array,
  count: number,
  target: Predictor,
  tokenizer: TokenTexts,
): Promise<PromptToken[]> {
  const positions = Uint32Array.from(promptIds, (_, i) => i);
  const [found] = await target.predict([{
    ids: promptIds,
    positions,
    shadows: positions,
    judged: promptIds,
    choice: { ...GREEDY, sampling: { changes: [], likeliest: count } },
  }]);
  return found.map(({ judgedConfidence = 0, scores }, i) => ({
    ...likelyToken(tokenizer, {
      token: promptIds[i],
      logProbability: Math.log(judgedConfidence),
    }),
    likeliest: scores!.likeliest.map((one) => likelyToken(tokenizer, one)),
  }));
}

/** The steps of an answer without tokens: none. */
// deno-lint-ignore require-yield
export async function* noSteps(
  sequence: Sequence,
): AsyncGenerator<DenoiseStep, StrategyResult, void> {
  return await Promise.resolve({
    sequence,
    targetForwards: 0,
    targetStates: 0,
    draftForwards: 0,
    proposed: [],
    accepted: [],
    acceptance: NO_ACCEPTANCE,
    readbacks: 0,
    idleForwards: 0,
  });
}
