/** Picks strategy and draft depth from what forward passes cost here and how much is accepted. */

import type { Canvas, Predictor } from "./predictor.ts";

/** How the next steps are taken; each gives what the plain schedule gives. */
export type Choice =
  | { readonly strategy: "plain" }
  | { readonly strategy: "self" | "lossless"; readonly depth: number };

/** What the controller has learnt, in milliseconds for each row of a sequence. */
export interface ControllerFigures {
  /** A denoising step of the plain schedule. */
  readonly plainStep?: number;
  /** A denoising step of the draft. */
  readonly draftStep?: number;
  /** A forward pass of the target over so many states. */
  readonly verify: Readonly<Record<number, number>>;
  /** Share of proposals accepted, given that those before them were. */
  readonly selfAcceptance: number;
  /** The same, of the draft's proposals. */
  readonly draftAcceptance: number;
}

/** Ways to answer by threshold: which cache. */
export const FAST_CHOICES = ["none", "prefix", "dual"] as const;
/** One of {@linkcode FAST_CHOICES}. */
export type FastChoice = typeof FAST_CHOICES[number];

/** Depths that are considered. */
const DEPTHS = [1, 2, 3, 4, 6, 8];
/** Weight of a new measurement. */
const RATE = 0.3;
/** Assumed before anything was proposed. */
const FIRST_ACCEPTANCE = 0.7;
/** Choices after which drafting is tried again though it did not pay, when it came near. */
const RETRY_AFTER = 64;
const NEAR = 0.75;

function blend(before: number | undefined, now: number): number {
  return before === undefined ? now : (1 - RATE) * before + RATE * now;
}

/** 1 + a + a^2 + ... + a^n: steps done in a round that proposes n. */
export function expectedSteps(acceptance: number, proposals: number): number {
  let sum = 1;
  for (let i = 1; i <= proposals; i++) sum += acceptance ** i;
  return sum;
}

/**
 * Learns costs and acceptance from what runs, and chooses what does the most steps per second:
 * plain 1 / p, self with depth k (1 + a + ... + a^(k-1)) / v(k), lossless with depth k
 * (1 + b + ... + b^k) / (k d + v(k + 1)); p a plain step, d a draft step, v(n) the target over n
 * states, a and b the acceptances. It lives as long as the engine: what one request taught serves the
 * next.
 */
export class Controller {
  #plainStep: number | undefined;
  #draftStep: number | undefined;
  readonly #verify = new Map<number, number>();
  #selfAcceptance = FIRST_ACCEPTANCE;
  #draftAcceptance = FIRST_ACCEPTANCE;
  #choices = 0;
  /** What was measured at least once: a first measurement holds the compilation of kernels. */
  readonly #warm = new Set<string>();
  /** Tokens per millisecond of the ways that `fast` may choose, by name. */
  readonly #fastRates = new Map<FastChoice, number>();

