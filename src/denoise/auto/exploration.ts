/** Decides when to try a way again that seemed slower, since its cost may have changed. */

/**
 * Budget for trials, in turns, that every turn earns. A trial of a way that costs a share s more
 * than the best costs s turns, so a slightly slower way is tried again often, and a much slower one
 * hardly ever.
 */
const EARNED = 0.005;
/**
 * Least cost of a trial, since the way may be slower than it seems, and the limit of the budget.
 */
const LEAST = 0.03;
const MOST_SAVED = 3;

/** One of several ways to do the same thing, with its cost. */
export interface Priced {
  readonly name: string;
  /** Expected cost of a turn, in any unit. */
  readonly cost: number;
  /**
   * Extra cost of a trial over the best way, as a share of a turn; default: the turns' difference.
   */
  readonly look?: number;
}

/** Picks the cheapest way, and now and then another one, whose cost may have changed. */
export class Exploration {
  readonly #lastUse = new Map<string, number>();
  #turns = 0;
  #saved = 0;

  /** Records that `turns` turns were taken in a way. */
  used(name: string, turns = 1): void {
    this.#turns += turns;
    this.#lastUse.set(name, this.#turns);
    this.#saved = Math.min(MOST_SAVED, this.#saved + EARNED * turns);
  }

  /**
   * Picks the way to take next.
   * @param ways at least one way; of equally cheap ones the first counts as the best
   */
  pick<Way extends Priced>(ways: readonly Way[]): Way {
    const best = ways.reduce((a, b) => b.cost < a.cost ? b : a);
    const price = ({ cost, look = cost / best.cost - 1 }: Way) => Math.max(LEAST, look);
    // A more expensive way waits longer for its trial.
    const due = (way: Way) => (this.#turns - (this.#lastUse.get(way.name) ?? 0)) / price(way);
    const others = ways.filter((way) => way !== best && price(way) <= MOST_SAVED);
    if (others.length === 0) return best;
    const next = others.reduce((a, b) => due(b) > due(a) ? b : a);
    if (!(price(next) <= this.#saved)) return best;
    this.#saved -= price(next);
    return next;
  }
}
