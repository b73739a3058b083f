/** An answer under a constraint: what is checked before it, and the steps that make it. */

import type { DenoiseStep } from "../denoise/denoise_step.ts";
import type { Commit } from "../denoise/prediction.ts";
import { BY_CONFIDENCE } from "../denoise/selection.ts";
import {
  PLAIN,
  STRATEGY_NAMES,
  type StrategyName,
  strategyOf,
  type StrategyResult,
} from "../denoise/strategy.ts";
import { isExact } from "../denoise/strategy_options.ts";
import type { TokenAutomaton } from "../constraint/token_automaton.ts";
import type { TextTokenizer } from "../text/tokenizer.ts";
import {
  beginningProbability,
  type ConstrainedOptions,
  constrainedSteps,
  type LogitSource,
} from "./constrained_steps.ts";
import type { GenerationPlan } from "./generation_plan.ts";
import type { ModelFacts } from "./loaded_model.ts";
import { type GenerateRequest, RequestError } from "./request.ts";
import type { AnswerMeter } from "./stats.ts";

/** Strategies that hold a constraint. */
const STRATEGIES: readonly StrategyName[] = [PLAIN, "threshold", "auto"];
/** Positions that the model sees at first, unless the shortest text is longer. */
const FIRST_CANVAS = 64;
/** Probability from which an answer that may be a call is one. */
const CALL_PROBABILITY = 0.5;

/** A request with what its constraint needs. */
export interface ConstrainedRequest {
  readonly request: GenerateRequest;
  /** Its plan, whose prompt tells the model the constraint. */
  readonly plan: GenerationPlan;
  readonly automaton: TokenAutomaton;
}

/** Whether the model decides between a text of the constraint and any text. */
export function mayBeText(constraint: GenerateRequest["constraint"]): boolean {
  return constraint?.kind === "call" && !constraint.required && !constraint.otherwise;
}

/** Most tokens of a constrained answer: all that fit, unless the request says fewer. */
function mostTokens({ request, plan }: ConstrainedRequest, context: number): number {
  return Math.min(
    request.maxTokens ?? request.genLength ?? Infinity,
    context - plan.promptIds.length,
  );
}

/**
 * A request as its constraint lets it be: what could make the text another than the constraint says
 * is left out, and so is what only concerns how answers without one are denoised, which a server may
 * set for all of them. A strategy that gives the plain schedule's answer becomes that, another one
 * `threshold`.
 */
export function heldRequest(request: GenerateRequest): GenerateRequest {
  return {
    ...request,
    ...NOT_HELD,
    strategy: request.strategy && heldStrategy(request.strategy),
    cfgScale: 0,
    remasking: BY_CONFIDENCE,
  };
}

/** The same of a plan, for a request whose answer may also be without the constraint. */
export function heldPlan(plan: GenerationPlan): GenerationPlan {
  return {
    ...plan,
    strategy: heldStrategy(plan.strategy),
    cache: undefined,
    stop: [],
    cfgScale: 0,
    remasking: BY_CONFIDENCE,
    confidence: undefined,
    ignoreEos: false,
  };
}

/** Fields of a request that have no meaning under a constraint. */
const NOT_HELD = {
  stop: undefined,
  ignoreEos: undefined,
  confidence: undefined,
  cache: undefined,
  refreshInterval: undefined,
  suffixWindow: undefined,
  factor: undefined,
  draftDepth: undefined,
  rounds: undefined,
  draftThreshold: undefined,
  targetThreshold: undefined,
  backThreshold: undefined,
} satisfies Partial<GenerateRequest>;

function heldStrategy(strategy: StrategyName): StrategyName {
  if (STRATEGIES.includes(strategy) || !STRATEGY_NAMES.includes(strategy)) return strategy;
  return strategyOf(strategy).lossless ? PLAIN : "threshold";
}

/**
 * Checks that what else a request asks for can be done under its constraint.
 * @throws {RequestError} naming what cannot
 * @throws the signal's reason when it is aborted before
 */
