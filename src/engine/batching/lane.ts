/** What one request runs on: predictors whose calls share passes with those of other requests. */

import type {
  Canvas,
  CanvasSequence,
  CanvasStep,
  Commit,
  ForwardInput,
  Prediction,
  Predictor,
} from "../../denoise/predictor.ts";
import type {
  BatchCanvas,
  BatchModel,
  PageReservation,
  PassJob,
} from "../../model/batch/pass_job.ts";
import type { LogitSource } from "../constrained_steps.ts";
import { AloneCall, type Call, PassCall } from "./call.ts";
import type { CostCurve } from "./cost_curve.ts";
import type { PassModel } from "./policy.ts";
import { type Others, RowPrice } from "./row_price.ts";

/** What a lane asks of its scheduler. */
export interface LaneHost {
  readonly models: { readonly target: BatchModel; readonly draft?: BatchModel };
  /** What passes cost by their rows. */
  readonly curves: Readonly<Record<PassModel, CostCurve>>;
  now(): number;
  /** Tells that a lane has a call to run. */
  wake(): void;
  /** Does something at once, or behind the run that is under way. */
  whenIdle(body: () => void): void;
  /** Milliseconds from asking for a pass to its result lately; 0 while a request is alone. */
  turnaround(): number;
  /** What the other requests would have in a pass. */
  others(model: PassModel): Others;
  closed(lane: Lane): void;
}

/** A request's pages, by model. */
export type LanePages = Partial<Record<PassModel, PageReservation>>;

/** How a lane is opened. */
export interface LaneOptions {
  readonly priority?: number;
  readonly signal?: AbortSignal;
  readonly pages?: LanePages;
}

/** The place of one request. Its calls run in order. */
export class Lane {
  readonly target: Predictor;
  readonly draft?: Predictor;
  /** What the target gives beyond predictions. */
  readonly logits: LogitSource;
  readonly priority: number;
  readonly signal: AbortSignal | undefined;
  /** Whether its first text is out. */
  isBegun = false;
  /** Calls in order; the first one may be in the run that is under way. */
  readonly calls: Call[] = [];
  /** Milliseconds of passes that were charged to it. */
  readonly charged = { target: 0, draft: 0 };
  /** What its rows cost beside those of others. */
  readonly prices: Readonly<Record<PassModel, RowPrice>>;
  readonly #host: LaneHost;
  readonly #pages: LanePages;
  readonly #canvases = new Set<BatchCanvas>();
  #isClosed = false;
  readonly #abort = () => this.failAll(this.signal!.reason);

