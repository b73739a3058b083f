/** What passes cost against a step of the plain schedule, measured beside it. */

import { Costs, middle } from "./recent_costs.ts";

/** Plain steps, the latest, that tell how fast the machine is just now. */
const LATEST = 5;
/** Passes behind a plain step that are measured against it. */
const NEAR = 8;
/** Measurements of a pass before it can tell the pace. */
const ENOUGH = 3;
/** Measurements of a number of states that the line through all of them counts as. */
const LINE_WEIGHT = 8;

/**
 * Shares of a plain step. What else the machine does makes all passes dearer alike, so shares stay
 * while milliseconds drift; far behind the last plain step, a pass whose share is known tells what a
 * plain step takes by now. The first measurement of each pass is left out: kernels are compiled in it.
 */
export class RelativeCosts {
  readonly #shares = new Costs();
  #latest: readonly number[] = [];
  #begun = false;
  #behindPlain = 0;

  /** Milliseconds per row of a plain step just now; undefined before one was measured. */
  get plainStep(): number | undefined {
    return middle(this.#latest);
  }

  /** A step of the plain schedule took so long. */
  addPlain(millisecondsPerRow: number): void {
    if (!(millisecondsPerRow > 0)) return;
    if (this.#begun) this.#setPace(millisecondsPerRow);
    this.#begun = true;
    this.#behindPlain = 0;
  }

  /** A denoising step of the draft took so long. */
  addDraft(millisecondsPerRow: number): void {
    this.#add("draft", millisecondsPerRow);
  }

  /** A forward pass of the target over `states` states took so long. */
  addVerify(states: number, millisecondsPerRow: number): void {
    this.#add(`${states}`, millisecondsPerRow);
  }

  #setPace(plainStep: number): void {
    this.#latest = [...this.#latest, plainStep].slice(-LATEST);
  }

  #add(name: string, millisecondsPerRow: number): void {
    const plain = this.plainStep;
    if (plain === undefined || !(millisecondsPerRow > 0)) return;
    const sure = this.#shares.measurements(name) >= ENOUGH;
    if (this.#behindPlain++ >= NEAR && sure) {
      this.#setPace(millisecondsPerRow / this.#shares.of(name)!);
    } else this.#shares.add(name, millisecondsPerRow / plain);
  }

  /** A pass over one state: a plain step's work, read back in another way. */
  get #one(): number {
    return this.#shares.measurements("1") < ENOUGH ? 1 : this.#shares.of("1")!;
  }

  /** What each further state adds: the line through one state that is nearest to what was measured. */
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

  /** Measurements of passes over two or more states. */
  get verifies(): number {
    return this.measuredStates.filter((states) => states > 1)
      .reduce((sum, states) => sum + this.#shares.measurements(`${states}`), 0);
  }

  /** Measurements of draft steps. */
  get drafts(): number {
    return this.#shares.measurements("draft");
  }

  /** Numbers of states that a pass was measured with. */
  get measuredStates(): readonly number[] {
    return this.#shares.names.map(Number).filter((states) => states > 0);
  }

  /**
   * A pass of the target over `states` states as a share of a plain step: as measured, mixed with the
   * line through all numbers of states where it was measured seldom.
   */
  verify(states: number): number {
    const line = this.#one + this.#slope * (states - 1);
    const own = this.#shares.of(`${states}`) ?? line;
    const weight = this.#shares.measurements(`${states}`);
    return (weight * own + LINE_WEIGHT * line) / (weight + LINE_WEIGHT);
  }
}
