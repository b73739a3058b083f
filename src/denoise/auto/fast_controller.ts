/** Picks how a block is denoised with quality `fast`. */

import { Exploration } from "./exploration.ts";
import { Costs, Recent } from "./recent_costs.ts";

/** The forward pass of a denoising step. */
export interface Pass {
  readonly name: string;
  /** Names of passes that run only rows of this one, and so cost no more. */
  readonly contains: readonly string[];
  /** Name of a pass that runs the same rows, and so costs about as much. */
  readonly like?: string;
}

/** The price of a pass now, per row of the whole sequence; always 1 if prices are not known. */
export type PassPrice = (pass: Pass) => number;

/** All passes at one price: costs are milliseconds per row. */
const UNPRICED: PassPrice = () => 1;

/** One way to denoise a block. */
export interface FastWay {
  /** Name in statistics. */
  readonly name: string;
  /** Rule that decides how many steps a block takes, such as `threshold 0.9`. */
  readonly rule: string;
  /** Pass of the block's first step. */
  readonly first: Pass;
  /** Pass of the other steps. */
  readonly later: Pass;
  /** Whether the draft runs as well. */
  readonly drafts: boolean;
}

/** A block that was denoised. */
export interface BlockRecord {
  /** Steps that it took, including idle ones. */
  readonly steps: number;
  readonly tokens: number;
  /** Tokens that its first pass was not sure of; undefined if not known. */
  readonly open?: number;
}

/** Blocks that are remembered for each rule. */
const BLOCKS_KEPT = 64;
/** Number of average blocks that are mixed with a rule's own, since a few blocks say little. */
const MIXED_IN = 4;
/** Measurements of a pass before it is judged by them. */
const ENOUGH = 2;
/** Measurements from which a pass's cost is trusted, whatever larger passes cost. */
const MANY = 6;
/** Least cost of an unmeasured pass, as a share of a pass with the same rows. */
const LIKE = 0.85;
/**
 * Share of the later steps that an untried strategy with a draft is assumed to need. A good draft
 * needs two fifths (models/MODEL_CARD.md); below 0.3 trials cost more than they find.
 */
const HOPE = 0.3;
/** Names under which the blocks of all rules, and of all rules without a draft, are kept. */
const EVERY = "every";
const USUAL = "usual";

/**
 * Measures the cost of denoising steps and the number that a block takes, and picks the way with
 * the most expected commits per second. A block of n steps costs `first + (n - 1) later`. The
 * estimate of n - 1 is proportional to the number of tokens that the block's first pass was not
 * sure of, with a factor for each rule. That number differs more between blocks than the rules
 * differ, and does not depend on the rule. A way that was not measured yet is given its least
 * possible cost, so every way is tried as long as it could win. What passes cost is kept per unit of
 * their price, and compared at the prices of now (prices.ts).
 */
export class FastController {
  readonly #costs = new Costs();
  readonly #passes = new Map<string, Pass>();
  readonly #blocks = new Recent<{ readonly further: number; readonly open: number }>(BLOCKS_KEPT);
  readonly #tokens = new Recent<number>(BLOCKS_KEPT);
  readonly #used = new Map<string, FastWay>();
  readonly #looks = new Exploration();
  /** Those of the last choice. */
  #priceOf = UNPRICED;

  /**
   * Records the time of several steps that ran together.
   * @param millisecondsPerRow time per row of the whole sequence, even if only a part was run
   */
  learnSteps(passes: readonly Pass[], millisecondsPerRow: number, priceOf = UNPRICED): void {
    for (const pass of passes) this.#passes.set(pass.name, pass);
    const names = [...new Set(passes.map(({ name }) => name))];
    const add = (name: string, cost: number) =>
      this.#costs.add(name, cost / priceOf(this.#passes.get(name)!));
    if (names.length === 1) return add(names[0], millisecondsPerRow / passes.length);
    const known = (name: string) => this.#cost(this.#passes.get(name)!, priceOf) ?? 0;
    const expected = passes.reduce((total, { name }) => total + known(name), 0);
    const unknown = names.filter((name) => known(name) === 0);
    if (unknown.length === 0) {
      // The time of a run is divided among its passes in proportion to their usual costs.
      const costs = names.map((name) => known(name) * millisecondsPerRow / expected);
      names.forEach((name, i) => add(name, costs[i]));
    } else if (unknown.length === 1) {
      const times = passes.filter(({ name }) => name === unknown[0]).length;
      add(unknown[0], (millisecondsPerRow - expected) / times);
    }
  }

