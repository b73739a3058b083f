/** What all passes of a training run share: a device, its recorder, and memory of batches. */

import type { Gpu } from "../../gpu/device.ts";
import { Readback } from "../../gpu/readback.ts";
import { Recorder } from "../../gpu/recorder.ts";
import { Scratch } from "../../gpu/scratch.ts";

/**
 * Operations after which what is recorded is submitted: a fraction of a second of a small GPU. Systems
 * take a GPU away from a program whose submit takes many seconds.
 */
const SUBMIT_OPERATIONS = 2e11;

/** Records the passes of a student and its teacher one behind the other. */
export class TrainingSpace implements Disposable {
  readonly gpu: Gpu;
  readonly recorder: Recorder;
  readonly readback: Readback;
  /** Memory of batches and losses. */
  readonly scratch: Scratch;
  readonly #most: number;
  #operations = 0;

  /**
   * @param gpu the device; it stays when this is disposed of
   * @param options.submitOperations operations of a submit, about
   */
  constructor(gpu: Gpu, options: { readonly submitOperations?: number } = {}) {
    this.gpu = gpu;
    this.#most = options.submitOperations ?? SUBMIT_OPERATIONS;
    this.recorder = new Recorder(gpu);
    this.readback = new Readback(gpu);
    this.scratch = new Scratch(gpu, this.recorder);
  }

  /** Submits what is recorded once it adds up to enough work. */
  recorded(operations: number): void {
    this.#operations += operations;
    if (this.#operations < this.#most) return;
    this.#operations = 0;
    this.recorder.submit();
  }

  [Symbol.dispose](): void {
    this.scratch[Symbol.dispose]();
    this.readback[Symbol.dispose]();
    this.recorder[Symbol.dispose]();
  }
}
