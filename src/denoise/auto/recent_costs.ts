/** Costs from a few recent measurements, some of which are disturbed. */

/** Keeps the last few values of each name. */
export class Recent<T> {
  readonly #most: number;
  readonly #values = new Map<string, readonly T[]>();

  /** @param most number of values kept for each name */
  constructor(most: number) {
    this.#most = most;
  }

  /** Values of a name, oldest first. */
  of(name: string): readonly T[] {
    return this.#values.get(name) ?? [];
  }

  /** Every name that has a value. */
  get names(): readonly string[] {
    return [...this.#values.keys()];
  }

  /** Adds a value, and drops the oldest if there are too many. */
  add(name: string, value: T): void {
    this.#values.set(name, [...this.of(name), value].slice(-this.#most));
  }
}

/**
 * The median; of few or evenly many values, a lower one. Other work on the machine makes some
 * measurements several times too long, but none too short. Undefined for no values.
 */
export function middle(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, (sorted.length >> 1) - 1)];
}

/** Number of measurements kept for each cost. */
const KEPT = 15;

/**
 * Costs of repeated work, by name: the median of the last few measurements. The first measurement
 * of each name is left out, because it includes compiling kernels.
 */
export class Costs {
  readonly #recent = new Recent<number>(KEPT);
  readonly #begun = new Set<string>();

  /** Number of measurements of a name. */
  measurements(name: string): number {
    return this.#recent.of(name).length;
  }

  /** Whether a name was measured at all, counting the first measurement. */
  has(name: string): boolean {
    return this.#begun.has(name);
  }

  /** Names that were measured. */
  get names(): readonly string[] {
    return this.#recent.names;
  }

  /** Cost of a name; undefined before it was measured. */
  of(name: string): number | undefined {
    return middle(this.#recent.of(name));
  }

  /** Adds a measurement; one that is not above 0 is ignored. */
  add(name: string, cost: number): void {
    if (!(cost > 0)) return;
    if (this.#begun.has(name)) this.#recent.add(name, cost);
    this.#begun.add(name);
  }
}
