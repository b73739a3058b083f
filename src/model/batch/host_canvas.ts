/** A canvas: sequences whose ids the host keeps between runs, and the pages that hold their keys. */

import type {
  Canvas,
  CanvasSequence,
  CanvasStep,
  Commit,
  Prediction,
} from "../../denoise/predictor.ts";
import { type CommitRule, RANKINGS, RULES } from "../../kernels/place.ts";
import { LIST_TOKENS } from "../../kernels/step_plan.ts";
import type { KnownPages } from "./kept_table.ts";
import { KeptTable } from "./kept_table.ts";
import type { PageBook, Reservation } from "./page_book.ts";
import type { BatchCanvas, PassJob } from "./pass_job.ts";

/**
 * A step that the commit kernel can take. Every ranking and rule of the kernel must exist in
 * src/denoise, or this type does not compile. A step with one that only src/denoise has runs there, and
 * so does one with sampling, whose changes follow from the ids.
 */
export interface TwinStep extends CanvasStep {
  readonly remasking: keyof typeof RANKINGS;
  readonly rule?: CommitRule;
}

/** Whether the commit kernel can take a step. */
export function isTwin(step: CanvasStep): step is TwinStep {
  const { remasking, rule } = step;
  if (step.choices.some(({ sampling }) => sampling)) return false;
  return Object.hasOwn(RANKINGS, remasking) && (!rule || Object.hasOwn(RULES, rule.kind));
}

/** A sequence of a canvas, or the unconditional twin of one. */
export interface CanvasRow {
  /** `[visible positions]` */
  readonly ids: Uint32Array<ArrayBuffer>;
  readonly kept: KeptTable;
}

/** Which rows of a sequence run in a pass, and how many of its keys they see. */
export interface RowSpan {
  readonly first: number;
  readonly rows: number;
  readonly keys: number;
}

/** What a state is asked. */
export type AskedState = Parameters<Canvas["predict"]>[0][number];

/** What makes the jobs of a canvas. */
export interface CanvasJobs {
  steps(canvas: HostCanvas, steps: readonly TwinStep[]): PassJob<Commit[][][]>;
  states(
    canvas: HostCanvas,
    asked: readonly AskedState[],
    cache: NonNullable<CanvasStep["cache"]>,
  ): PassJob<Prediction[][]>;
}

/** Sequences, as the host knows them. Between two runs it knows all of their ids. */
export class HostCanvas implements BatchCanvas {
  readonly maskToken: number;
  /** Scale of the guidance, undefined without. */
  readonly scale: number | undefined;
  /** Visible positions of each sequence, ascending. */
  readonly positions: readonly Uint32Array[];
  /** `[visible positions]` of each sequence, counted from its first visible one. */
  readonly rotations: readonly Uint32Array<ArrayBuffer>[];
  /** The sequences in order. */
  readonly rows: readonly CanvasRow[];
  /** Their unconditional twins in order; empty without guidance. */
  readonly twins: readonly CanvasRow[];
  readonly #jobs: CanvasJobs;
  #destroyed = false;
  #held = false;

  /** @throws {RangeError} when the sequences do not agree on mask token and scale */
  constructor(
    readonly sequences: readonly CanvasSequence[],
    pool: { readonly book: PageBook; readonly known: KnownPages; readonly reserved?: Reservation },
    jobs: CanvasJobs,
  ) {
    const [{ maskToken, guidance }] = sequences;
    this.maskToken = maskToken;
    this.scale = guidance?.scale;
    this.#jobs = jobs;
    for (const other of sequences) {
      if (other.maskToken !== maskToken || other.guidance?.scale !== this.scale) {
        throw new RangeError("the sequences of a canvas must share mask token and guidance scale");
      }
      const tokens = other.endTokens.length;
      if (tokens > LIST_TOKENS) {
        throw new RangeError(`endTokens: ${tokens} tokens, at most ${LIST_TOKENS} are possible`);
      }
    }
    this.positions = sequences.map(({ ids, attentionMask }) =>
      Uint32Array.from(ids.keys()).filter((position) => attentionMask?.[position] !== 0)
    );
    this.rotations = this.positions.map((positions) =>
      positions.map((position) => position - positions[0])
    );
    const rowsOf = (idsOf: (sequence: CanvasSequence) => Uint32Array): CanvasRow[] =>
      sequences.map((sequence, i) => ({
        ids: pick(idsOf(sequence), this.positions[i]),
        kept: new KeptTable(pool.book, pool.known, this.positions[i].length, pool.reserved),
      }));
    this.rows = rowsOf(({ ids }) => ids);
    this.twins = guidance ? rowsOf((sequence) => sequence.guidance!.unconditionalIds) : [];
  }

  /** Every sequence and twin: sequence i, then its twin. */
  get all(): CanvasRow[] {
    return this.rows.flatMap((row, i) => this.twins.length > 0 ? [row, this.twins[i]] : [row]);
  }

  hasTwin(step: CanvasStep): boolean {
    return isTwin(step);
  }

