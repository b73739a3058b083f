/** When to try again what is not the best as far as one knows. */

/**
 * Trying a way that is dearer than the best by a share s costs s turns; every turn earns this much for
 * it. So near ways are looked at again often, and far ones hardly ever.
 */
const EARNED = 0.005;
/** Least cost of a look, since the way may be dearer than it seems, and the most that is saved up. */
const LEAST = 0.03;
const MOST_SAVED = 3;

/** One of several ways to do a thing. */
export interface Priced {
  readonly name: string;
  /** What a turn of it is expected to cost, in any unit. */
  readonly cost: number;
}

/** Picks the cheapest way, and now and then another, whose cost may have changed. */
export class Looks {
  readonly #lastUse = new Map<string, number>();
  #turns = 0;
  #saved = 0;

  /** A turn was taken so. */
  used(name: string): void {
    this.#lastUse.set(name, ++this.#turns);
    this.#saved = Math.min(MOST_SAVED, this.#saved + EARNED);
  }

  /**
   * The way to take next.
   * @param ways not empty; of equal ones the first is the best
   * @param share of a turn that a look takes
   */
  pick<Way extends Priced>(ways: readonly Way[], share = 1): Way {
    const best = ways.reduce((a, b) => b.cost < a.cost ? b : a);
    const price = ({ cost }: Way) => share * Math.max(LEAST, cost / best.cost - 1);
    // The dearer, the longer it waits.
    const due = (way: Way) => (this.#turns - (this.#lastUse.get(way.name) ?? 0)) / price(way);
    const others = ways.filter((way) => way !== best && price(way) <= MOST_SAVED);
    if (others.length === 0) return best;
    const next = others.reduce((a, b) => due(b) > due(a) ? b : a);
    if (!(price(next) <= this.#saved)) return best;
    this.#saved -= price(next);
    return next;
  }
}
