/** An engine that gets itself a new device when it lost its own. */

import { setTimeout as pause } from "node:timers/promises";
import { GpuFaultError } from "../model/model.ts";
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
/** Milliseconds after which a device that nobody used counts as one that stayed. */
const STAYED = 60_000;
/** Milliseconds before another try to load, by how many failed in a row: a driver may need a while. */
const PAUSES = [0, 1000, 4000, 15_000];

/** How an engine is set up that loads again. */
export interface RecoveryOptions extends EngineOptions {
  /** Told whenever `state` has changed. */
  readonly onState?: () => void;
  /** Milliseconds before each try to load again; with the last one it gives up. */
  readonly pauses?: readonly number[];
}

/** An answer under way. */
interface Answer {
  /** Ends it with an error at once. */
  readonly fail: (error: Error) => void;
  /** Once its engine has let go of it. */
  readonly over: Promise<void>;
}

/**
 * Starts to load at once. After a lost device it loads again, with the same options. It gives up when
 * several tries in a row failed, or gave devices that were lost again before anybody used them.
 */
export class RecoveringEngine implements TextEngine {
  readonly #dir: string;
  readonly #options: EngineOptions;
  readonly #pauses: readonly number[];
  readonly #readiness: Readiness;
  readonly #answers = new Set<Answer>();
  readonly #closing = new AbortController();
  /** The first load, or the last replacement; over where there is an engine. */
  #loading: Promise<void>;
  #engine: Engine | undefined;
  #totals: EngineTotals;
  /** Tries in a row that gave no device that stayed. */
  #failures = 0;
  /** When the device in use counts as one that stayed. */
  #staysFrom = Infinity;

  /** @param dir a model folder in Hugging Face layout */
  constructor(dir: string, { onState, pauses, ...options }: RecoveryOptions = {}) {
    this.#dir = dir;
    this.#options = options;
    this.#totals = options.totals ?? NO_TOTALS;
    this.#pauses = pauses ?? PAUSES;
    this.#readiness = new Readiness(onState);
    this.#loading = this.#load().catch((error) => {
      this.#readiness.fail(messageOf(error));
    });
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
    const engine = this.#engine!;
    this.#staysFrom = 0;
    const events = engine.generate(request, signal);
    const lost = Promise.withResolvers<never>();
    lost.promise.catch(() => {});
    const over = Promise.withResolvers<void>();
    const answer: Answer = { fail: lost.reject, over: over.promise };
    this.#answers.add(answer);
    try {
      for (;;) {
        const next = await Promise.race([events.next(), lost.promise]);
        if (next.done) return;
        yield next.value;
      }
    } catch (error) {
      if (error instanceof GpuFaultError) this.#lose(engine, error.message);
      // Lost by now, here or elsewhere: that is the reason, whatever broke of it.
      if (this.#engine !== engine) await lost.promise;
      throw error;
    } finally {
      const left = events.return().then(() => {}, () => {}).finally(() => {
        this.#answers.delete(answer);
        over.resolve();
      });
      // A device that is gone may keep an answer for good.
      if (this.#engine === engine) await left;
    }
  }

  /** Frees the model, or breaks off loading it; requests under way end with an error. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#readiness.fail("the engine was closed");
    const engine = this.#engine;
    this.#engine = undefined;
    for (const { fail } of this.#answers) fail(new Error("the engine was closed"));
    if (!engine) return await this.#loading;
    // A driver whose device is destroyed while it works may crash the process.
    const { queue, lost } = engine.model.gpu.device;
    await Promise.race([queue.onSubmittedWorkDone().catch(() => {}), lost]);
    engine[Symbol.dispose]();
  }

  async #load(): Promise<void> {
    const engine = await loadEngine(this.#dir, {
      ...this.#options,
      totals: this.#totals,
      onProgress: (done, total) => {
        this.#closing.signal.throwIfAborted();
        this.#options.onProgress?.(done, total);
      },
    });
    if (this.#closing.signal.aborted) return engine[Symbol.dispose]();
    this.#engine = engine;
    this.#staysFrom = performance.now() + STAYED;
    engine.model.gpu.device.lost.then(({ reason, message }) =>
      this.#lose(engine, `the device was lost (${reason}): ${message}`)
    );
    this.#readiness.succeed();
  }

  /** The device is of no more use: answers end, and everything on it is loaded onto another one. */
  #lose(engine: Engine, reason: string): void {
    if (this.#engine !== engine) return;
    this.#engine = undefined;
    this.#totals = engine.totals;
    this.#failures = performance.now() < this.#staysFrom ? this.#failures + 1 : 0;
    for (const { fail } of this.#answers) {
      fail(
        new UnavailableError(
          "The GPU device failed while answering. Ask again in a moment, when the model is loaded " +
            "again.",
          "device_lost",
          reason,
        ),
      );
    }
    this.#readiness.again(`the GPU device failed and the model is loaded again: ${reason}`);
    this.#loading = this.#replace(engine, reason);
  }

  async #replace(engine: Engine, reason: string): Promise<void> {
    const answers = Promise.all([...this.#answers].map(({ over }) => over));
    const noticed = new AbortController();
    await Promise.race([answers, this.#pause(NOTICE, noticed.signal)]);
    noticed.abort();
    this.#totals = engine.totals;
    engine[Symbol.dispose]();
    let last = reason;
    for (; this.#failures < this.#pauses.length; this.#failures++) {
      await this.#pause(this.#pauses[this.#failures]);
      if (this.#closing.signal.aborted) return;
      try {
        return await this.#load();
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        last = messageOf(error);
      }
    }
    this.#readiness.fail(
      `the GPU device failed (${reason}) and was not to be had again in ${this.#failures} tries. ` +
        "Look for the driver's messages in the system's log, then start again. " +
        `The last try: ${last}`,
    );
  }

  /** Over at once when either signal aborts. */
  async #pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
    const { signal: closing } = this.#closing;
    const either = signal ? AbortSignal.any([signal, closing]) : closing;
    await pause(milliseconds, undefined, { signal: either }).catch(() => {});
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
