/** How many answers end in a second. */

/** Answers that the rate looks back on. */
const LOOKED_AT = 32;

/** The rate at which answers end while any runs; idle time does not count. */
export class AnswerRate {
  readonly #now: () => number;
  /** Milliseconds with a running answer, up to the last time that the number changed. */
  #busy = 0;
  #changed: number;
  #running = 0;
  /** Busy time at the ends of the last answers; before the first of them, where counting begins. */
  readonly #ends: number[] = [0];

  /** @param now milliseconds */
  constructor(now: () => number) {
    this.#now = now;
    this.#changed = now();
  }

  /** Answers in a second of busy time; 0 before the first has ended. */
  get perSecond(): number {
    const count = this.#ends.length - 1;
    const milliseconds = this.#busyTime() - this.#ends[0];
    return count === 0 || milliseconds <= 0 ? 0 : 1000 * count / milliseconds;
  }

  /** An answer has begun. @param running how many run now */
  began(running: number): void {
    this.#change(running);
  }

  /** An answer has ended. @param running how many still run */
  ended(running: number): void {
    this.#change(running);
    this.#ends.push(this.#busy);
    if (this.#ends.length > LOOKED_AT + 1) this.#ends.shift();
  }

  #change(running: number): void {
    this.#busy = this.#busyTime();
    this.#changed = this.#now();
    this.#running = running;
  }

  #busyTime(): number {
    return this.#busy + (this.#running > 0 ? this.#now() - this.#changed : 0);
  }
}
