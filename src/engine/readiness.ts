/** Whether an engine is ready, as a state and as a promise. */

import type { TextEngine } from "./request.ts";

/** The state of an engine. It begins as `loading`; `failed` is final. */
export class Readiness {
  readonly #onState: () => void;
  #settle = pending();
  #state: TextEngine["state"] = "loading";
  #failure: string | undefined;

  /** @param onState called after every change */
  constructor(onState: () => void = () => {}) {
    this.#onState = onState;
  }

  get state(): TextEngine["state"] {
    return this.#state;
  }

  /** Why it failed, or why it loads again. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Resolves when `ready`, rejects when `failed`; {@linkcode again} makes a new promise. */
  get ready(): Promise<void> {
    return this.#settle.promise;
  }

  /**
   * Waits until the engine is ready.
   * @throws the signal's reason, when it is aborted first
   */
  async wait(signal?: AbortSignal): Promise<void> {
    await (signal ? unlessAborted(this.ready, signal) : this.ready);
    if (this.#state === "failed") throw new Error(this.#failure);
  }

  /** Sets the state to `ready`. */
  succeed(): void {
    if (this.#state === "failed") return;
    this.#become("ready", undefined);
    this.#settle.resolve();
  }

  /** Sets the state back to `loading`. */
  again(reason: string): void {
    if (this.#state === "failed") return;
    // Callers that already wait keep their promise and go on waiting.
    if (this.#state === "ready") this.#settle = pending();
    this.#become("loading", reason);
  }

  /** Sets the state to `failed`, for good. @returns whether it was not `failed` before */
  fail(reason: string): boolean {
    if (this.#state === "failed") return false;
    this.#become("failed", reason);
    this.#settle.reject(new Error(reason));
    return true;
  }

  #become(state: TextEngine["state"], failure: string | undefined): void {
    this.#state = state;
    this.#failure = failure;
    this.#onState();
  }
}

function pending(): PromiseWithResolvers<void> {
  const settle = Promise.withResolvers<void>();
  // A caller that only reads the state must not cause an unhandled rejection.
  settle.promise.catch(() => {});
  return settle;
}

/** Waits for a promise. @throws the signal's reason, when it is aborted first */
async function unlessAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    await Promise.race([promise, aborted.promise]);
  } finally {
    // A caller may use one signal for all that it ever asks.
    signal.removeEventListener("abort", abort);
  }
  signal.throwIfAborted();
}