  stepsJob(steps: readonly CanvasStep[]): PassJob<Commit[][][]> {
    this.checkAlive();
    if (!steps.every(isTwin)) {
      throw new RangeError("a step's ranking or rule has no twin on the GPU: ask hasTwin first");
    }
    let filled = this.all.map(({ kept }) => kept.filled);
    for (const { cache, horizon } of steps) {
      if (cache === undefined && horizon === undefined) continue;
      this.checkOne();
      filled = this.#checkKept(filled, cache, this.span(0, cache, horizon));
    }
    return this.#jobs.steps(this, steps as readonly TwinStep[]);
  }

  statesJob(
    asked: readonly AskedState[],
    cache: NonNullable<CanvasStep["cache"]>,
  ): PassJob<Prediction[][]> {
    this.checkAlive();
    this.checkOne();
    if (asked.length > 0) {
      if (cache === "refresh" && asked.length > 1) {
        throw new RangeError(
          "keys and values are kept of one state at a time: refresh with one state",
        );
      }
      const filled = this.all.map(({ kept }) => kept.filled);
      const longest = Math.max(...asked.map(({ ids }) => ids.length));
      this.#checkKept(filled, cache, this.span(0, cache, longest));
    }
    return this.#jobs.states(this, asked, cache);
  }

  /** @throws {RangeError} when a part sees keys that are not kept yet */
  #checkKept(filled: number[], cache: CanvasStep["cache"], { keys }: RowSpan): number[] {
    if (cache === "refresh") return filled.map((most) => Math.max(most, keys));
    if (!cache) return filled;
    const least = Math.min(...filled);
    if (least === 0) {
      throw new RangeError("no keys and values are kept yet: run a step with cache refresh first");
    }
    if (least < keys) {
      throw new RangeError(
        `keys and values are kept of ${least} positions, and a part sees those of ${keys}: run a ` +
          "step with cache refresh first",
      );
    }
    return filled;
  }

  /** @throws {Error} when it was destroyed */
  checkAlive(): void {
    if (this.#destroyed) throw new Error("the canvas was destroyed");
  }

  /** @throws {RangeError} when there are several sequences */
  checkOne(): void {
    if (this.sequences.length === 1) return;
    throw new RangeError(
      `keys and values are kept, and suffixes pruned, for one sequence: the canvas has ${this.sequences.length}`,
    );
  }

  /** The rows of a sequence that a pass runs. */
  span(sequence: number, cache: CanvasStep["cache"], horizon = Infinity): RowSpan {
    const positions = this.positions[sequence];
    const keys = visibleBefore(positions, horizon);
    const part = typeof cache === "object" ? cache : undefined;
    const first = part ? visibleBefore(positions, part.first) : 0;
    const end = Math.min(keys, part ? visibleBefore(positions, part.end) : keys);
    return { first, rows: Math.max(0, end - first), keys };
  }

  /** Rows that a step runs, twins included. */
  rowsOfStep({ cache, horizon }: CanvasStep): number {
    const each = this.twins.length > 0 ? 2 : 1;
    return this.sequences.reduce((sum, _, i) => sum + this.span(i, cache, horizon).rows * each, 0);
  }

  /** Whether a generation is decided up to its first end token. */
  isDecided(sequence: number): boolean {
    const { promptLength, endTokens } = this.sequences[sequence];
    const answer = visibleBefore(this.positions[sequence], promptLength);
    const first = this.rows[sequence].ids.subarray(answer)
      .find((token) => token === this.maskToken || endTokens.includes(token));
    return first !== undefined && first !== this.maskToken;
  }

  /**
   * Upper bound of a sequence's candidates at a step of a run. Commits of the run are not subtracted,
   * because one of them may be the mask token itself.
   */
  candidates(sequence: number, { blockStart = 0, blockEnd }: CanvasStep): number {
    const positions = this.positions[sequence];
    return this.rows[sequence].ids
      .subarray(visibleBefore(positions, blockStart), visibleBefore(positions, blockEnd))
      .reduce((sum, id) => id === this.maskToken ? sum + 1 : sum, 0);
  }

  setIds(sequence: number, ids: Uint32Array, unconditionalIds?: Uint32Array): void {
    const positions = this.positions[sequence];
    this.rows[sequence].ids.set(pick(ids, positions));
    if (unconditionalIds) this.twins[sequence]?.ids.set(pick(unconditionalIds, positions));
  }

  /** Whether it was destroyed. */
  get destroyed(): boolean {
    return this.#destroyed;
  }

  /** A run begins: its pages stay until the run is over, even if it is destroyed meanwhile. */
  hold(): void {
    this.#held = true;
  }

  /** The run is over. */
  letGo(): void {
    this.#held = false;
    if (this.#destroyed) this.#end();
  }

  destroy(): void {
    if (this.#destroyed) return;
    this.#destroyed = true;
    if (!this.#held) this.#end();
  }

  #end(): void {
    for (const { kept } of this.all) kept.end();
  }
}

/** The entries at some places. */
export function pick(ids: Uint32Array, places: Uint32Array): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(places, (place) => ids[place]);
}

/** Counts the ascending positions below `end`. */
export function visibleBefore(positions: Uint32Array, end: number): number {
  let [low, high] = [0, positions.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (positions[middle] < end) low = middle + 1;
    else high = middle;
  }
  return low;
}
