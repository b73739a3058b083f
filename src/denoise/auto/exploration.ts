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
  /** What a look at it costs beyond the best, as a share of a turn; by default a turn's difference. */
  readonly look?: number;
}

/** Picks the cheapest way, and now and then another, whose cost may have changed. */
export class Exploration {
  readonly #lastUse = new Map<string, number>();
  #turns = 0;
  #saved = 0;

  /** So many turns were taken so. */
  used(name: string, turns = 1): void {
    this.#turns += turns;
    this.#lastUse.set(name, this.#turns);
    this.#saved = Math.min(MOST_SAVED, this.#saved + EARNED * turns);
  }

  /**
   * The way to take next.
   * @param ways not empty; of equal ones the first is the best
   */
  pick<Way extends Priced>(ways: readonly Way[]): Way {
    const best = ways.reduce((a, b) => b.cost < a.cost ? b : a);
    const price = ({ cost, look = cost / best.cost - 1 }: Way) => Math.max(LEAST, look);
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
