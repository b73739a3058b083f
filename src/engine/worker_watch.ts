/** Whether a Worker is still alive: it says so itself, again and again. */

/** Milliseconds between two signs of life. */
export const ALIVE_INTERVAL = 1000;

/** How long a Worker may be silent, in milliseconds. */
export interface WorkerPatience {
  /** While it runs its own code: more than a garbage collection or a busy machine takes from it. */
  readonly own: number;
  /** While it waits for the GPU, or has a driver compile: its thread stands still then. */
  readonly gpu: number;
  /** While it starts and loads: drivers, files and tokenizers take their time. */
  readonly start: number;
}

/** What a Worker gets unless told otherwise. A forward pass on a software adapter may take minutes. */
export const PATIENCE: WorkerPatience = { own: 6000, gpu: 600_000, start: 60_000 };

/** Tells when a Worker has been silent for too long. */
export class WorkerWatch implements Disposable {
  readonly #patience: WorkerPatience;
  readonly #timer: ReturnType<typeof setInterval>;
  #kind: keyof WorkerPatience = "start";
  #heard = performance.now();
  #looked = performance.now();

  /** @param onSilent told once, how many milliseconds it has been silent and what it was about */
  constructor(
    patience: WorkerPatience,
    onSilent: (milliseconds: number, kind: keyof WorkerPatience) => void,
  ) {
    this.#patience = patience;
    this.#timer = setInterval(() => {
      const now = performance.now();
      // This thread, or the whole machine, was asleep itself: nothing can be said of the Worker.
      if (now - this.#looked > 3 * ALIVE_INTERVAL) this.#heard = now;
      this.#looked = now;
      const silent = now - this.#heard;
      if (silent < this.#patience[this.#kind]) return;
      clearInterval(this.#timer);
      onSilent(silent, this.#kind);
    }, ALIVE_INTERVAL / 2);
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  /** It said something. @param kind what it is about from now on */
  heard(kind: keyof WorkerPatience): void {
    this.#heard = performance.now();
    this.#kind = kind;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
