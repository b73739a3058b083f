/** An engine in a Worker, as the thread that owns the Worker uses it. */

import type { ProviderName } from "../model/loading/load.ts";
import type { MemoryPlan } from "../model/memory/memory_plan.ts";
import type { DeviceFacts } from "./device_facts.ts";
import { EMBEDDED_TARGET } from "./embedded_models.ts";
import type { LoadOptions } from "./load.ts";
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
import { type EngineTotals, NO_TOTALS, withUnfinished } from "./stats.ts";
import { namedTuning } from "./tuning_file.ts";
import {
  fromPlain,
  type FromWorker,
  toPlain,
  type ToWorker,
  type WorkerLoadOptions,
} from "./worker_messages.ts";
import { PATIENCE, type WorkerPatience, WorkerWatch } from "./worker_watch.ts";

/** Milliseconds that a Worker may take to end its work before it is terminated. */
const CLOSE_PATIENCE = 3000;

/**
 * Options of a Worker engine. The provider is a name, because no object can be sent to a Worker.
 */
export interface WorkerEngineOptions extends LoadOptions {
  /** The WebGPU to compute with (default `native`). */
  readonly provider?: ProviderName;
  /** Called whenever the engine's `state` has changed. */
  readonly onState?: () => void;
  /** How long the Worker may be silent, in milliseconds, before another one replaces it. */
  readonly patience?: WorkerPatience;
}

/** Milliseconds after which a Worker counts as one that works. */
const STAYED = 60_000;
/** Workers in a row that may stop before that. */
const MOST_RESTARTS = 3;

/** Milliseconds that a stopped Worker takes at most to unload its driver. */
const TEARDOWN = 200;

/** Messages for a request that have not been read yet. */
interface Mailbox {
  readonly messages: FromWorker[];
  wake: () => void;
  /** Whether an answer has begun for which no end has come. */
  isUnderWay: boolean;
}

/**
 * A model in a Worker, for programs that must stay responsive while the GPU computes, such as
 * servers and user interfaces. It starts to load at once, and loads again after the device was
 * lost.
 *
 * ```ts
 * import { WorkerEngine } from "@unmask/unmask";
 *
 * const engine = new WorkerEngine(); // the embedded tiny model, or new WorkerEngine("path/to/a/model")
 * await engine.ready;
 * const messages = [{ role: "user", content: "What is 7 times 8?" }];
 * for await (const event of engine.generate({ messages, maxTokens: 32 })) {
 *   if (event.type === "end") console.log(event.text, event.usage.completionTokens);
 * }
 * await engine.close();
 * ```
 */
export class WorkerEngine implements TextEngine {
  readonly #dir: string;
  readonly #options: WorkerLoadOptions;
  readonly #patience: WorkerPatience;
  #worker: Worker;
  #watch: WorkerWatch;
  /** Workers in a row that stopped before they answered for a while. */
  #restarts = 0;
  #startedAt = 0;
  readonly #mailboxes = new Map<number, Mailbox>();
  readonly #told: Pick<WorkerEngineOptions, "onProgress" | "onProvider" | "onPlan">;
  readonly #readiness: Readiness;
  #model: ModelSummary | undefined;
  #adapter: string | undefined;
  #plan: MemoryPlan | undefined;
  #totals = NO_TOTALS;
  #load = NO_LOAD;
  #nextId = 0;
  #closed: PromiseWithResolvers<void> | undefined;

