/** Picks strategy and draft depth from the measured costs of forward passes and the acceptance. */

import { FastController } from "./fast_controller.ts";
import { Exploration } from "./exploration.ts";
import { isOtherLoad, type Load, loadAt, type Prices, UNPRICED } from "./prices.ts";
import { RelativeCosts } from "./relative_costs.ts";
import { Costs, Recent } from "./recent_costs.ts";

/**
 * How the next steps are taken. Every choice gives the result of the plain schedule. The names are
 * those of strategies; src/denoise/strategy.ts must pass a strategy for each name, or it does not
 * compile.
 */
export type Choice =
  & {
    /** Number of steps before the next choice. */
    readonly steps: number;
  }
  & (
    | { readonly strategy: "plain" }
    | { readonly strategy: "self" | "lossless"; readonly depth: number }
  );

type Drafting = Extract<Choice, { readonly depth: number }>;

/** What the controller has measured. Times are in milliseconds per row of a sequence. */
export interface ControllerFigures {
  /** Time of a denoising step of the plain schedule. */
  readonly plainStep?: number;
  /** Time of a denoising step of the draft. */
  readonly draftStep?: number;
  /** Time of a forward pass of the target, by number of states. */
  readonly verify: Readonly<Record<number, number>>;
  /** Share of self's proposals accepted, if all before them in the round were. */
  readonly selfAcceptance: number;
  /** Share of the draft's proposals accepted, likewise. */
  readonly draftAcceptance: number;
  /** Committed tokens per millisecond and row, for each measured way of quality `fast`. */
  readonly fastRates: Readonly<Record<string, number>>;
}

/** Depths to choose from. */
const DEPTHS = [1, 2, 3, 4, 6, 8];
/** Rounds of proposals that are remembered. */
const ROUNDS_KEPT = 48;
/** Acceptance assumed at the start, and the number of judged proposals that it counts as. */
const FIRST_ACCEPTANCE = 0.7;
const FIRST_WEIGHT = 4;
/**
 * Steps between two decisions, doubled each time that the choice stays the same. A decision costs
 * something: it opens a canvas or makes a first pass.
 */
const FEWEST_STEPS = 16;
const MOST_STEPS = 64;
/** Steps of a trial; few, because a trial may cost more than it gains. */
const STEPS_PER_TRY = 4;
/** Measurements before a way is judged: two could both be disturbed. */
const ENOUGH = 3;
/** Relative standard deviations of one judged proposal and of one measured pass. */
const OF_A_ROUND = 0.3;
const OF_A_PASS = 0.15;
const DRAFT = "draft";
/** Least gain, as a share of the best way's cost, for which a way is given up before its steps. */
const WORTH_TURNING = 0.1;

/** Name of a choice in statistics. */
export function choiceName(choice: Choice): string {
  return "depth" in choice ? `${choice.strategy} ${choice.depth}` : choice.strategy;
}

/** Expected steps of a round with n proposals: 1 + a + a^2 + ... + a^n. */
export function expectedSteps(acceptance: number, proposals: number): number {
  let sum = 1;
  for (let i = 1; i <= proposals; i++) sum += acceptance ** i;
  return sum;
}

/**
 * Measures costs and acceptance while answers run, and chooses the way with the most steps per
 * second: plain 1 / p, self with depth k (1 + a + ... + a^(k-1)) / v(k), lossless with depth k (1 +
 * b + ... + b^k) / (k d + v(k + 1)). Here p is the time of a plain step, d of a draft step and v(n)
 * of the target over n states; a and b are the acceptances. Self also pays v(1) each time it
 * begins. The controller lives as long as the engine, so one request's measurements serve the next,
 * and those beside it. Costs are given per unit of price ({@linkcode Prices}).
 */
