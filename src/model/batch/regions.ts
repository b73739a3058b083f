/** Data of a run that kernels only read: regions of one tensor, which are uploaded in one write. */

import { type Tensor, upload } from "../../gpu/tensor.ts";
import type { PredictionContext } from "../prediction_pass.ts";

/** Words of a region at least: few runs need more, and a binding may begin at 256 bytes. */
const LEAST_WORDS = 512;
/** Words of a part of a region at least, for the same reason. */
const LEAST_PART = 64;

/** Room for so many elements that a few more need no more: twice as much each time. */
export function roomFor(elements: number, least: number): number {
  return Math.max(least, 2 ** Math.ceil(Math.log2(Math.max(1, elements))));
}

/** Lists in parts of one size, of which each can be bound. */
export function inParts(lists: readonly (Uint32Array | undefined)[]): {
  readonly words: Uint32Array<ArrayBuffer>;
  /** Words of a part. */
  readonly size: number;
} {
  const size = roomFor(Math.max(...lists.map((list) => list?.length ?? 0)), LEAST_PART);
  const words = new Uint32Array(size * lists.length);
  lists.forEach((list, i) => list && words.set(list, size * i));
  return { words, size };
}

/**
 * Regions by name. Each lies where it lay in the runs before, as long as there is room for it: bind
 * groups are kept by the regions that they bind.
 */
export class Regions {
  readonly #places = new Map<string, { first: number; capacity: number }>();
  readonly #put = new Map<string, Uint32Array>();
  #words = new Uint32Array(0);

  /** Sets the data of a region for the next upload. */
  put(name: string, words: Uint32Array): void {
    this.#put.set(name, words);
  }

  /** Makes room for the largest data of a region. */
  reserve(name: string, words: number): void {
    const place = this.#places.get(name);
    if (place && place.capacity >= words) return;
    this.#places.set(name, { first: 0, capacity: roomFor(words, LEAST_WORDS) });
    this.#lay();
  }

  /** Uploads what was put. @returns the tensor of each region that was put */
  upload({ gpu, scratch }: PredictionContext): (name: string) => Tensor {
    for (const [name, { length }] of this.#put) this.reserve(name, length);
    for (const [name, words] of this.#put) this.#words.set(words, this.#places.get(name)!.first);
    this.#put.clear();
    const tensor = scratch.get("run data", this.#words.length);
    upload(gpu, tensor, this.#words);
    return (name) => {
      const { first, capacity } = this.#places.get(name)!;
      return tensor.part(first, capacity);
    };
  }

  #lay(): void {
    let end = 0;
    for (const place of this.#places.values()) {
      place.first = end;
      end += place.capacity;
    }
    this.#words = new Uint32Array(end);
  }
}
