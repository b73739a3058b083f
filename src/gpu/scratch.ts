/** Scratch buffers for intermediate results, reused from one forward pass to the next. */

import type { Gpu } from "./device.ts";
import type { Recorder } from "./recorder.ts";
import { createTensor, type Tensor } from "./tensor.ts";
import { createTexels, LINE, type Texels } from "./texels.ts";

/** Bytes that every device binds: WebGPU's least limit. */
const BINDABLE_BYTES = 2 ** 27;

/** Whether scratch memory that only spares time is worth having: so many elements of 4 bytes, which fit. */
export function fitsScratch({ limits }: Pick<Gpu, "limits">, elements: number): boolean {
  return 4 * elements <= Math.min(BINDABLE_BYTES, limits.maxStorageBufferBindingSize);
}

/**
 * Holds one buffer per name and makes it larger when needed. New buffers are zero. A name must
 * always be used with the same row stride, so that padding columns stay zero.
 */
export class Scratch implements Disposable {
  readonly #gpu: Gpu;
  readonly #recorder: Recorder;
  readonly #tensors = new Map<string, Tensor>();
  readonly #texels = new Map<string, Texels>();

  constructor(gpu: Gpu, recorder: Recorder) {
    this.#gpu = gpu;
    this.#recorder = recorder;
  }

  /**
   * Returns the tensor of a name with room for `elements` of 4 bytes; its contents are undefined.
   * @throws {GpuError} when the tensor does not fit the device's limits
   */
  get(name: string, elements: number): Tensor {
    const current = this.#tensors.get(name);
    if (current && current.byteLength >= 4 * elements) return current;
    // Freed before the larger one is made, so that the two need not fit the memory together.
    if (current) this.#recorder.retire(current);
    this.#tensors.delete(name);
    const grown = createTensor(this.#gpu, name, elements);
    this.#tensors.set(name, grown);
    return grown;
  }

  /** Returns the texels of a name, with room for so many; their contents are undefined. */
  texels(name: string, count: number): Texels {
    const current = this.#texels.get(name);
    if (current && current.capacity >= count) return current;
    if (current) this.#recorder.retire(current);
    this.#texels.delete(name);
    // A whole line, so that what starts small need not be made anew at once.
    const grown = createTexels(this.#gpu, name, Math.max(LINE, count));
    this.#texels.set(name, grown);
    return grown;
  }

  [Symbol.dispose](): void {
    for (const texels of this.#texels.values()) texels.destroy();
    this.#texels.clear();
    for (const tensor of this.#tensors.values()) tensor.destroy();
    this.#tensors.clear();
  }
}
