/** Where an engine stands, as a state and as a promise. */

import type { TextEngine } from "./request.ts";

/** Begins as `loading`; `failed` is final. */
export class Readiness {
  readonly #onState: () => void;
  #settle = pending();
  #state: TextEngine["state"] = "loading";
  #failure: string | undefined;

  /** @param onState told after every change */
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

  /** Resolves when `ready`, rejects when `failed`; another one after {@linkcode again}. */
  get ready(): Promise<void> {
    return this.#settle.promise;
  }

  /**
   * Until it is ready.
   * @throws the signal's reason, when it is aborted before
   */
  async wait(signal?: AbortSignal): Promise<void> {
    await (signal ? Promise.race([this.ready, aborted(signal)]) : this.ready);
    signal?.throwIfAborted();
    if (this.#state === "failed") throw new Error(this.#failure);
  }

  /** It is ready. */
  succeed(): void {
    if (this.#state === "failed") return;
    this.#become("ready", undefined);
    this.#settle.resolve();
  }

  /** It loads once more. */
  again(reason: string): void {
    if (this.#state === "failed") return;
    // Who waits already goes on waiting.
    if (this.#state === "ready") this.#settle = pending();
    this.#become("loading", reason);
  }

  /** It will not be ready any more. @returns whether that is news */
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
  // A caller may only look at the state.
  settle.promise.catch(() => {});
  return settle;
}

/** Rejects with the signal's reason once it is aborted. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
