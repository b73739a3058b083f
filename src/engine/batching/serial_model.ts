/** Runs jobs one by one on a model: temporary, until Model is a BatchModel. */
import type { Canvas, CanvasSequence, CanvasStep } from "../../denoise/predictor.ts";
import type { PassJob } from "../../model/batch/pass_job.ts";
import type { Model } from "../../model/model.ts";
import type { SharedModel } from "./scheduler.ts";

class Job<T> implements PassJob<T> {
  constructor(
    readonly rows: number,
    readonly passes: number,
    readonly refreshes: boolean,
    readonly run: (passes: number, signal?: AbortSignal) => Promise<T>,
  ) {}
}

export function serialModel(model: Model): SharedModel {
  const rowsOf = (inputs: readonly { ids: Uint32Array }[]) =>
    inputs.reduce((sum, { ids }) => sum + ids.length, 0);
  return {
    mostRows: 1 << 20,
    pages: { total: 1 << 20, free: 1 << 20, shared: 0, positions: 32 },
    reserve: (pages) => ({ pages, release() {}, [Symbol.dispose]() {} }),
    freeScratch: () => model.freeScratch(),
    predictJob: (inputs) => new Job(rowsOf(inputs), 1, false, () => model.predict(inputs)),
    canvas(sequences: readonly CanvasSequence[]) {
      let canvas: Canvas | undefined;
      let unusable = false;
      const opened = model.openCanvas(sequences).then((own) => canvas = own);
      opened.catch(() => {});
      const rows = rowsOf(sequences);
      return {
        hasTwin: (step) => canvas!.hasTwin(step),
        stepsJob: (steps) => {
          if (!steps.every((step) => canvas!.hasTwin(step))) throw new RangeError("no twin");
          return new Job(
            rows,
            steps.length,
            steps[0].cache === "refresh",
            async (passes, signal) => {
              await opened;
              try {
                return await canvas!.run(steps.slice(0, passes), signal);
              } catch (error) {
                if (!signal?.aborted) throw error;
                unusable = true;
                return [];
              }
            },
          );
        },
        statesJob: (asked, cache: NonNullable<CanvasStep["cache"]>) =>
          new Job(rows * asked.length, 1, cache === "refresh", async () => {
            await opened;
            return await canvas!.predict(asked, cache);
          }),
        setIds: (sequence, ids, unconditional) => {
          if (!unusable) canvas!.setIds(sequence, ids, unconditional);
        },
        destroy: () => void opened.then(() => canvas!.destroy(), () => {}),
      };
    },
    async runTogether(jobs, passes, { signal } = {}) {
      const results: unknown[] = [];
      for (const job of jobs as readonly unknown[] as readonly Job<unknown>[]) {
        results.push(await job.run(passes, signal));
      }
      // deno-lint-ignore no-explicit-any
      return results as any;
    },
  };
}
