/** One thing at a time that a view has the server do; it can be stopped. */

/** What is under way in a view, and why the last of it failed. */
export class Work {
  /** Why the last one came to nothing; empty where it did not. */
  problem = "";
  /** Status of the response that says so; 0 where there was none. */
  status = 0;
  readonly #changed: () => void;
  #controller: AbortController | undefined;

  /** @param changed called when something begins and when it ends */
  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get running(): boolean {
    return this.#controller !== undefined;
  }

  /** Does it; what is under way is stopped. */
  async run(task: (signal: AbortSignal) => Promise<void>): Promise<void> {
    this.stop();
    const controller = new AbortController();
    this.#controller = controller;
    this.problem = "";
    this.#changed();
    let problem = "";
    let status = 0;
    try {
      await task(controller.signal);
    } catch (error) {
      if (!controller.signal.aborted) {
        problem = (error as Error).message;
        status = (error as { readonly status?: number }).status ?? 0;
      }
    }
    // Another may have taken its place.
    if (this.#controller !== controller) return;
    this.#controller = undefined;
    this.problem = problem;
    this.status = status;
    this.#changed();
  }

  stop(): void {
    this.#controller?.abort();
  }
}