export class Controller {
  readonly #shares = new RelativeCosts();
  readonly #draft = new Costs();
  readonly #rounds = new Recent<{ readonly judged: number; readonly accepted: number }>(
    ROUNDS_KEPT,
  );
  readonly #looks = new Exploration();
  /** The last choice that was not a trial, and its steps. */
  #chosen: Choice["strategy"] | undefined;
  #steps = FEWEST_STEPS;
  /** Those of the last choice. */
  #prices = UNPRICED;

  /** @param fast controller of quality `fast` */
  constructor(readonly fast: FastController = new FastController()) {}

  /** All that was measured so far. */
  get figures(): ControllerFigures {
    const { rows, verify } = this.#prices;
    const { plainStep } = this.#shares;
    const over = (states: number) =>
      plainStep && plainStep * this.#shares.verify(states) * verify(states) / rows;
    return {
      plainStep: plainStep && plainStep * verify(1) / rows,
      draftStep: this.draftStep,
      verify: Object.fromEntries(
        this.#shares.measuredStates.map((states) => [states, over(states)!]),
      ),
      selfAcceptance: this.#acceptance("self"),
      draftAcceptance: this.#acceptance("lossless"),
      fastRates: this.fast.rates,
    };
  }

  /** Milliseconds per row of a forward pass of the draft, at the last prices. */
  get draftStep(): number | undefined {
    const cost = this.#draft.of(DRAFT);
    return cost && cost * this.#prices.draft / this.#prices.rows;
  }

  /** Sets the prices of now. */
  priced(prices: Prices): this {
    this.#prices = prices;
    return this;
  }

  /** Records the cost of a step of the plain schedule. */
  learnPlain(cost: number): void {
    this.#shares.addPlain(cost);
  }

  /** Records the cost of a step of the draft. */
  learnDraft(cost: number): void {
    this.#draft.add(DRAFT, cost);
    this.#shares.addDraft(cost);
  }

  /** Records the cost of a forward pass of the target over `states` states. */
  learnVerify(states: number, cost: number): void {
    this.#shares.addVerify(states, cost);
  }

  /** Records that the first `accepted` of a round's `proposed` proposals were accepted. */
  learnAcceptance(strategy: Drafting["strategy"], proposed: number, accepted: number): void {
    if (proposed === 0) return;
    // Proposals after the first rejected one were never judged.
    this.#rounds.add(strategy, { judged: Math.min(proposed, accepted + 1), accepted });
  }

  #sum(strategy: Drafting["strategy"], of: "judged" | "accepted"): number {
    return this.#rounds.of(strategy).reduce((total, round) => total + round[of], 0);
  }

  #acceptance(strategy: Drafting["strategy"]): number {
    return (this.#sum(strategy, "accepted") + FIRST_WEIGHT * FIRST_ACCEPTANCE) /
      (this.#sum(strategy, "judged") + FIRST_WEIGHT);
  }

  /** A pass of the target over `states` states as a share of a plain step. */
  #verify(states: number): number {
    const { verify } = this.#prices;
    return this.#shares.verify(states) * verify(states) / verify(1);
  }

  /** Expected time of a step, as a share of a plain step, without the cost of beginning. */
  expected({ strategy, depth }: Drafting): number {
    const acceptance = this.#acceptance(strategy);
    if (strategy === "self") return this.#verify(depth) / expectedSteps(acceptance, depth - 1);
    const draft = this.#shares.draft! * this.#prices.draft / this.#prices.verify(1);
    return (depth * draft + this.#verify(depth + 1)) / expectedSteps(acceptance, depth);
  }

  /** About one relative standard deviation of the expected time. */
  #uncertainty(strategy: Drafting["strategy"]): number {
    const judged = FIRST_WEIGHT + this.#sum(strategy, "judged");
    return Math.hypot(OF_A_ROUND / Math.sqrt(judged), OF_A_PASS / Math.sqrt(this.#shares.verifies));
  }

  /** Records that `steps` steps were taken as chosen. */
  took(choice: Choice, steps: number): void {
    this.#looks.used(choiceName(choice), steps / FEWEST_STEPS);
  }

  /**
   * Chooses the way of the next steps. Every way is tried before it is judged.
   * @param prices those of now
   */
  choose(hasDraft: boolean, prices = UNPRICED): Choice {
    this.#prices = prices;
    const { repeated, ...choice } = this.#choose(hasDraft);
    if (!repeated) return choice;
    this.#steps = this.#chosen === choice.strategy
      ? Math.min(MOST_STEPS, 2 * this.#steps)
      : FEWEST_STEPS;
    this.#chosen = choice.strategy;
    return { ...choice, steps: this.#steps };
  }

  #choose(hasDraft: boolean): Choice & { readonly repeated?: boolean } {
    const plain: Choice = { strategy: "plain", steps: FEWEST_STEPS };
    if (this.#shares.plainStep === undefined) return plain;
    const steps = STEPS_PER_TRY;
    if (this.#shares.verifies < ENOUGH) return { strategy: "self", depth: 2, steps };
    if (hasDraft && this.#shares.drafts < ENOUGH) return { strategy: "lossless", depth: 2, steps };
    const ways = this.#ways(hasDraft);
    const best = Math.min(...ways.map(({ cost }) => cost));
    const looks = ways.map((way) => ({ ...way, look: (way.tried / best - steps) / FEWEST_STEPS }));
    const { choice, cost } = this.#looks.pick(looks);
    return cost > best ? { ...choice, steps } : { ...choice, repeated: true };
  }

  /**
   * Whether a way should be given up before its steps are taken: since it was chosen the load has
   * become another, and another way is now clearly better.
   */
  turnsFrom(choice: Choice, before: Load, hasDraft: boolean, now: Prices): boolean {
    if (!isOtherLoad(before, loadAt(now))) return false;
    if (this.#shares.verifies < ENOUGH || (hasDraft && this.#shares.drafts < ENOUGH)) return false;
    this.#prices = now;
    const ways = this.#ways(hasDraft);
    const own = ways.find(({ name }) => name === choiceName(choice))?.cost ?? 1;
    const best = Math.min(...ways.map(({ cost }) => cost));
    if (own <= best * (1 + WORTH_TURNING)) return false;
    this.#steps = FEWEST_STEPS;
    this.#chosen = undefined;
    return true;
  }

  /** All ways, with their costs as shares of a plain step; both models must be measured. */
  #ways(hasDraft: boolean) {
    const plain: Choice = { strategy: "plain", steps: FEWEST_STEPS };
    const steps = STEPS_PER_TRY;
    const self = DEPTHS.slice(1).map((depth) => ({ strategy: "self", depth, steps }) as const);
    const lossless = DEPTHS.map((depth) => ({ strategy: "lossless", depth, steps }) as const);
    const drafting = [...self, ...hasDraft ? lossless : []].map((choice) => {
      const step = this.expected(choice);
      const first = choice.strategy === "self" ? this.#verify(1) : 0;
      const sure = step * (1 + this.#uncertainty(choice.strategy)) + first / MOST_STEPS;
      return { choice, name: choiceName(choice), cost: sure, tried: steps * step + first };
    });
    return [{ choice: plain, name: choiceName(plain), cost: 1, tried: steps }, ...drafting];
  }
}
