/** Random requests to toys, and their answers. */

import fc from "fast-check";
import { type Choice, Controller } from "../../../src/denoise/auto/controller.ts";
import type { DenoiseStep } from "../../../src/denoise/denoise_step.ts";
import type { SamplingOptions } from "../../../src/denoise/sampling.ts";
import type { Sequence } from "../../../src/denoise/sequence.ts";
import {
  type Models,
  STRATEGY_NAMES,
  type StrategyName,
  strategyOf,
  type StrategyOptions,
  type StrategyResult,
} from "../../../src/denoise/strategy.ts";
import { Automaton } from "../../../src/constraint/automaton.ts";
import { patternLanguage } from "../../../src/constraint/pattern.ts";
import { TokenAutomaton } from "../../../src/constraint/token_automaton.ts";
import { Vocabulary } from "../../../src/constraint/vocabulary.ts";
import { constrainedSteps, type LogitSource } from "../../../src/engine/constrained_steps.ts";
import { comparable, drawArb, END } from "../../denoise/draw.ts";
import { MASK, VOCABULARY } from "../../denoise/toy_model.ts";

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

/** A request whose answer matches a pattern. */
export interface ConstrainedToy {
  readonly name: "constrained";
  readonly pattern: string;
  readonly sequence: { readonly ids: Uint32Array; readonly maskToken: number };
  readonly options: {
    readonly most: number;
    readonly canvas: number;
    readonly blockLength: number;
    readonly rule: { readonly count: number } | { readonly threshold: number };
    readonly temperature: number;
    readonly seed: number;
    readonly sampling?: SamplingOptions;
    readonly eosToken: number;
  };
  /** Tokens that are ranked: where none of them is allowed, it takes all logits of a row. */
  readonly tries: number;
}

/** Texts of the toy's tokens; the mask and the end have none. */
const TEXTS = ["a", "b", "c", "", "ab", "bc", "ca", "d", "ad", "dd"];

/** Requests for texts of the toy's tokens. */
export const constrainedArb: fc.Arbitrary<ConstrainedToy> = fc.record({
  name: fc.constant("constrained" as const),
  pattern: fc.constantFrom("(ab|ca|d){2,5}", "a{3}b+c?d", "[abc]{4,9}", "(a|bd|c*d)+ab"),
  sequence: fc.array(fc.integer({ min: 0, max: VOCABULARY - 1 }), { maxLength: 6 })
    .map((ids) => ({ ids: Uint32Array.from(ids), maskToken: MASK })),
  options: fc.record({
    most: fc.integer({ min: 10, max: 16 }),
    canvas: fc.constantFrom(4, 8),
    blockLength: fc.integer({ min: 1, max: 6 }),
    rule: fc.constantFrom({ count: 1 }, { count: 2 }, { threshold: 0.3 }),
    temperature: fc.constantFrom(0, 0.7),
    seed: fc.maxSafeNat(),
    sampling: fc.constantFrom(undefined, undefined, { topK: 3, presencePenalty: 1, likeliest: 2 }),
    eosToken: fc.constant(END),
  }),
  tries: fc.constantFrom(1, 2, 64),
});

function constrained(
  { pattern, sequence, options: { eosToken, ...options }, tries }: ConstrainedToy,
  logits: LogitSource,
  signal?: AbortSignal,
) {
  const bytes = TEXTS.map((text) => new TextEncoder().encode(text));
  const tokenBytes = (id: number) => bytes[id] ?? new Uint8Array();
  const language = patternLanguage(pattern, { spelling: "raw", whole: true })!;
  const vocabulary = new Vocabulary({ tokenBytes }, VOCABULARY);
  const automaton = new TokenAutomaton(new Automaton(language), vocabulary, [eosToken]);
  const few: LogitSource = {
    logitsAt: (asked) => logits.logitsAt(asked),
    rankAt: (asked, choice) => logits.rankAt(asked, choice, tries),
  };
  return constrainedSteps(few, automaton, {
    ...options,
    promptIds: sequence.ids,
    maskToken: sequence.maskToken,
    endToken: eosToken,
    ends: [eosToken],
    encode: (text) => Array.from(text, (letter) => TEXTS.indexOf(letter)),
    signal,
  });
}

/** Runs a request, up to its end or to what ended it. */
export async function answer(
  request: ToyRequest | ConstrainedToy,
  models: Models & { readonly logits: LogitSource },
  signal?: AbortSignal,
  onStep: () => void = () => {},
) {
  const steps: DenoiseStep[] = [];
  const stream = request.name === "constrained"
    ? constrained(request, models.logits, signal)
    : strategyOf(request.name).run(request.sequence, models, {
      ...request.options,
      controller: new Told(request.choices),
      signal,
    });
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
export function lasting(
  { name }: Pick<ToyRequest | ConstrainedToy, "name">,
  { steps, result, error }: Answer,
) {
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
