/** The toy as a model whose passes requests share. It checks how it is used, and fails when told to. */

import { assert } from "@std/assert";
import type {
  Canvas,
  CanvasSequence,
  CanvasStep,
  Commit,
  ForwardInput,
  Prediction,
} from "../../../src/denoise/predictor.ts";
import type {
  BatchCanvas,
  BatchModel,
  JobResults,
  PageReservation,
  PassJob,
  TogetherOptions,
} from "../../../src/model/batch/pass_job.ts";
import type { RankChoice, Ranking } from "../../../src/model/ranked_pass.ts";
import { ToyCanvasModel, type ToyOptions } from "../../denoise/toy_model.ts";

/** How a toy lends its passes. */
export interface ToyBatchOptions extends ToyOptions {
  /** Default: one of the other options. */
  readonly toy?: ToyCanvasModel;
  readonly pages?: number;
  readonly mostRows?: number;
  /** Turns of the event loop that a run takes. */
  readonly turns?: (run: number) => number;
  /** What a run fails with before it changes anything. */
  readonly fails?: (jobs: readonly PassJob<unknown>[], run: number) => Error | undefined;
}

/** Positions of a page. */
const PAGE = 4;

/** Models in which a run is under way: they share one device. */
const running = new Set<object>();

class ToyJob<T> implements PassJob<T> {
  isUsed = false;

  constructor(
    readonly rows: number,
    readonly passes: number,
    readonly refreshes: boolean,
    readonly canvas: ToyBatchCanvas | undefined,
    readonly run: (passes: number) => Promise<T>,
  ) {}
}

/** A toy that shares its passes. */
export class ToyBatchModel implements BatchModel {
  readonly toy: ToyCanvasModel;
  readonly mostRows: number;
  readonly #options: ToyBatchOptions;
  readonly #device: object;
  /** Jobs of each run. */
  readonly runs: number[] = [];
  /** Canvases that are not destroyed. */
  readonly open = new Set<object>();
  #reserved = 0;
  /** Pages that canvases took without a reservation, or beyond it. */
  #taken = 0;

  /** @param device toys of one device do not run at the same time */
  constructor(options: ToyBatchOptions = {}, device: object = {}) {
    this.#options = options;
    this.#device = device;
    this.toy = options.toy ?? new ToyCanvasModel(options);
    this.mostRows = options.mostRows ?? 10_000;
  }

