/** A bound on what is used within any 60 seconds. */

/** Milliseconds of the span that is looked at. */
const MINUTE = 60_000;
/** Uses that are over are dropped from memory so many at once. */
const DROPPED = 1024;

/**
 * Counts uses of the last 60 seconds. Windows that all begin anew each minute, or a bucket that fills
 * up, would let twice the bound through within some 60 seconds; this lets the bound.
 */
export class MinuteLimit {
  readonly #most: number;
  readonly #now: () => number;
  /** In order; those before `#first` are over. */
  #uses: { readonly at: number; readonly amount: number }[] = [];
  #first = 0;
  #sum = 0;

  /**
   * @param most what may be used within 60 seconds
   * @param now milliseconds of a clock that never goes back
   */
  constructor(most: number, now: () => number = () => performance.now()) {
    this.#most = most;
    this.#now = now;
  }

  /** What may be used within 60 seconds. */
  get most(): number {
    return this.#most;
  }

  /** What is left now; 0 when more was used than may be. */
  get left(): number {
    this.#forget();
    return Math.max(0, this.#most - this.#sum);
  }

  /** Milliseconds until all of it is left, if nothing is used meanwhile. */
  get fullAfter(): number {
    this.#forget();
    const last = this.#uses.at(-1);
    return last === undefined ? 0 : last.at + MINUTE - this.#now();
  }

  /** Milliseconds until something is left; 0 if something is now. */
  get wait(): number {
    this.#forget();
    let sum = this.#sum;
    for (let i = this.#first; sum >= this.#most; i++) {
      sum -= this.#uses[i].amount;
      if (sum < this.#most) return this.#uses[i].at + MINUTE - this.#now();
    }
    return 0;
  }

  /**
   * Uses an amount, also where more than the bound is used then.
   * @param amount 0 or above
   * @returns gives it back, if it was not used after all; to be called once at most
   */
  use(amount: number): () => void {
    this.#forget();
    if (amount <= 0) return () => {};
    const use = { at: this.#now(), amount };
    this.#uses.push(use);
    this.#sum += amount;
    return () => {
      const index = this.#uses.indexOf(use, this.#first);
      // One that is a minute old is given back already.
      if (index < 0) return;
      this.#uses.splice(index, 1);
      this.#sum -= amount;
    };
  }

  #forget(): void {
    const since = this.#now() - MINUTE;
    while (this.#first < this.#uses.length && this.#uses[this.#first].at <= since) {
      this.#sum -= this.#uses[this.#first++].amount;
    }
    if (this.#first === this.#uses.length || this.#first >= DROPPED) {
      this.#uses = this.#uses.slice(this.#first);
      this.#first = 0;
    }
  }
}