  /** What is known so far. */
  get figures(): ControllerFigures {
    return {
      plainStep: this.#plainStep,
      draftStep: this.#draftStep,
      verify: Object.fromEntries(this.#verify),
      selfAcceptance: this.#selfAcceptance,
      draftAcceptance: this.#draftAcceptance,
    };
  }

  #isWarm(measurement: string): boolean {
    if (this.#warm.has(measurement)) return true;
    this.#warm.add(measurement);
    return false;
  }

  /** A step of the plain schedule took so long. */
  learnPlain(millisecondsPerRow: number): void {
    if (!this.#isWarm("plain")) return;
    this.#plainStep = blend(this.#plainStep, millisecondsPerRow);
  }

  /** A step of the draft took so long. */
  learnDraft(millisecondsPerRow: number): void {
    if (!this.#isWarm("draft")) return;
    this.#draftStep = blend(this.#draftStep, millisecondsPerRow);
  }

  /** A forward pass of the target over `states` states took so long. */
  learnVerify(states: number, millisecondsPerRow: number): void {
    if (!this.#isWarm("verify")) return;
    this.#verify.set(states, blend(this.#verify.get(states), millisecondsPerRow));
  }

  /** Of `proposed` proposals in a round the first `accepted` were right. */
  learnAcceptance(strategy: "self" | "lossless", proposed: number, accepted: number): void {
    if (proposed === 0) return;
    // Those behind the first refusal were never judged.
    const judged = Math.min(proposed, accepted + 1);
    const share = accepted / judged;
    if (strategy === "self") this.#selfAcceptance = blend(this.#selfAcceptance, share);
    else this.#draftAcceptance = blend(this.#draftAcceptance, share);
  }

  /** The target over `states` states: measured, or on the line through one state and the most. */
  verifyCost(states: number): number {
    const known = this.#verify.get(states);
    if (known !== undefined) return known;
    const one = this.#plainStep!;
    const most = Math.max(...this.#verify.keys());
    const slope = (this.#verify.get(most)! - one) / Math.max(1, most - 1);
    return one + Math.max(0, slope) * (states - 1);
  }

  /** Steps per millisecond and row that a choice is expected to do. */
  expected(choice: Choice): number {
    if (choice.strategy === "plain") return 1 / this.#plainStep!;
    const { depth } = choice;
    if (choice.strategy === "self") {
      return expectedSteps(this.#selfAcceptance, depth - 1) / this.verifyCost(depth);
    }
    return expectedSteps(this.#draftAcceptance, depth) /
      (depth * this.#draftStep! + this.verifyCost(depth + 1));
  }

  /** Whether some way of drafting has not been measured yet. */
  isTrying(hasDraft: boolean): boolean {
    return !this.#verify.has(2) || (hasDraft && this.#draftStep === undefined);
  }

  /** How to answer when the result need not be the plain schedule's: each way once, then the best. */
  chooseFast(): FastChoice {
    const untried = FAST_CHOICES.find((choice) => !this.#fastRates.has(choice));
    if (untried) return untried;
    return FAST_CHOICES.reduce((best, choice) =>
      this.#fastRates.get(choice)! > this.#fastRates.get(best)! ? choice : best
    );
  }

  /** A whole answer was denoised so. */
  learnFast(choice: FastChoice, tokens: number, milliseconds: number): void {
    if (!this.#isWarm(`fast ${choice}`) || milliseconds <= 0) return;
    this.#fastRates.set(choice, blend(this.#fastRates.get(choice), tokens / milliseconds));
  }

  /** What to do next. Each way is tried before it is judged. */
  choose(hasDraft: boolean): Choice {
    this.#choices++;
    if (this.#plainStep === undefined) return { strategy: "plain" };
    if (this.isTrying(hasDraft)) {
      return { strategy: this.#verify.has(2) ? "lossless" : "self", depth: 2 };
    }
    const plain: Choice = { strategy: "plain" };
    const drafting = DEPTHS.flatMap((depth): Choice[] => [
      ...depth > 1 ? [{ strategy: "self" as const, depth }] : [],
      ...hasDraft ? [{ strategy: "lossless" as const, depth }] : [],
    ]).reduce((best, choice) => this.expected(choice) > this.expected(best) ? choice : best);
    const gain = this.expected(drafting) / this.expected(plain);
    if (gain > 1) return drafting;
    // Acceptance is only learnt by drafting: it may have changed.
    return gain > NEAR && this.#choices % RETRY_AFTER === 0 ? drafting : plain;
  }
}

/**
 * A predictor that tells what its calls took.
 * @param onPredict told the states and milliseconds of a forward pass
 * @param onStep told the milliseconds of a step on a canvas
 */
export function timed(
  predictor: Predictor,
  onPredict: (states: number, milliseconds: number) => void,
  onStep: (milliseconds: number) => void,
): Predictor {
  return {
    async predict(inputs) {
      const start = performance.now();
      const answers = await predictor.predict(inputs);
      onPredict(inputs.length, performance.now() - start);
      return answers;
    },
    openCanvas: predictor.openCanvas && (async (sequences) => {
      const canvas = await predictor.openCanvas!(sequences);
      const run: Canvas["run"] = async (steps, signal) => {
        const start = performance.now();
        const commits = await canvas.run(steps, signal);
        if (steps.length > 0) onStep((performance.now() - start) / steps.length);
        return commits;
      };
      return {
        run,
        predict: (asked, cache) => canvas.predict(asked, cache),
        setIds: (sequence, ids, unconditional) => canvas.setIds(sequence, ids, unconditional),
        destroy: () => canvas.destroy(),
      };
    }),
  };
}