  /**
   * Starts the Worker.
   * @param dir path of a model folder (default: the embedded tiny model); permissions as for `load`
   * @throws {Error} naming the tuning file that is missing or wrong
   */
  constructor(dir: string = EMBEDDED_TARGET, options: WorkerEngineOptions = {}) {
    const { onProgress, onProvider, onPlan, onState, tuning, patience = PATIENCE, ...told } =
      options;
    const tuned = tuning === undefined ? undefined : namedTuning(tuning);
    this.#told = { onProgress, onProvider, onPlan };
    this.#readiness = new Readiness(onState);
    this.#dir = dir;
    this.#options = { ...told, tuned };
    this.#patience = patience;
    [this.#worker, this.#watch] = this.#start();
  }

  /** A Worker that loads, and what notices when it is silent. */
  #start(): [Worker, WorkerWatch] {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    const watch = new WorkerWatch(this.#patience, (milliseconds, kind) => {
      const what = kind === "gpu" ? "waited for the GPU" : kind === "own" ? "was silent" : "loaded";
      this.#replace(`it ${what} for ${(milliseconds / 1000).toFixed(0)} s`);
    });
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      const waits = data.type === "alive" && data.waits;
      this.#receive(data);
      watch.heard(this.state === "loading" ? "start" : waits ? "gpu" : "own");
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#replace(`it threw: ${event.message}`);
    };
    this.#startedAt = performance.now();
    const options = { ...this.#options, totals: this.#totals, load: this.#load };
    worker.postMessage({ type: "load", dir: this.#dir, options } satisfies ToWorker);
    return [worker, watch];
  }

  /** The Worker is of no more use: its answers end with an error, and another one loads. */
  #replace(reason: string): void {
    this.#watch[Symbol.dispose]();
    this.#worker.onmessage = null;
    this.#worker.onerror = null;
    this.#worker.terminate();
    // It cannot tell any more what has become of its answers.
    for (const { isUnderWay } of this.#mailboxes.values()) {
      if (isUnderWay) this.#totals = withUnfinished(this.#totals);
    }
    this.#load = atRest(this.#load);
    if (this.#closed) return this.#closed.resolve();
    const stayed = performance.now() - this.#startedAt > STAYED;
    this.#restarts = stayed ? 1 : this.#restarts + 1;
    if (this.#restarts > MOST_RESTARTS) {
      this.#fail(`the engine stopped ${this.#restarts} times in a row: ${reason}`);
      return;
    }
    const error = toPlain(
      new UnavailableError(
        "The engine stopped while answering and is started again. Ask again in a moment.",
        "engine_restarted",
        reason,
      ),
    );
    for (const [id, mailbox] of this.#mailboxes) {
      this.#deliver(mailbox, { type: "error", id, error });
    }
    this.#readiness.again(`the engine stopped and is started again: ${reason}`);
    [this.#worker, this.#watch] = this.#start();
  }

  /** Resolves when the model is loaded; rejects with the reason when it cannot be. */
  get ready(): Promise<void> {
    return this.#readiness.ready;
  }

  /**
   * State of the engine: `loading`, then `ready` or `failed`; `loading` again after a lost device.
   */
  get state(): TextEngine["state"] {
    return this.#readiness.state;
  }

  /** Why loading failed, why the engine stopped, or why it loads again. */
  get failure(): string | undefined {
    return this.#readiness.failure;
  }

  /** Summary of the model; known once `ready`. */
  get model(): ModelSummary | undefined {
    return this.#model;
  }

  /** Name of the adapter that computes, once `ready`. */
  get adapter(): string | undefined {
    return this.#adapter;
  }

  /** The device and what its memory holds, once `ready`. */
  get device(): DeviceFacts | undefined {
    if (this.#adapter === undefined) return undefined;
    const { bytes, limit = Infinity } = this.#plan ?? {};
    const memoryBytes = Number.isFinite(limit) ? limit : undefined;
    return { adapter: this.#adapter, plannedBytes: bytes, memoryBytes };
  }

  /** Totals of all answers so far; an answer is counted before its last event arrives. */
  get totals(): EngineTotals {
    return this.#totals;
  }

  /**
   * How busy it is, and how well its requests share forward passes: as of the last second, or of the
   * last answer that began or ended.
   */
  get load(): LoadFigures {
    return this.#load;
  }

  /**
   * Denoises one answer like `LoadedModel.generate`; waits until the model is loaded.
   * @throws as {@linkcode TextEngine.generate}
   * @throws {Error} when the model could not be loaded, or the engine was closed
   */
  async *generate(
    request: GenerateRequest,
    signal?: AbortSignal,
  ): AsyncGenerator<GenerateEvent, void, void> {
    await this.#readiness.wait(signal);
    const id = this.#nextId++;
    const mailbox: Mailbox = { messages: [], wake: () => {}, isUnderWay: false };
    this.#mailboxes.set(id, mailbox);
    const abort = () => mailbox.wake();
    signal?.addEventListener("abort", abort);
    this.#post({ type: "generate", id, request });
    let over = false;
    try {
      for (;;) {
        signal?.throwIfAborted();
        const message = mailbox.messages.shift();
        if (message?.type === "event") {
          yield message.event;
        } else if (message?.type === "error") {
          over = true;
          throw fromPlain(message.error);
        } else if (message) {
          over = true;
          if (message.type === "failed") throw new Error(message.reason);
          return;
        } else {
          await new Promise<void>((resolve) => mailbox.wake = resolve);
        }
      }
    } finally {
      signal?.removeEventListener("abort", abort);
      this.#mailboxes.delete(id);
      if (!over) this.#post({ type: "cancel", id });
    }
  }

  /**
   * Answers a question about text; waits until the model is loaded.
   * @throws as {@linkcode TextEngine.text}
   * @throws {Error} when the model could not be loaded, or the engine was closed
   */
  async text(question: TextQuestion): Promise<TokenizedText> {
    await this.#readiness.wait();
    const id = this.#nextId++;
    const mailbox: Mailbox = { messages: [], wake: () => {}, isUnderWay: false };
    this.#mailboxes.set(id, mailbox);
    const arrived = new Promise<void>((resolve) => mailbox.wake = resolve);
    this.#post({ type: "text", id, question });
    await arrived;
    this.#mailboxes.delete(id);
    const message = mailbox.messages[0];
    if (message.type === "text") return message.answer;
    if (message.type === "error") throw fromPlain(message.error);
    throw new Error(message.type === "failed" ? message.reason : `unexpected ${message.type}`);
  }

  /**
   * Frees the model and stops the Worker; running requests end with an error.
   * @param options.exiting whether the process exits next. The idle Worker is then left running:
   * unloading its driver while the process exits may crash the process.
   */
  async close({ exiting = false }: { readonly exiting?: boolean } = {}): Promise<void> {
    if (this.#closed) return await this.#closed.promise;
    this.#closed = Promise.withResolvers<void>();
    this.#fail("the engine was closed");
    this.#post({ type: "close" });
    const late = setTimeout(() => this.#closed!.resolve(), CLOSE_PATIENCE);
    await this.#closed.promise;
    clearTimeout(late);
    this.#watch[Symbol.dispose]();
    if (exiting) return;
    this.#worker.terminate();
    // No event says when the Worker has ended, and a process that exits before may crash.
    await new Promise((resolve) => setTimeout(resolve, TEARDOWN));
  }

  #post(message: ToWorker): void {
    this.#worker.postMessage(message);
  }

  #receive(message: FromWorker): void {
    if (message.type === "alive") {
      this.#load = message.load ?? this.#load;
      return;
    }
    if (message.type === "progress") {
      this.#told.onProgress?.(message.done, message.total);
    } else if (message.type === "provided") {
      this.#told.onProvider?.(message.line);
    } else if (message.type === "planned") {
      this.#plan = message.plan;
      this.#told.onPlan?.(message.line, message.plan);
    } else if (message.type === "ready") {
      this.#model = message.model;
      this.#adapter = message.adapter;
      this.#readiness.succeed();
    } else if (message.type === "lost") {
      this.#readiness.again(message.reason);
    } else if (message.type === "totals") {
      this.#totals = message.totals;
      this.#load = message.load;
    } else if (message.type === "closed") {
      this.#closed?.resolve();
    } else if (message.type === "failed") {
      this.#fail(message.reason);
    } else {
      this.#deliver(this.#mailboxes.get(message.id), message);
    }
  }

  #fail(reason: string): void {
    if (!this.#readiness.fail(reason)) return;
    for (const mailbox of this.#mailboxes.values()) {
      this.#deliver(mailbox, { type: "failed", reason });
    }
  }

  #deliver(mailbox: Mailbox | undefined, message: FromWorker): void {
    if (!mailbox) return;
    if (message.type !== "event") mailbox.isUnderWay = false;
    else if (message.event.type === "start") mailbox.isUnderWay = true;
    else if (message.event.type === "end") mailbox.isUnderWay = false;
    mailbox.messages.push(message);
    mailbox.wake();
  }
}
