/** Buffers for intermediate results, kept from one forward pass to the next. */

import type { Gpu } from "./device.ts";
import type { Recorder } from "./recorder.ts";
import { createTensor, type Tensor } from "./tensor.ts";

/**
 * One buffer per name, grown when a larger one is asked for. New buffers are zero; a name must always
 * be used with the same row stride, so that padding columns stay zero.
 */
export class Scratch implements Disposable {
  readonly #gpu: Gpu;
  readonly #recorder: Recorder;
  readonly #tensors = new Map<string, Tensor>();

  constructor(gpu: Gpu, recorder: Recorder) {
    this.#gpu = gpu;
    this.#recorder = recorder;
  }

  /**
   * The tensor of this name with room for `elements` of 4 bytes; its contents are undefined.
   * @throws {GpuError} when it does not fit the device's limits
   */
  get(name: string, elements: number): Tensor {
    const current = this.#tensors.get(name);
    if (current && current.byteLength >= 4 * elements) return current;
    // Before its successor is made: the two need not fit the memory together.
    if (current) this.#recorder.retire(current);
    this.#tensors.delete(name);
    const grown = createTensor(this.#gpu, name, elements);
    this.#tensors.set(name, grown);
    return grown;
  }

  [Symbol.dispose](): void {
    for (const tensor of this.#tensors.values()) tensor.destroy();
    this.#tensors.clear();
  }
}
