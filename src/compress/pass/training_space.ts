/** What all passes of a training run share: a device, its recorder, and memory of batches. */

import type { Gpu } from "../../gpu/device.ts";
import { Readback } from "../../gpu/readback.ts";
import { Recorder } from "../../gpu/recorder.ts";
import { Scratch } from "../../gpu/scratch.ts";

/** Records the passes of a student and its teacher one behind the other. */
export class TrainingSpace implements Disposable {
  readonly gpu: Gpu;
  readonly recorder: Recorder;
  readonly readback: Readback;
  /** Memory of batches and losses. */
  readonly scratch: Scratch;

  /** @param gpu the device; it stays when this is disposed of */
  constructor(gpu: Gpu) {
    this.gpu = gpu;
    this.recorder = new Recorder(gpu);
    this.readback = new Readback(gpu);
    this.scratch = new Scratch(gpu, this.recorder);
  }

  [Symbol.dispose](): void {
    this.scratch[Symbol.dispose]();
    this.readback[Symbol.dispose]();
    this.recorder[Symbol.dispose]();
  }
}