  /** Records a block that was denoised in some way. */
  learnBlock(way: FastWay, { steps, tokens, open = this.#typicalOpen }: BlockRecord): void {
    if (steps < 1 || tokens < 1) return;
    this.#used.set(way.name, way);
    this.#looks.used(way.name);
    this.#tokens.add(EVERY, tokens);
    for (const name of [EVERY, way.rule, ...way.drafts ? [] : [USUAL]]) {
      this.#blocks.add(name, { further: steps - 1, open });
    }
  }

  /** Average number of tokens that the first pass of a block is not sure of. */
  get #typicalOpen(): number {
    const blocks = this.#blocks.of(EVERY);
    return sumOf(blocks, ({ open }) => open) / Math.max(1, blocks.length);
  }

  /** Expected steps of a block with a way's rule. */
  #expectedSteps({ rule, drafts }: FastWay): number {
    const open = this.#typicalOpen;
    if (open === 0) return 1;
    const usual = this.#blocks.of(USUAL);
    const usualFactor = sumOf(usual, ({ further }) => further) /
      Math.max(1, sumOf(usual, ({ open }) => open));
    const own = this.#blocks.of(rule);
    const mixedIn = MIXED_IN * open;
    const first = (drafts ? HOPE : 1) * usualFactor;
    const factor = (sumOf(own, ({ further }) => further) + mixedIn * first) /
      (sumOf(own, ({ open }) => open) + mixedIn);
    return 1 + factor * open;
  }

  #isMeasured({ name }: Pass): boolean {
    return this.#costs.measurements(name) >= ENOUGH;
  }

  /** Milliseconds per row of a pass, as measured. */
  #cost(pass: Pass, priceOf: PassPrice): number | undefined {
    const cost = this.#costs.of(pass.name);
    return cost && cost * priceOf(pass);
  }

  /** Milliseconds per row of a step, as measured, and limited by the costs of related passes. */
  #stepCost(pass: Pass, drafting: number, priceOf: PassPrice): number {
    const measured = [...this.#passes.values()].filter((other) => this.#isMeasured(other));
    const costsOf = (related: (other: Pass) => boolean) =>
      measured.filter(related).map((other) => this.#cost(other, priceOf)!);
    const most = costsOf(({ contains }) => contains.includes(pass.name));
    const measurements = this.#costs.measurements(pass.name);
    const own = this.#cost(pass, priceOf)!;
    if (measurements >= MANY) return own;
    if (measurements >= ENOUGH) return Math.min(own, ...most);
    const parts = costsOf(({ name }) => pass.contains.includes(name));
    const likes = costsOf(({ name }) => name === pass.like).map((cost) => LIKE * cost);
    return Math.min(Math.max(0, ...parts, ...likes), ...most) + drafting;
  }

  /**
   * Expected milliseconds per row of a block, or their least possible value.
   * @param draftForward milliseconds per row of a forward pass of the draft, if known
   */
  expected(way: FastWay, draftForward = 0, priceOf = UNPRICED): number {
    const drafting = way.drafts ? draftForward : 0;
    return this.#stepCost(way.first, drafting, priceOf) +
      (this.#expectedSteps(way) - 1) * this.#stepCost(way.later, drafting, priceOf);
  }

  /** Expected tokens per millisecond and row of every measured way. */
  get rates(): Readonly<Record<string, number>> {
    const tokens = this.#tokens.of(EVERY);
    const typical = sumOf(tokens, (count) => count) / tokens.length;
    const measured = [...this.#used.values()]
      .filter(({ first, later }) => this.#isMeasured(first) && this.#isMeasured(later));
    return Object.fromEntries(
      measured.map((way) => [way.name, typical / this.expected(way, 0, this.#priceOf)]),
    );
  }

  /**
   * Chooses the way of the next block. Ways with a draft wait until one without was measured.
   * @param possible ways, at least one without a draft; of equal ones the first is taken
   * @param draftForward milliseconds per row of a draft's forward pass, if known
   */
  choose<Way extends FastWay>(
    possible: readonly Way[],
    draftForward = 0,
    priceOf = UNPRICED,
  ): Way {
    this.#priceOf = priceOf;
    const plain = possible.filter(({ drafts }) => !drafts);
    const ready = this.#blocks.of(USUAL).length >= MIXED_IN &&
      plain.some(({ first, later }) => this.#isMeasured(first) && this.#isMeasured(later));
    const priced = (ready ? possible : plain)
      .map((way) => ({ name: way.name, cost: this.expected(way, draftForward, priceOf), way }));
    const best = priced.reduce((a, b) => b.cost < a.cost ? b : a);
    if (!ready) return best.way;
    // An unmeasured way costs at least its estimate: if that equals the best, it cannot win.
    const open = priced.filter((one) =>
      one === best ||
      (this.#isMeasured(one.way.first) && this.#isMeasured(one.way.later))
    );
    return this.#looks.pick(open).way;
  }
}

function sumOf<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0);
}
