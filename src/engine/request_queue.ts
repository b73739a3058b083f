/** Lets requests through one at a time, in the order they came. */

import { BusyError } from "./request.ts";

/** Seconds after which a client that found the queue full should try again. */
const RETRY_AFTER_SECONDS = 5;

/** A first-come, first-served queue with a bound. */
export class RequestQueue {
  readonly #limit: number;
  readonly #waiting: (() => void)[] = [];
  #busy = false;

  /** @param limit number of requests that may wait */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Number of requests that wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /** @throws {BusyError} when the queue is full */
  checkRoom(): void {
    if (!this.#busy || this.#waiting.length < this.#limit) return;
    throw new BusyError(
      `${this.#limit} requests are waiting already and no more can wait: try again later`,
      RETRY_AFTER_SECONDS,
    );
  }

  /**
   * Waits for the request's turn.
   * @returns a function to call when the request is done
   * @throws {BusyError} when the queue is full
   * @throws the signal's reason, when it is aborted while waiting
   */
  async enter(signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    this.checkRoom();
    if (this.#busy) await this.#turn(signal);
    this.#busy = true;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const next = this.#waiting.shift();
      if (next) next();
      else this.#busy = false;
    };
  }

  #turn(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = () => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(signal!.reason);
      };
      this.#waiting.push(go);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }
}
