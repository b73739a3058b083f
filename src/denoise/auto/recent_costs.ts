/** Figures from a few recent measurements, some of which are off. */

/** The last few of many values, by name. */
export class Recent<T> {
  readonly #most: number;
  readonly #values = new Map<string, readonly T[]>();

  /** @param most values kept of each name */
  constructor(most: number) {
    this.#most = most;
  }

  /** Those of a name, oldest first. */
  of(name: string): readonly T[] {
    return this.#values.get(name) ?? [];
  }

  /** Every name that has a value. */
  get names(): readonly string[] {
    return [...this.#values.keys()];
  }

  /** Takes one more; the oldest is forgotten where there are too many. */
  add(name: string, value: T): void {
    this.#values.set(name, [...this.of(name), value].slice(-this.#most));
  }
}

/**
 * The median, and of few or evenly many values the lower one: what else a machine does makes some
 * measurements several times too long, and none too short. Undefined of no values.
 */
export function middle(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, (sorted.length >> 1) - 1)];
}

/** Measurements of a cost that are kept. */
const KEPT = 15;

/**
 * What things cost that are done again and again. The first measurement of each name is left out: it
 * holds the compilation of kernels. Of the last few the middle counts.
 */
export class Costs {
  readonly #recent = new Recent<number>(KEPT);
  readonly #begun = new Set<string>();

  /** How many measurements it rests on. */
  measurements(name: string): number {
    return this.#recent.of(name).length;
  }

  /** Whether anything was measured, the first included. */
  has(name: string): boolean {
    return this.#begun.has(name);
  }

  /** What was measured, by name. */
  get names(): readonly string[] {
    return this.#recent.names;
  }

  /** Undefined before it was measured. */
  of(name: string): number | undefined {
    return middle(this.#recent.of(name));
  }

  /** Takes a measurement; one that is not above 0 says nothing. */
  add(name: string, cost: number): void {
    if (!(cost > 0)) return;
    if (this.#begun.has(name)) this.#recent.add(name, cost);
    this.#begun.add(name);
  }
}
