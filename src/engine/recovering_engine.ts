/** An engine that loads its model again on a new device after its device was lost. */

import { setTimeout as pause } from "node:timers/promises";
import { GpuFaultError } from "../model/model.ts";
import type { Engine } from "./engine.ts";
import { type EngineOptions, loadEngine } from "./load.ts";
import { atRest, type LoadFigures, NO_LOAD } from "./load_figures.ts";
import { Readiness } from "./readiness.ts";
import {
  type GenerateEvent,
  type GenerateRequest,
  type ModelSummary,
  type TextEngine,
  type TextQuestion,
  type TokenizedText,
  UnavailableError,
} from "./request.ts";
import { type EngineTotals, NO_TOTALS } from "./stats.ts";

/** Milliseconds that running answers get to notice that their device is lost. */
const NOTICE = 2000;
/** Milliseconds after which an unused device counts as stable. */
const STAYED = 60_000;
/** Milliseconds before each try to load, by failures in a row: a driver may need time. */
const PAUSES = [0, 1000, 4000, 15_000];

/** Options of a recovering engine. */
export interface RecoveryOptions extends EngineOptions {
  /** Called whenever `state` has changed. */
  readonly onState?: () => void;
  /** Milliseconds before each try to load again; there are as many tries as entries. */
  readonly pauses?: readonly number[];
}

/** A running answer. */
interface Answer {
  /** Ends the answer with an error at once. */
  readonly fail: (error: Error) => void;
  /** Resolves once the engine has stopped working on the answer. */
  readonly over: Promise<void>;
}

/**
 * An engine that starts to load at once, and loads again with the same options after its device was
 * lost. It gives up after several failed tries in a row. A device that is lost before anybody used
 * it counts as a failed try.
 */
export class RecoveringEngine implements TextEngine {
  readonly #dir: string;
  readonly #options: EngineOptions;
  readonly #pauses: readonly number[];
  readonly #readiness: Readiness;
  readonly #answers = new Set<Answer>();
  readonly #closing = new AbortController();
  /** The load that runs now, or the last one. */
  #loading: Promise<void>;
  #engine: Engine | undefined;
  #totals: EngineTotals;
  /** The load over all devices before the present one. */
  #loadBefore: LoadFigures;
  /** Tries in a row that gave no device that stayed. */
  #failures = 0;
  /** Time at which the current device counts as stable. */
  #staysFrom = Infinity;

  /** @param dir a model folder in Hugging Face layout */
  constructor(dir: string, { onState, pauses, ...options }: RecoveryOptions = {}) {
    this.#dir = dir;
    this.#options = options;
    this.#totals = options.totals ?? NO_TOTALS;
    this.#loadBefore = options.load ?? NO_LOAD;
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

  /** Totals over all devices. */
  get totals(): EngineTotals {
    return this.#engine?.totals ?? this.#totals;
  }

  /** The load over all devices. */
  get load(): LoadFigures {
    return this.#engine?.load ?? this.#loadBefore;
  }

  /** The current engine; undefined unless `ready`. */
  get engine(): Engine | undefined {
    return this.#engine;
  }

  /** Like `TextEngine.generate`; waits until the model is loaded. */
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
      // A lost device is the real reason, whatever error it caused here.
      if (this.#engine !== engine) await lost.promise;
      throw error;
    } finally {
      const left = events.return().then(() => {}, () => {}).finally(() => {
        this.#answers.delete(answer);
        over.resolve();
      });
      // An answer on a lost device may never end.
      if (this.#engine === engine) await left;
    }
  }

  /** Like `TextEngine.text`; waits until the model is loaded. */
  async text(question: TextQuestion): Promise<TokenizedText> {
    await this.#readiness.wait();
    return this.#engine!.text(question);
  }

  /** Frees the model or stops loading it; running requests end with an error. */
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
      load: this.#loadBefore,
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
    // What fails here fails again, and is told, when somebody asks.
    engine.timePasses(this.#closing.signal).catch(() => {});
  }

  /** Ends the answers on a lost device and loads everything onto another device. */
  #lose(engine: Engine, reason: string): void {
    if (this.#engine !== engine) return;
    this.#engine = undefined;
    this.#totals = engine.totals;
    this.#loadBefore = atRest(engine.load);
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
    this.#loadBefore = atRest(engine.load);
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
      `the GPU device failed (${reason}) and could not be acquired again in ` +
        `${this.#failures} tries. Look for the driver's messages in the system's log, then start ` +
        "again. " +
        `The last try: ${last}`,
    );
  }

  /** Waits some milliseconds, less if either signal aborts. */
  async #pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
    const { signal: closing } = this.#closing;
    const either = signal ? AbortSignal.any([signal, closing]) : closing;
    await pause(milliseconds, undefined, { signal: either }).catch(() => {});
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
