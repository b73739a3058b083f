/** Jobs: what requests ask of a model, in a form that lets several share a forward pass. */

import type {
  Canvas,
  CanvasSequence,
  CanvasStep,
  Commit,
  ForwardInput,
  Prediction,
} from "../../denoise/predictor.ts";
import type { RankChoice, Ranking } from "../ranked_pass.ts";

/** Rows of a pass that requests share, unless a sequence is longer. */
export const SHARED_ROWS = 512;

/** Work of one request for one forward pass, or for several in a row. It is run once. */
export interface PassJob<T> {
  /** Rows of its widest pass: shadows, twins and states included. */
  readonly rows: number;
  /** Passes that it asks for: 1, or the number of steps on a canvas. */
  readonly passes: number;
  /** Whether its first pass recomputes all keys and values of a canvas. */
  readonly refreshes: boolean;
  /** Never set: it ties a job to the type of its result. */
  readonly result?: T;
}

/** The result of each job, in order. */
export type JobResults<T extends readonly PassJob<unknown>[]> = {
  -readonly [I in keyof T]: T[I] extends PassJob<infer R> ? R : never;
};

/** Pages of keys and values that are set aside for a request. */
export interface PageReservation extends Disposable {
  /** Pages set aside, in use or not. */
  readonly pages: number;
  /** Gives them back; canvases that use them must be destroyed before. A second call does nothing. */
  release(): void;
}

/** The pool of keys and values. */
export interface PagePool {
  readonly total: number;
  /** Neither in use nor set aside. */
  readonly free: number;
  /** Pages that more than one canvas holds. */
  readonly shared: number;
  /** Positions of one page. A canvas needs `ceil(length / positions)`, with guidance twice that. */
  readonly positions: number;
}

/** Options of a shared run. */
export interface TogetherOptions {
  /**
   * When aborted, the run ends after the pass that is on the device, if passes are slow, else after
   * all. Nothing is thrown: jobs of steps return the commits of the steps that ran, and every canvas
   * stays usable.
   */
  readonly signal?: AbortSignal;
}

/** A model whose passes requests share. Runs must not overlap. */
export interface BatchModel {
  /** Rows that one pass may have at most. */
  readonly mostRows: number;
  readonly pages: PagePool;
  /** Sets pages aside for a request before it begins; undefined when there are too few now. */
  reserve(pages: number): PageReservation | undefined;
  /**
   * One forward pass over sequences, as {@linkcode Predictor.predict}.
   * @throws {RangeError} naming what is wrong with an input
   */
  predictJob(inputs: readonly ForwardInput[]): PassJob<Prediction[][]>;
  /**
   * The best tokens at some positions of one sequence, for a choice that the host makes among them.
   * @param k tokens of each position, 1 to 256
   * @throws {RangeError} naming what is wrong
   */
  rankJob(
    asked: Pick<ForwardInput, "ids" | "positions">,
    choice: RankChoice,
    k: number,
  ): PassJob<Ranking>;
  /**
   * All logits at some positions of one sequence, `[positions, embeddingSize]`, row-major.
   * @throws {RangeError} naming what is wrong
   */
  logitsJob(asked: Pick<ForwardInput, "ids" | "positions">): PassJob<Float32Array>;
  /**
   * Opens a canvas; nothing runs.
   * @param reserved where its pages come from; without it they come from those that are free
   * @throws {RangeError} naming what is wrong with a sequence
   */
  canvas(sequences: readonly CanvasSequence[], reserved?: PageReservation): BatchCanvas;
  /**
   * Runs jobs in shared passes, `passes` of them at most: a job of steps runs its first `passes`
   * steps, another job runs in the first pass. A job's result has the same bits whatever runs with
   * it, and however its steps are divided among runs.
   * @returns the result of each job
   * @throws {GpuError} with all canvases as they were before, whether memory or pages ran out or the
   * logits of one job are no numbers: jobs made anew of the same work may be run in smaller parts
   * @throws {GpuFaultError} when the device is of no more use
   */
  runTogether<const T extends readonly PassJob<unknown>[]>(
    jobs: T,
    passes: number,
    options?: TogetherOptions,
  ): Promise<JobResults<T>>;
}

/** Sequences whose ids and keys and values outlive a pass. One job of a canvas is in a run at most. */
export interface BatchCanvas {
  /** As {@linkcode Canvas.hasTwin}. */
  hasTwin(step: CanvasStep): boolean;
  /**
   * Steps in a row. The result holds the commits of the steps that ran, `[steps run][sequence][]`,
   * positions ascending; the canvas then holds them too.
   * @throws {RangeError} for a step that {@linkcode BatchCanvas.hasTwin} refuses
   */
  stepsJob(steps: readonly CanvasStep[]): PassJob<Commit[][][]>;
  /** As {@linkcode Canvas.predict}. @throws {RangeError} */
  statesJob(
    asked: Parameters<Canvas["predict"]>[0],
    cache: NonNullable<CanvasStep["cache"]>,
  ): PassJob<Prediction[][]>;
  /** As {@linkcode Canvas.setIds}. */
  setIds(sequence: number, ids: Uint32Array, unconditionalIds?: Uint32Array): void;
  /** Gives its pages back. */
  destroy(): void;
}
