/** Costs of passes relative to a plain step measured shortly before. */

import { Costs, middle } from "./recent_costs.ts";

/** Number of latest plain steps that show how fast the machine is now. */
const LATEST = 5;
/** Number of passes after a plain step that are compared with it. */
const NEAR = 8;
/** Measurements of a pass before its share can estimate the time of a plain step. */
const ENOUGH = 3;
/** Number of measurements that the line through all numbers of states counts as. */
const LINE_WEIGHT = 8;

/**
 * Costs of passes as shares of a plain step, each per unit of its price (prices.ts). Other work on the machine slows down all passes alike,
 * so shares stay the same while milliseconds drift. Long after the last plain step, a pass with a
 * known share tells what a plain step takes now. The first measurement of each pass is left out,
 * because it includes compiling kernels.
 */
export class RelativeCosts {
  readonly #shares = new Costs();
  #latest: readonly number[] = [];
  #begun = false;
  #behindPlain = 0;

  /** Current cost of a plain step; undefined before one was measured. */
  get plainStep(): number | undefined {
    return middle(this.#latest);
  }

  /** Records the cost of a plain step. */
  addPlain(cost: number): void {
    if (!(cost > 0)) return;
    if (this.#begun) this.#setPace(cost);
    this.#begun = true;
    this.#behindPlain = 0;
  }

  /** Records the cost of a denoising step of the draft. */
  addDraft(cost: number): void {
    this.#add("draft", cost);
  }

  /** Records the cost of a forward pass of the target over `states` states. */
  addVerify(states: number, cost: number): void {
    this.#add(`${states}`, cost);
  }

  #setPace(plainStep: number): void {
    this.#latest = [...this.#latest, plainStep].slice(-LATEST);
  }

  #add(name: string, cost: number): void {
    const plain = this.plainStep;
    if (plain === undefined || !(cost > 0)) return;
    const sure = this.#shares.measurements(name) >= ENOUGH;
    if (this.#behindPlain++ >= NEAR && sure) this.#setPace(cost / this.#shares.of(name)!);
    else this.#shares.add(name, cost / plain);
  }

  /** Share of a pass over one state: the work of a plain step, with another readback. */
  get #one(): number {
    return this.#shares.measurements("1") < ENOUGH ? 1 : this.#shares.of("1")!;
  }

  /** Share that each further state adds: the slope of the line from one state that fits best. */
  get #slope(): number {
    let products = 0;
    let squares = 0;
    for (const states of this.measuredStates) {
      const weight = this.#shares.measurements(`${states}`) * (states - 1);
      products += weight * (this.#shares.of(`${states}`)! - this.#one);
      squares += weight * (states - 1);
    }
    return squares === 0 ? 0 : Math.max(0, products / squares);
  }

  /** A draft step as a share of a plain one; undefined before it was measured. */
  get draft(): number | undefined {
    return this.#shares.of("draft");
  }

  /** Number of measurements of passes over two or more states. */
  get verifies(): number {
    return this.measuredStates.filter((states) => states > 1)
      .reduce((sum, states) => sum + this.#shares.measurements(`${states}`), 0);
  }

  /** Number of measurements of draft steps. */
  get drafts(): number {
    return this.#shares.measurements("draft");
  }

  /** Numbers of states that a pass was measured with. */
  get measuredStates(): readonly number[] {
    return this.#shares.names.map(Number).filter((states) => states > 0);
  }

  /**
   * A pass of the target over `states` states, as a share of a plain step. The fewer measurements
   * there are, the more the line through all numbers of states counts.
   */
  verify(states: number): number {
    const line = this.#one + this.#slope * (states - 1);
    const own = this.#shares.of(`${states}`) ?? line;
    const weight = this.#shares.measurements(`${states}`);
    return (weight * own + LINE_WEIGHT * line) / (weight + LINE_WEIGHT);
  }
}