  get pages() {
    const total = this.#options.pages ?? 1000;
    return { total, free: total - this.#reserved - this.#taken, shared: 0, positions: PAGE };
  }

  reserve(pages: number): PageReservation | undefined {
    assert(pages > 0);
    if (pages > this.pages.free) return undefined;
    this.#reserved += pages;
    let isHeld = true;
    const release = () => {
      if (!isHeld) return;
      isHeld = false;
      this.#reserved -= pages;
    };
    return { pages, release, [Symbol.dispose]: release };
  }

  predictJob(inputs: readonly ForwardInput[]): PassJob<Prediction[][]> {
    if (inputs.some(({ ids }) => ids.length === 0)) throw new RangeError("no ids");
    const rows = inputs.reduce(
      (sum, { ids, shadows, guidance }) =>
        sum + ids.length * (guidance ? 2 : 1) + (shadows?.length ?? 0),
      0,
    );
    return new ToyJob(rows, 1, false, undefined, () => this.toy.predict(inputs));
  }

  rankJob(
    asked: Pick<ForwardInput, "ids" | "positions">,
    choice: RankChoice,
    k: number,
  ): PassJob<Ranking> {
    const { length } = asked.ids;
    return new ToyJob(length, 1, false, undefined, () => this.toy.rankAt(asked, choice, k));
  }

  logitsJob(asked: Pick<ForwardInput, "ids" | "positions">): PassJob<Float32Array> {
    const { length } = asked.ids;
    return new ToyJob(length, 1, false, undefined, () => this.toy.logitsAt(asked));
  }

  canvas(sequences: readonly CanvasSequence[], reserved?: PageReservation): BatchCanvas {
    const canvas = new ToyBatchCanvas(this.toy.canvas(sequences), sequences, {
      pages: (count) => {
        const beyond = Math.max(0, count - (reserved?.pages ?? 0));
        if (beyond > this.pages.free) throw new Error("no page is free");
        this.#taken += beyond;
        return () => void (this.#taken -= beyond);
      },
      closed: () => {
        assert(!running.has(this.#device), "a canvas was destroyed while a pass ran");
        this.open.delete(canvas);
      },
    });
    this.open.add(canvas);
    return canvas;
  }

  async runTogether<const T extends readonly PassJob<unknown>[]>(
    jobs: T,
    passes: number,
    { signal }: TogetherOptions = {},
  ): Promise<JobResults<T>> {
    assert(!running.has(this.#device), "two runs overlap");
    assert(jobs.length > 0 && passes > 0);
    running.add(this.#device);
    const own = jobs as readonly unknown[] as readonly ToyJob<unknown>[];
    const canvases = own.flatMap(({ canvas }) => canvas ?? []);
    assert(new Set(canvases).size === canvases.length, "two jobs of a canvas in a run");
    try {
      for (const job of own) {
        assert(!job.isUsed, "a job was used twice");
        job.isUsed = true;
        assert(!job.canvas?.isDestroyed, "a destroyed canvas was run");
      }
      const run = this.runs.push(jobs.length) - 1;
      const turns = this.#options.turns?.(run) ?? 1;
      for (let turn = 0; turn < turns; turn++) {
        await new Promise((resolve) => setImmediate(resolve));
      }
      const error = this.#options.fails?.(jobs, run);
      if (error) throw error;
      const rows = own.reduce((sum, job) => sum + job.rows, 0);
      assert(rows <= this.mostRows || jobs.length === 1, "too many rows in a pass");
      // One that is aborted midway stops after the pass that is on the device.
      const most = signal?.aborted ? 1 : passes;
      return await Promise.all(own.map((job) => job.run(most))) as JobResults<T>;
    } finally {
      running.delete(this.#device);
    }
  }
}

class ToyBatchCanvas implements BatchCanvas {
  readonly #canvas: Canvas;
  readonly #sequences: readonly CanvasSequence[];
  readonly #host: { pages(count: number): () => void; closed(): void };
  #release: (() => void) | undefined;
  isDestroyed = false;

  constructor(
    canvas: Canvas,
    sequences: readonly CanvasSequence[],
    host: { pages(count: number): () => void; closed(): void },
  ) {
    this.#canvas = canvas;
    this.#sequences = sequences;
    this.#host = host;
  }

  hasTwin(step: CanvasStep): boolean {
    return this.#canvas.hasTwin(step);
  }

  stepsJob(steps: readonly CanvasStep[]): PassJob<Commit[][][]> {
    assert(steps.length > 0);
    const rows = Math.max(...steps.map(({ cache, horizon }) => this.#rows(cache, horizon)));
    const refreshes = steps[0].cache === "refresh";
    return new ToyJob(rows, steps.length, refreshes, this, (passes) => {
      this.#keep(steps.slice(0, passes));
      return this.#canvas.run(steps.slice(0, passes));
    });
  }

  statesJob(
    asked: Parameters<Canvas["predict"]>[0],
    cache: NonNullable<CanvasStep["cache"]>,
  ): PassJob<Prediction[][]> {
    const rows = asked.length * this.#rows(cache, asked[0].ids.length);
    return new ToyJob(rows, 1, cache === "refresh", this, () => {
      this.#keep([{ cache }]);
      return this.#canvas.predict(asked, cache);
    });
  }

  setIds(sequence: number, ids: Uint32Array, unconditionalIds?: Uint32Array): void {
    assert(!this.isDestroyed);
    this.#canvas.setIds(sequence, ids, unconditionalIds);
  }

  destroy(): void {
    assert(!this.isDestroyed, "a canvas was destroyed twice");
    this.isDestroyed = true;
    this.#release?.();
    this.#canvas.destroy();
    this.#host.closed();
  }

  #rows(cache: CanvasStep["cache"], horizon = Infinity): number {
    const rows = ({ ids, guidance }: CanvasSequence) => {
      const end = Math.min(horizon, ids.length);
      const own = typeof cache === "object" ? Math.min(cache.end, end) - cache.first : end;
      return own * (guidance ? 2 : 1);
    };
    return this.#sequences.reduce((sum, sequence) => sum + rows(sequence), 0);
  }

  #keep(steps: readonly Pick<CanvasStep, "cache">[]): void {
    if (this.#release || steps.every(({ cache }) => cache === undefined)) return;
    const pages = this.#sequences.reduce(
      (sum, { ids, guidance }) => sum + Math.ceil(ids.length / PAGE) * (guidance ? 2 : 1),
      0,
    );
    this.#release = this.#host.pages(pages);
  }
}
