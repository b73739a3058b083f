/** Time that passes when a test says so, whatever the machine is busy with. */

interface Repeated {
  readonly callback: () => void;
  readonly period: number;
  due: number;
}

/** Stands in for this thread's clock and its repeated timers, until it is disposed of. */
export class StoppedClock implements Disposable {
  readonly #setInterval = globalThis.setInterval;
  readonly #clearInterval = globalThis.clearInterval;
  readonly #repeated = new Map<number, Repeated>();
  #now = performance.now();

  /** @param look milliseconds that pass with each look at the clock, for who waits by looking at it */
  constructor(look = 0) {
    performance.now = () => this.#now += look;
    const set = (callback: () => void, period = 0): number => {
      // A timer like any other, which does not fire before the test is over.
      const id = this.#setInterval(() => {}, 2 ** 30) as unknown as number;
      this.#repeated.set(id, { callback, period, due: this.#now + period });
      return id;
    };
    globalThis.setInterval = set as unknown as typeof setInterval;
    globalThis.clearInterval = (id) => {
      this.#repeated.delete(id as number);
      this.#clearInterval(id);
    };
  }

  /** So many milliseconds pass, and what is due in them is done when it is. */
  pass(milliseconds: number): void {
    const end = this.#now + milliseconds;
    for (;;) {
      const next = [...this.#repeated.values()].sort((a, b) => a.due - b.due)[0];
      if (!next || next.due > end) break;
      this.#now = Math.max(this.#now, next.due);
      next.due += next.period;
      next.callback();
    }
    this.#now = end;
  }

  /** The thread stands still for so long: what was due meanwhile is done once, late. */
  stall(milliseconds: number): void {
    this.#now += milliseconds;
    for (const repeated of [...this.#repeated.values()]) {
      if (repeated.due > this.#now) continue;
      repeated.due = this.#now + repeated.period;
      repeated.callback();
    }
  }

  [Symbol.dispose](): void {
    for (const id of this.#repeated.keys()) this.#clearInterval(id);
    globalThis.setInterval = this.#setInterval;
    globalThis.clearInterval = this.#clearInterval;
    Reflect.deleteProperty(performance, "now");
  }
}
