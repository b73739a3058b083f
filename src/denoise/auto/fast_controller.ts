/** Picks how a block is denoised when the answer need not be the plain schedule's. */

import { Exploration } from "./exploration.ts";
import { Costs, Recent } from "./recent_costs.ts";

/** What runs in a denoising step. */
export interface Pass {
  readonly name: string;
  /** Passes that run no rows but this one's, by name: they cost no more. */
  readonly contains: readonly string[];
  /** A pass that runs the same rows, by name: it costs about as much. */
  readonly like?: string;
}

/** One way to denoise a block. */
export interface FastWay {
  /** As statistics show it. */
  readonly name: string;
  /** What decides how many steps a block takes, such as `threshold 0.9`. */
  readonly rule: string;
  /** What the block's first step runs. */
  readonly first: Pass;
  /** What the others run. */
  readonly later: Pass;
  /** Whether the draft runs as well. */
  readonly drafts: boolean;
}

/** A block that was denoised. */
export interface BlockRecord {
  /** Steps that it took, idle ones counted. */
  readonly steps: number;
  readonly tokens: number;
  /** Tokens that its first pass was not sure of; undefined where that is not known. */
  readonly open?: number;
}

/** Blocks that are kept of each rule. */
const BLOCKS_KEPT = 64;
/** Usual blocks that a rule's own are mixed with: few of its own say little. */
const MIXED_IN = 4;
/** Measurements of a pass before it is judged by them. */
const ENOUGH = 2;
/** Measurements that are trusted whatever passes cost that contain it. */
const MANY = 6;
/** What a pass may cost of another that is like it. */
const LIKE = 0.85;
/** What a strategy with a draft is hoped to leave of the steps behind the first, before it is tried. */
const HOPE = 0.5;
/** All blocks, and those of all rules without a draft. */
const EVERY = "every";
const USUAL = "usual";

/**
 * Learns what denoising steps cost and how many a block takes, and picks the way with the most
 * expected commits per second. A block of n steps costs `first + (n - 1) later`. n - 1 is taken to
 * grow with the tokens that the block's first pass was not sure of, by a factor of each rule's own:
 * how many those are differs much more from block to block than the rules do, and is the same
 * whatever the rule. What was not measured yet counts as the least that it can be, so ways are tried
 * as long as they could win.
 */
export class FastController {
  readonly #costs = new Costs();
  readonly #passes = new Map<string, Pass>();
  readonly #blocks = new Recent<{ readonly further: number; readonly open: number }>(BLOCKS_KEPT);
  readonly #tokens = new Recent<number>(BLOCKS_KEPT);
  readonly #used = new Map<string, FastWay>();
  readonly #looks = new Exploration();

  /**
   * Steps that ran one behind another took so long together.
   * @param millisecondsPerRow per row of the sequence, also where only a part is run
   */
  learnSteps(passes: readonly Pass[], millisecondsPerRow: number): void {
    for (const pass of passes) this.#passes.set(pass.name, pass);
    const names = [...new Set(passes.map(({ name }) => name))];
    if (names.length === 1) return this.#costs.add(names[0], millisecondsPerRow / passes.length);
    const known = (name: string) => this.#costs.of(name) ?? 0;
    const expected = passes.reduce((total, { name }) => total + known(name), 0);
    const unknown = names.filter((name) => known(name) === 0);
    if (unknown.length === 0) {
      // Passes share what their run took as they usually do.
      const costs = names.map((name) => known(name) * millisecondsPerRow / expected);
      names.forEach((name, i) => this.#costs.add(name, costs[i]));
    } else if (unknown.length === 1) {
      const times = passes.filter(({ name }) => name === unknown[0]).length;
      this.#costs.add(unknown[0], (millisecondsPerRow - expected) / times);
    }
  }

  /** A block was denoised in some way. */
  learnBlock(way: FastWay, { steps, tokens, open = this.#typicalOpen }: BlockRecord): void {
    if (steps < 1 || tokens < 1) return;
    this.#used.set(way.name, way);
    this.#looks.used(way.name);
    this.#tokens.add(EVERY, tokens);
    for (const name of [EVERY, way.rule, ...way.drafts ? [] : [USUAL]]) {
      this.#blocks.add(name, { further: steps - 1, open });
    }
  }

  /** Tokens that the first pass of a block is not sure of, on average. */
  get #typicalOpen(): number {
    const blocks = this.#blocks.of(EVERY);
    return sumOf(blocks, ({ open }) => open) / Math.max(1, blocks.length);
  }

  /** Steps that a block is expected to take by some rule. */
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

  /** Milliseconds per row of a step: as measured, within what passes that are related allow. */
  #stepCost(pass: Pass, drafting: number): number {
    const measured = [...this.#passes.values()].filter((other) => this.#isMeasured(other));
    const costsOf = (related: (other: Pass) => boolean) =>
      measured.filter(related).map(({ name }) => this.#costs.of(name)!);
    const most = costsOf(({ contains }) => contains.includes(pass.name));
    const measurements = this.#costs.measurements(pass.name);
    if (measurements >= MANY) return this.#costs.of(pass.name)!;
    if (measurements >= ENOUGH) return Math.min(this.#costs.of(pass.name)!, ...most);
    const parts = costsOf(({ name }) => pass.contains.includes(name));
    const likes = costsOf(({ name }) => name === pass.like).map((cost) => LIKE * cost);
    return Math.min(Math.max(0, ...parts, ...likes), ...most) + drafting;
  }

  /**
   * Milliseconds per row that a block is expected to take, or the least that it can.
   * @param draftForward milliseconds per row of a forward pass of the draft, where it is known
   */
  expected(way: FastWay, draftForward = 0): number {
    const drafting = way.drafts ? draftForward : 0;
    return this.#stepCost(way.first, drafting) +
      (this.#expectedSteps(way) - 1) * this.#stepCost(way.later, drafting);
  }

  /** Tokens per millisecond and row that each way is expected to commit, of those measured. */
  get rates(): Readonly<Record<string, number>> {
    const tokens = this.#tokens.of(EVERY);
    const typical = sumOf(tokens, (count) => count) / tokens.length;
    const measured = [...this.#used.values()]
      .filter(({ first, later }) => this.#isMeasured(first) && this.#isMeasured(later));
    return Object.fromEntries(measured.map((way) => [way.name, typical / this.expected(way)]));
  }

  /**
   * How to denoise the next block. Ways with a draft wait until one without was measured.
   * @param possible at least one without a draft; of equal ones the first is taken
   * @param draftForward milliseconds per row of a draft's forward pass, where it is known
   */
  choose<Way extends FastWay>(possible: readonly Way[], draftForward = 0): Way {
    const plain = possible.filter(({ drafts }) => !drafts);
    const ready = this.#blocks.of(USUAL).length >= MIXED_IN &&
      plain.some(({ first, later }) => this.#isMeasured(first) && this.#isMeasured(later));
    const priced = (ready ? possible : plain)
      .map((way) => ({ name: way.name, cost: this.expected(way, draftForward), way }));
    const best = priced.reduce((a, b) => b.cost < a.cost ? b : a);
    if (!ready) return best.way;
    // What was not measured costs at least what is expected: as dear as the best, it cannot win.
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