  /** Made by the scheduler. @param id tells lanes apart */
  constructor(readonly id: number, host: LaneHost, options: LaneOptions = {}) {
    this.#host = host;
    this.prices = {
      target: new RowPrice(() => host.others("target")),
      draft: new RowPrice(() => host.others("draft")),
    };
    this.#pages = options.pages ?? {};
    this.priority = options.priority ?? 0;
    this.signal = options.signal;
    this.target = this.#predictor("target", host.models.target);
    this.draft = host.models.draft && this.#predictor("draft", host.models.draft);
    const { target } = host.models;
    this.logits = {
      logitsAt: (asked) => this.#single("target", () => target.logitsJob(asked)),
      rankAt: (...asked) => this.#single("target", () => target.rankJob(...asked)),
    };
    this.signal?.addEventListener("abort", this.#abort);
  }

  /**
   * Runs work that uses a model directly, between two passes and alone. It must not call the lane's
   * predictors.
   * @throws the signal's reason, when it was aborted before
   */
  async alone<T>(body: () => Promise<T>): Promise<T> {
    this.#checkOpen();
    return await this.#run(new AloneCall(body, this.#host.now()));
  }

  /** Milliseconds from asking for a pass to its result lately; 0 while this request is alone. */
  get turnaround(): number {
    return this.#host.turnaround();
  }

  /** Tells that the first text is out. */
  begun(): void {
    this.isBegun = true;
  }

  /** Whether it takes no more calls. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The call that may run next. */
  get next(): Call | undefined {
    while (this.calls[0]?.isOver) this.calls.shift();
    return this.calls[0];
  }

  /** Ends all calls with an error. */
  failAll(reason: unknown): void {
    for (const call of this.calls.splice(0)) call.fail(reason);
  }

  /** Gives everything back, behind the run that is under way. A second call does nothing. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.signal?.removeEventListener("abort", this.#abort);
    this.failAll(new Error("the request is over"));
    for (const canvas of this.#canvases) this.#destroy(canvas);
    this.#host.whenIdle(() => this.#host.closed(this));
  }

  /** Calls {@linkcode close}. */
  [Symbol.dispose](): void {
    this.close();
  }

  #predictor(name: PassModel, model: BatchModel): Predictor {
    return {
      predict: (inputs) => this.#predict(name, model, inputs),
      openCanvas: (sequences) => this.#openCanvas(name, model, sequences),
      charged: () => this.charged[name],
      price: (rows) => this.prices[name].of(this.#host.curves[name], rows),
    };
  }

  /** Inputs that do not fit one pass take several, which need not follow each other. */
  async #predict(
    name: PassModel,
    model: BatchModel,
    inputs: readonly ForwardInput[],
  ): Promise<Prediction[][]> {
    if (inputs.length === 0) return [];
    this.#checkOpen();
    const call = new PassCall(name, this.#host.now(), () => model.predictJob(inputs));
    if (call.job.rows <= model.mostRows || inputs.length === 1) return await this.#run(call);
    const half = inputs.length >> 1;
    const parts = [inputs.slice(0, half), inputs.slice(half)];
    return (await Promise.all(parts.map((part) => this.#predict(name, model, part)))).flat();
  }

  // deno-lint-ignore require-await -- errors must reach the caller as rejections
  async #openCanvas(
    name: PassModel,
    model: BatchModel,
    sequences: readonly CanvasSequence[],
  ): Promise<Canvas> {
    this.#checkOpen();
    const canvas = model.canvas(sequences, this.#pages[name]);
    this.#canvases.add(canvas);
    const { now } = this.#host;
    return {
      hasTwin: (step) => canvas.hasTwin(step),
      run: async (steps, signal) => {
        if (steps.length === 0) return [];
        this.#checkOpen();
        signal?.throwIfAborted();
        const commits: Commit[][][] = [];
        // What a target has committed may be shown. A draft's steps all run, as they do alone: one behind
        // a guess that was not sure may refresh what is kept, from which later guesses follow.
        do {
          const rest = steps.slice(commits.length);
          const call = new PassCall(name, now(), () => canvas.stepsJob(rest));
          const ran = await this.#run(call, signal);
          if (ran.length === 0) throw new Error("none of a job's steps were run");
          commits.push(...ran);
        } while (name === "draft" && commits.length < steps.length);
        return commits;
      },
      predict: async (asked, cache: NonNullable<CanvasStep["cache"]>) => {
        if (asked.length === 0) return [];
        return await this.#single(name, () => canvas.statesJob(asked, cache));
      },
      setIds: (sequence, ids, unconditional) => canvas.setIds(sequence, ids, unconditional),
      destroy: () => this.#destroy(canvas),
    };
  }

  async #single<T>(name: PassModel, make: () => PassJob<T>): Promise<T> {
    this.#checkOpen();
    return await this.#run(new PassCall(name, this.#host.now(), make));
  }

  async #run<T>(call: Call<T>, signal?: AbortSignal): Promise<T> {
    // Whoever runs it gives it a result of its own type.
    this.calls.push(call as Call<unknown> & Call<T>);
    this.#host.wake();
    if (!signal || signal === this.signal) return await call.result;
    const abort = () => call.fail(signal.reason);
    signal.addEventListener("abort", abort);
    try {
      return await call.result;
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  #checkOpen(): void {
    this.signal?.throwIfAborted();
    if (this.#isClosed) throw new Error("the request is over");
  }

  #destroy(canvas: BatchCanvas): void {
    if (!this.#canvases.delete(canvas)) return;
    this.#host.whenIdle(() => canvas.destroy());
  }
}
