/** An engine that gets itself a new device when it lost its own. */

import type { Engine } from "./engine.ts";
import { type EngineOptions, loadEngine } from "./load.ts";
import { Readiness } from "./readiness.ts";
import {
  type GenerateEvent,
  type GenerateRequest,
  type ModelSummary,
  type TextEngine,
  UnavailableError,
} from "./request.ts";
import { type EngineTotals, NO_TOTALS } from "./stats.ts";

/** Milliseconds that answers get to notice that their device is gone. */
const NOTICE = 2000;

/** Starts to load at once; loads again after a lost device, with the same options. */
export class RecoveringEngine implements TextEngine {
  readonly #dir: string;
  readonly #options: EngineOptions;
  readonly #readiness: Readiness;
  readonly #running = new Set<Promise<void>>();
  #engine: Engine | undefined;
  #totals = NO_TOTALS;
  #closed = false;

  /** @param onState told whenever `state` has changed */
  constructor(dir: string, options: EngineOptions = {}, onState: () => void = () => {}) {
    this.#dir = dir;
    this.#options = options;
    this.#readiness = new Readiness(onState);
    void this.#load();
  }

  get state(): TextEngine["state"] {
    return this.#readiness.state;
  }

  get failure(): string | undefined {
    return this.#readiness.failure;
  }

  get ready(): Promise<void> {
    return this.#readiness.ready;
  }

  get model(): ModelSummary | undefined {
    return this.#engine?.summary;
  }

  /** What it has done, with every device. */
  get totals(): EngineTotals {
    return this.#engine?.totals ?? this.#totals;
  }

  /** What answers now; undefined unless `ready`. */
  get engine(): Engine | undefined {
    return this.#engine;
  }

  /** As `TextEngine.generate`; waits until the model is loaded. */
  async *generate(
    request: GenerateRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerateEvent, void, void> {
    await this.#readiness.wait(signal);
    const engine = this.#engine;
    if (!engine) throw new Error(this.failure);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#running.add(promise);
    try {
      yield* engine.generate(request, signal);
    } catch (error) {
      throw this.#explained(engine, error);
    } finally {
      this.#running.delete(promise);
      resolve();
    }
  }

  /** Frees the model; requests under way end with an error. */
  // deno-lint-ignore require-await -- as TextEngine has it
  async close(): Promise<void> {
    this.#closed = true;
    this.#readiness.fail("the engine was closed");
    this.#engine?.[Symbol.dispose]();
    this.#engine = undefined;
  }

  async #load(): Promise<void> {
    try {
      const engine = await loadEngine(this.#dir, { ...this.#options, totals: this.#totals });
      if (this.#closed) return engine[Symbol.dispose]();
      this.#engine = engine;
      engine.model.gpu.device.lost.then(({ message }) => this.#lose(engine, message));
      this.#readiness.succeed();
    } catch (error) {
      this.#readiness.fail(error instanceof Error ? error.message : String(error));
    }
  }

  /** The device is of no more use: everything on it is loaded onto another one. */
  #lose(engine: Engine, reason: string): void {
    if (this.#engine !== engine || this.#closed) return;
    this.#engine = undefined;
    this.#totals = engine.totals;
    this.#readiness.again(`the GPU device failed and the model is loaded again: ${reason}`);
    void this.#replace(engine);
  }

  async #replace(engine: Engine): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const patience = new Promise<void>((resolve) => timer = setTimeout(resolve, NOTICE));
    await Promise.race([Promise.allSettled(this.#running), patience]);
    clearTimeout(timer);
    this.#totals = engine.totals;
    engine[Symbol.dispose]();
    if (!this.#closed) await this.#load();
  }

  /** An answer's error in the words of a client; a device that failed is replaced. */
  #explained(engine: Engine, error: unknown): unknown {
    try {
      engine.model.gpu.throwIfFaulty();
      return error;
    } catch (fault) {
      this.#lose(engine, (fault as Error).message);
      return new UnavailableError(
        "The GPU device failed while answering. The model is being loaded again: send the request " +
          "again once GET /health is 200.",
        "device_lost",
        { cause: fault },
      );
    }
  }
}
