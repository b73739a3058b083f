/** A canvas whose calls run alone: in passes that no other request shares. */

import type { Canvas, CanvasStep, Commit, Prediction } from "../denoise/predictor.ts";
import type { BatchCanvas, BatchModel } from "./batch/pass_job.ts";

/** One request's canvas on a model. */
export class DeviceCanvas implements Canvas {
  readonly #model: Pick<BatchModel, "runTogether">;
  readonly #canvas: BatchCanvas;

  constructor(model: Pick<BatchModel, "runTogether">, canvas: BatchCanvas) {
    this.#model = model;
    this.#canvas = canvas;
  }

  hasTwin(step: CanvasStep): boolean {
    return this.#canvas.hasTwin(step);
  }

  /** @throws {GpuError} when the device failed; the canvas is then unusable */
  async run(steps: readonly CanvasStep[], signal?: AbortSignal): Promise<Commit[][][]> {
    const commits: Commit[][][] = [];
    do {
      const left = steps.slice(commits.length);
      const job = this.#canvas.stepsJob(left);
      const [found] = await this.#model.runTogether([job], left.length, { signal });
      commits.push(...found);
      // Fewer steps ran if the signal was aborted, or if memory ran out behind some of them.
      if (commits.length < steps.length) signal?.throwIfAborted();
    } while (commits.length < steps.length);
    return commits;
  }

  /** @throws {GpuError} when the device failed; the canvas is then unusable */
  async predict(
    asked: Parameters<Canvas["predict"]>[0],
    cache: NonNullable<CanvasStep["cache"]>,
  ): Promise<Prediction[][]> {
    const [answers] = await this.#model.runTogether([this.#canvas.statesJob(asked, cache)], 1);
    return answers;
  }

  setIds(sequence: number, ids: Uint32Array, unconditionalIds?: Uint32Array): void {
    this.#canvas.setIds(sequence, ids, unconditionalIds);
  }

  destroy(): void {
    this.#canvas.destroy();
  }
}
