/** Random requests to toys, and their answers. */

import fc from "fast-check";
import { type Choice, Controller } from "../../../src/denoise/auto/controller.ts";
import type { DenoiseStep } from "../../../src/denoise/denoise_step.ts";
import type { Sequence } from "../../../src/denoise/sequence.ts";
import {
  type Models,
  STRATEGY_NAMES,
  type StrategyName,
  strategyOf,
  type StrategyOptions,
  type StrategyResult,
} from "../../../src/denoise/strategy.ts";
import { comparable, drawArb } from "../../denoise/draw.ts";

/** One request. */
export interface ToyRequest {
  readonly name: StrategyName;
  readonly sequence: Sequence;
  readonly options: Omit<StrategyOptions, "controller">;
  /** Choices of auto, one after another. */
  readonly choices: readonly Choice[];
}

/** Takes what it is told to, whatever things cost. */
class Told extends Controller {
  readonly #choices: readonly Choice[];
  #taken = 0;

  constructor(choices: readonly Choice[]) {
    super();
    this.#choices = choices;
  }

  override choose(): Choice {
    return this.#choices[this.#taken++ % this.#choices.length];
  }
}

const choiceArb: fc.Arbitrary<Choice> = fc.record({
  strategy: fc.constantFrom("plain", "self", "lossless"),
  depth: fc.integer({ min: 1, max: 4 }),
  steps: fc.constantFrom(2, 8),
});

/** Requests for each strategy, with each cache that it takes. */
export const requestArb: fc.Arbitrary<ToyRequest> = fc.record({
  name: fc.constantFrom(...STRATEGY_NAMES),
  draw: drawArb,
  cache: fc.constantFrom("none", "prefix", "dual"),
  refreshInterval: fc.constantFrom(undefined, undefined, 1, 2),
  depth: fc.integer({ min: 1, max: 4 }),
  threshold: fc.constantFrom(0.2, 0.5),
  choices: fc.array(choiceArb, { minLength: 1, maxLength: 3 }),
}).map(({ name, draw: { sequence, options }, cache, refreshInterval, choices, ...values }) => {
  const { uses, lossless } = strategyOf(name);
  const used = (option: keyof typeof values) =>
    uses.includes(option) && name !== "auto" ? { [option]: values[option] } : {};
  const kept = uses.includes("cache") && cache !== "none"
    ? { cache, ...uses.includes("refreshInterval") && { refreshInterval }, cfgScale: 0 }
    : {};
  return {
    name,
    sequence,
    choices,
    options: {
      ...lossless ? options : comparable(options),
      // These compare the target's probabilities.
      ...["gate", "commit_verify"].includes(name) && { confidence: undefined },
      ...kept,
      ...used("depth"),
      ...used("threshold"),
    },
  };
});

/** Runs a request, up to its end or to what ended it. */
export async function answer(
  { name, sequence, options, choices }: ToyRequest,
  models: Models,
  signal?: AbortSignal,
  onStep: () => void = () => {},
) {
  const controller = new Told(choices);
  const steps: DenoiseStep[] = [];
  const stream = strategyOf(name).run(sequence, models, { ...options, controller, signal });
  for (;;) {
    let next;
    try {
      next = await stream.next();
    } catch (error) {
      return { steps, error };
    }
    if (next.done) return { steps, result: next.value };
    steps.push(next.value);
    onStep();
  }
}

interface Answer {
  readonly steps: readonly DenoiseStep[];
  readonly result?: StrategyResult;
  readonly error?: unknown;
}

/**
 * What of an answer must be the same under load: everything but how often it was read back, and how
 * many passes went on behind an end that was not known yet. Of auto only what it commits, since prices
 * may end a choice sooner.
 */
export function lasting({ name }: ToyRequest, { steps, result, error }: Answer) {
  if (name !== "auto") {
    // Of plain, passes behind the end count among all.
    const extra = name === "plain" ? ["targetForwards", "targetStates"] : [];
    const varies = new Set(["readbacks", "idleForwards", ...extra]);
    const kept = Object.entries(result ?? {}).filter(([key]) => !varies.has(key));
    return { steps, result: Object.fromEntries(kept), error };
  }
  return {
    steps: steps.map(({ step, block, commits }) => ({ step, block, commits })),
    result: result?.sequence,
    error,
  };
}
