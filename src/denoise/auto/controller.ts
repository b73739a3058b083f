/** Picks strategy and draft depth from what forward passes cost here and how much is accepted. */

import { FastController } from "./fast_controller.ts";
import { Exploration } from "./exploration.ts";
import { RelativeCosts } from "./relative_costs.ts";
import { Costs, Recent } from "./recent_costs.ts";

/**
 * How the next steps are taken; each gives what the plain schedule gives. The names are those of
 * strategies: src/denoise/strategy.ts hands over what is called so, and does not compile without.
 */
export type Choice =
  & {
    /** How many of them, before the next choice. */
    readonly steps: number;
  }
  & (
    | { readonly strategy: "plain" }
    | { readonly strategy: "self" | "lossless"; readonly depth: number }
  );

type Drafting = Extract<Choice, { readonly depth: number }>;

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
  /** Committed tokens per millisecond and row, by the ways of quality fast that were measured. */
  readonly fastRates: Readonly<Record<string, number>>;
}

/** Depths that are considered. */
const DEPTHS = [1, 2, 3, 4, 6, 8];
/** Rounds of proposals that are remembered. */
const ROUNDS_KEPT = 48;
/** Assumed before anything was proposed, and so many judged proposals that it counts as. */
const FIRST_ACCEPTANCE = 0.7;
const FIRST_WEIGHT = 4;
/**
 * Steps between two decisions, doubled each time that the same is chosen: a canvas is opened for each,
 * or a first pass made.
 */
const FEWEST_STEPS = 16;
const MOST_STEPS = 64;
/** Steps of a try, which may cost more than it brings. */
const STEPS_PER_TRY = 4;
/** Measurements before a way is judged: of two, both can be off. */
const ENOUGH = 3;
/** Standard deviations of what one judged proposal and one measured pass say, as shares. */
const OF_A_ROUND = 0.3;
const OF_A_PASS = 0.15;
const DRAFT = "draft";

/** As statistics call it. */
export function choiceName(choice: Choice): string {
  return "depth" in choice ? `${choice.strategy} ${choice.depth}` : choice.strategy;
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
 * states, a and b the acceptances. Self also pays v(1) each time it begins. It lives as long as the
 * engine: what one request taught serves the next.
 */
export class Controller {
  readonly #shares = new RelativeCosts();
  readonly #draft = new Costs();
  readonly #rounds = new Recent<{ readonly judged: number; readonly accepted: number }>(
    ROUNDS_KEPT,
  );
  readonly #looks = new Exploration();
  /** The last choice that was no try, and its steps. */
  #chosen: Choice["strategy"] | undefined;
  #steps = FEWEST_STEPS;

  /** @param fast for answers that need not be the plain schedule's */
  constructor(readonly fast: FastController = new FastController()) {}

  /** What is known so far. */
  get figures(): ControllerFigures {
    const { plainStep } = this.#shares;
    return {
      plainStep,
      draftStep: this.draftStep,
      verify: Object.fromEntries(
        this.#shares.measuredStates.map((states) => [
          states,
          plainStep! * this.#shares.verify(states),
        ]),
      ),
      selfAcceptance: this.#acceptance("self"),
      draftAcceptance: this.#acceptance("lossless"),
      fastRates: this.fast.rates,
    };
  }

  /** Milliseconds per row of a forward pass of the draft. */
  get draftStep(): number | undefined {
    return this.#draft.of(DRAFT);
  }

  /** A step of the plain schedule took so long. */
  learnPlain(millisecondsPerRow: number): void {
    this.#shares.addPlain(millisecondsPerRow);
  }

  /** A step of the draft took so long. */
  learnDraft(millisecondsPerRow: number): void {
    this.#draft.add(DRAFT, millisecondsPerRow);
    this.#shares.addDraft(millisecondsPerRow);
  }

  /** A forward pass of the target over `states` states took so long. */
  learnVerify(states: number, millisecondsPerRow: number): void {
    this.#shares.addVerify(states, millisecondsPerRow);
  }

  /** Of `proposed` proposals in a round the first `accepted` were right. */
  learnAcceptance(strategy: Drafting["strategy"], proposed: number, accepted: number): void {
    if (proposed === 0) return;
    // Those behind the first refusal were never judged.
    this.#rounds.add(strategy, { judged: Math.min(proposed, accepted + 1), accepted });
  }

  #sum(strategy: Drafting["strategy"], of: "judged" | "accepted"): number {
    return this.#rounds.of(strategy).reduce((total, round) => total + round[of], 0);
  }

  #acceptance(strategy: Drafting["strategy"]): number {
    return (this.#sum(strategy, "accepted") + FIRST_WEIGHT * FIRST_ACCEPTANCE) /
      (this.#sum(strategy, "judged") + FIRST_WEIGHT);
  }

  /** Plain steps' time that a step is expected to take, once begun. */
  expected({ strategy, depth }: Drafting): number {
    const acceptance = this.#acceptance(strategy);
    if (strategy === "self") {
      return this.#shares.verify(depth) / expectedSteps(acceptance, depth - 1);
    }
    return (depth * this.#shares.draft! + this.#shares.verify(depth + 1)) /
      expectedSteps(acceptance, depth);
  }

  /** About one standard deviation of what is expected, as a share of it. */
  #uncertainty(strategy: Drafting["strategy"]): number {
    const judged = FIRST_WEIGHT + this.#sum(strategy, "judged");
    return Math.hypot(OF_A_ROUND / Math.sqrt(judged), OF_A_PASS / Math.sqrt(this.#shares.verifies));
  }

  /** So many steps were taken as chosen. */
  took(choice: Choice, steps: number): void {
    this.#looks.used(choiceName(choice), steps / FEWEST_STEPS);
  }

  /** What to do next. Each way is tried before it is judged. */
  choose(hasDraft: boolean): Choice {
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
    const self = DEPTHS.slice(1).map((depth) => ({ strategy: "self", depth, steps }) as const);
    const lossless = DEPTHS.map((depth) => ({ strategy: "lossless", depth, steps }) as const);
    const drafting = [...self, ...hasDraft ? lossless : []].map((choice) => {
      const step = this.expected(choice);
      const first = choice.strategy === "self" ? this.#shares.verify(1) : 0;
      const sure = step * (1 + this.#uncertainty(choice.strategy)) + first / MOST_STEPS;
      return { choice, name: choiceName(choice), cost: sure, tried: steps * step + first };
    });
    const ways = [{ choice: plain, name: choiceName(plain), cost: 1, tried: steps }, ...drafting];
    const best = Math.min(...ways.map(({ cost }) => cost));
    const looks = ways.map((way) => ({ ...way, look: (way.tried / best - steps) / FEWEST_STEPS }));
    const { choice, cost } = this.#looks.pick(looks);
    return cost > best ? { ...choice, steps } : { ...choice, repeated: true };
  }
}
