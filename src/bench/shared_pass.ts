/** What bounds the gain of requests that share passes: how much a pass of many rows costs. */

import { type CanvasStep, GREEDY } from "../denoise/predictor.ts";
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

/** A step that requests share: so many sequences of one length, each with a block of masks. */
export interface SharedStep extends FastestPass {
  readonly sequences: number;
  /** Times that as many steps one after another take as long. */
  readonly gain: number;
}

/** The passes, by rows and by sequences. */
export interface PassTimes {
  readonly passes: readonly FastestPass[];
  readonly shared: readonly SharedStep[];
}

/** Times passes again and again, and keeps the shortest time of each. */
export class PassClock {
  readonly #model: Model;
  readonly #length: number;
  readonly #forwards = new Map<number, number>();
  readonly #steps = new Map<number, number>();
  readonly #sequences: readonly number[];

  /**
   * @param length positions of each sequence of a shared step: prompt and answer
   * @param sequences numbers of sequences in a step; 1 is among them
   */
  constructor(model: Model, length: number, sequences: readonly number[]) {
    this.#model = model;
    this.#length = Math.min(length, model.config.maxSequenceLength);
    this.#sequences = sequences;
  }

  /** Times every pass, each in its turn. */
  async round(): Promise<void> {
    const most = this.#model.config.maxSequenceLength;
    for (const rows of PASS_ROWS.filter((rows) => rows <= most)) {
      await fastest(this.#forwards, rows, forwardRun(this.#model, rows));
    }
    for (const count of this.#sequences) {
      using step = await openSharedSteps(this.#model, this.#length, count);
      await fastest(this.#steps, count, step.run);
    }
  }

  /** The shortest times so far. */
  get times(): PassTimes {
    const alone = this.#steps.get(1)! / CHAINED_STEPS;
    return {
      passes: [...this.#forwards].map(([rows, milliseconds]) => ({ rows, milliseconds })),
      shared: [...this.#steps].map(([sequences, time]) => {
        const milliseconds = time / CHAINED_STEPS;
        return {
          sequences,
          rows: sequences * this.#length,
          milliseconds,
          gain: sequences * alone / milliseconds,
        };
      }),
    };
  }
}

/** Runs it once to warm up, then keeps the shortest time of it by its name. */
async function fastest(times: Map<number, number>, name: number, run: TimedRun): Promise<void> {
  await run();
  for (let i = 0; i < RUNS; i++) {
    const start = performance.now();
    await run();
    times.set(name, Math.min(times.get(name) ?? Infinity, performance.now() - start));
  }
}

/** Opens sequences on one canvas, all of whose rows each step runs: {@linkcode CHAINED_STEPS} a run. */
async function openSharedSteps(
  model: Model,
  length: number,
  count: number,
): Promise<Disposable & { readonly run: TimedRun }> {
  const { maskTokenId: maskToken, embeddingSize } = model.config;
  const promptLength = Math.max(1, length - ASKED);
  const ids = Uint32Array.from(
    { length },
    (_, i) => i < promptLength ? (31 * i) % (embeddingSize - 1) : maskToken,
  );
  const sequence = { ids, promptLength, endTokens: [], maskToken };
  const canvas = await model.openCanvas(Array.from({ length: count }, () => sequence));
  const step: CanvasStep = {
    blockStart: promptLength,
    blockEnd: length,
    commits: 1,
    remasking: BY_CONFIDENCE,
    choices: Array.from({ length: count }, () => GREEDY),
    stopAtEnd: false,
  };
  return {
    run() {
      // Masked again, so that every run predicts at all of its rows.
      for (let i = 0; i < count; i++) canvas.setIds(i, ids);
      return canvas.run(Array.from({ length: CHAINED_STEPS }, () => step));
    },
    [Symbol.dispose]: () => canvas.destroy(),
  };
}