export async function checkConstrained(
  asked: ConstrainedRequest,
  context: number,
  signal?: AbortSignal,
): Promise<void> {
  const { request, automaton } = asked;
  const check = (field: string, fits: boolean, reason: string) => {
    if (fits) return;
    throw new RequestError(field, `${field} ${reason}: leave it out, or leave the constraint out`);
  };
  check("template", !request.template && !request.revise, "has no place in a constrained answer");
  check("fixed", !request.fixed?.length, "is not supported with a constraint");
  const most = mostTokens(asked, context);
  if (automaton.distance(automaton.start) > most) await automaton.countTokens(signal);
  const least = automaton.distance(automaton.start);
  if (least <= most) return;
  throw new RequestError(
    "maxTokens",
    `maxTokens or the context leaves ${most} tokens, and the shortest answer under the constraint has ${least}`,
  );
}

/** The engine's parts that a constrained answer uses. */
export interface ConstrainedParts {
  readonly target: LogitSource;
  readonly meter: AnswerMeter;
  readonly tokenizer: TextTokenizer;
  readonly facts: ModelFacts;
  /** Whether to end before the next step. */
  readonly deadline: { comes(): boolean };
}

/** How a constrained answer is made. */
export interface ConstrainedAnswer {
  /** None if the answer is not constrained after all. */
  readonly steps?: AsyncGenerator<DenoiseStep, StrategyResult, void>;
  /** Forward passes that were made to decide that. */
  readonly passes: number;
  /** What completes the text, if the steps ended at the deadline; undefined without steps. */
  rest(): readonly Commit[] | undefined;
}

/**
 * The steps of a constrained answer. None if the constraint is a call that the model may leave out,
 * and it gives less than half the probability of the answer's first token to those that begin one.
 */
export async function openConstrained(
  { target, meter, tokenizer, facts, deadline }: ConstrainedParts,
  asked: ConstrainedRequest,
  signal?: AbortSignal,
): Promise<ConstrainedAnswer> {
  const { request, plan, automaton } = asked;
  const timed: LogitSource = {
    logitsAt: (asked) => meter.timed(() => target.logitsAt(asked)),
    rankAt: (...asked) => meter.timed(() => target.rankAt(...asked)),
  };
  const { blockLength } = plan;
  const shortest = automaton.automaton.shortest(automaton.automaton.start);
  const least = tokenizer.encode(new TextDecoder().decode(shortest)).length;
  const wanted = Math.max(FIRST_CANVAS, Math.ceil(1.5 * least));
  const isFast = plan.strategy === "threshold" ||
    (plan.strategy === "auto" && !isExact(plan.quality));
  const options: ConstrainedOptions = {
    promptIds: plan.promptIds,
    canvas: Math.ceil(wanted / blockLength) * blockLength,
    most: mostTokens(asked, facts.contextLength),
    blockLength,
    rule: isFast
      ? { threshold: plan.threshold ?? 0.9 }
      : { count: Math.max(1, Math.ceil(plan.genLength / plan.steps)) },
    temperature: plan.temperature,
    seed: plan.seed,
    maskToken: facts.maskTokenId,
    endToken: facts.endTokenIds[0],
    ends: facts.endTokenIds,
    sampling: plan.sampling,
    encode: (text) => tokenizer.encode(text),
    finished: () => deadline.comes(),
    onRest: (commits) => left = commits,
    signal,
  };
  let left: readonly Commit[] = [];
  const rest = () => left;
  if (mayBeText(request.constraint)) {
    const probability = await beginningProbability(timed, automaton, options);
    if (probability < CALL_PROBABILITY) return { passes: 1, rest: () => undefined };
    return { passes: 1, rest, steps: constrainedSteps(timed, automaton, options) };
  }
  return { passes: 0, rest, steps: constrainedSteps(timed, automaton, options) };
}
