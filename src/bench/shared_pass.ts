/** What bounds the gain of requests that share passes: how much a pass of many rows costs. */

import { type CanvasSequence, type CanvasStep, GREEDY } from "../denoise/predictor.ts";
import { BY_CONFIDENCE } from "../denoise/selection.ts";
import type { Model } from "../model/model.ts";
import { CHAINED_STEPS } from "./block_step.ts";
import { ASKED, forwardRun, type TimedRun } from "./model.ts";

/** Rows of the passes of one sequence whose times stand beside the others. */
export const PASS_ROWS = [32, 128, 512] as const;

/** Runs of each pass in a round. */
const RUNS = 2;

/** The time of a pass, the shortest that was seen. */
export interface FastestPass {
  readonly rows: number;
  readonly milliseconds: number;
}

/**
 * What a step of a request runs. `whole`: all of its rows. `block`: the rows of a block, against kept
 * keys and values of the others.
 */
export type StepKind = "whole" | "block";

/** A step that requests share: so many sequences of one length, each with a block of masks. */
export interface SharedStep extends FastestPass {
  readonly kind: StepKind;
  readonly sequences: number;
  /** Times that as many steps one after another take as long. */
  readonly gain: number;
}

/** The passes, by rows and by sequences. */
export interface PassTimes {
  readonly passes: readonly FastestPass[];
  readonly shared: readonly SharedStep[];
}

/** What is timed, and the shortest time of one run of it so far. */
interface Timed {
  readonly rows: number;
  readonly open: (model: Model) => Promise<OpenedRun>;
  milliseconds: number;
}
type OpenedRun = Disposable & { readonly run: TimedRun };
interface TimedStep extends Timed {
  readonly kind: StepKind;
  readonly sequences: number;
}

/** Times passes again and again, and keeps the shortest time of each. */
export class PassClock {
  readonly #model: Model;
  readonly #forwards: readonly Timed[];
  readonly #steps: readonly TimedStep[];

  /**
   * @param length positions of each sequence of a shared step: prompt and answer
   * @param most sequences in a step, at most; up to there by doubling, and as many as a pass may have
   */
  constructor(model: Model, length: number, most: number) {
    this.#model = model;
    const longest = model.config.maxSequenceLength;
    const whole = Math.min(length, longest);
    const block = Math.min(ASKED, whole - 1);
    this.#forwards = PASS_ROWS.filter((rows) => rows <= longest).map((rows) => ({
      rows,
      open: () => Promise.resolve({ run: forwardRun(model, rows), [Symbol.dispose]() {} }),
      milliseconds: Infinity,
    }));
    const kinds = [["whole", whole], ["block", block]] as const;
    this.#steps = kinds.flatMap(([kind, rows]) =>
      doublings(Math.min(most, Math.floor(model.mostRows / rows))).map((count) => ({
        kind,
        sequences: count,
        rows: count * rows,
        open: () => openSharedSteps(model, { kind, count, length: whole, block }),
        milliseconds: Infinity,
      }))
    );
  }

  /** Times every pass, each in its turn. */
  async round(): Promise<void> {
    for (const timed of [...this.#forwards, ...this.#steps]) {
      using opened = await timed.open(this.#model);
      await opened.run();
      for (let i = 0; i < RUNS; i++) {
        const start = performance.now();
        await opened.run();
        timed.milliseconds = Math.min(timed.milliseconds, performance.now() - start);
      }
    }
  }

  /** The shortest times so far. */
  get times(): PassTimes {
    const alone = (kind: StepKind) =>
      this.#steps.find((step) => step.kind === kind && step.sequences === 1)!.milliseconds;
    return {
      passes: this.#forwards.map(({ rows, milliseconds }) => ({ rows, milliseconds })),
      shared: this.#steps.map(({ kind, sequences, rows, milliseconds }) => ({
        kind,
        sequences,
        rows,
        milliseconds: milliseconds / CHAINED_STEPS,
        gain: sequences * alone(kind) / milliseconds,
      })),
    };
  }
}

/** 1, 2, 4 and so on, and the last number itself. */
function doublings(last: number): number[] {
  const numbers = [];
  for (let number = 1; number < last; number *= 2) numbers.push(number);
  return [...numbers, Math.max(1, last)];
}

/** Opens a canvas for each of some requests; a run takes {@linkcode CHAINED_STEPS} steps of all of them. */
async function openSharedSteps(
  model: Model,
  { kind, count, length, block }: {
    readonly kind: StepKind;
    readonly count: number;
    readonly length: number;
    readonly block: number;
  },
): Promise<OpenedRun> {
  const { maskTokenId: maskToken, embeddingSize } = model.config;
  const first = length - block;
  // Each has other tokens, since what is equal is kept once.
  const sequences = Array.from({ length: count }, (_, request): CanvasSequence => ({
    ids: Uint32Array.from(
      { length },
      (_, i) => i < first ? (31 * i + 7 * request) % (embeddingSize - 1) : maskToken,
    ),
    promptLength: first,
    endTokens: [],
    maskToken,
  }));
  const canvases = sequences.map((sequence) => model.canvas([sequence]));
  const step = (cache: CanvasStep["cache"], commits: number): CanvasStep => ({
    blockStart: first,
    blockEnd: length,
    commits,
    cache,
    remasking: BY_CONFIDENCE,
    choices: [GREEDY],
    stopAtEnd: false,
  });
  const steps = Array.from(
    { length: CHAINED_STEPS },
    () => step(kind === "block" ? { first, end: length } : undefined, 1),
  );
  const opened = {
    run() {
      // Masked again, so that every run predicts at all of its rows.
      canvases.forEach((canvas, i) => canvas.setIds(0, sequences[i].ids));
      return model.runTogether(canvases.map((canvas) => canvas.stepsJob(steps)), CHAINED_STEPS);
    },
    [Symbol.dispose]() {
      for (const canvas of canvases) canvas.destroy();
    },
  };
  try {
    if (kind === "block") {
      await model.runTogether(canvases.map((canvas) => canvas.stepsJob([step("refresh", 0)])), 1);
    }
  } catch (error) {
    opened[Symbol.dispose]();
    throw error;
  }
  return opened;
}
