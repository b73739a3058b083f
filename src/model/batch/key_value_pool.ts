/** The pool of keys and values on the GPU: rows in pages, which grow with what canvases hold. */

import type { Gpu } from "../../gpu/device.ts";
import { type Element, elementBytes } from "../../gpu/kernel.ts";
import { turnEventLoop } from "../../gpu/mapping.ts";
import type { Recorder } from "../../gpu/recorder.ts";
import type { Scratch } from "../../gpu/scratch.ts";
import { createTensor, type Tensor } from "../../gpu/tensor.ts";
import { headShape, type KvCache } from "../forward_pass.ts";
import type { ModelConfig } from "../model_config.ts";
import type { PredictionContext } from "../prediction_pass.ts";
import { KnownPages, type PageCopy } from "./kept_table.ts";
import { PAGE_POSITIONS, PageBook, pagesFor } from "./page_book.ts";

/** Canvases of full length that a model keeps keys and values for at most, unless more are planned. */
const MOST_CANVASES = 32;
/** Share of a binding that canvases may take; the rest is for states of a pass. */
const SHARE = 0.75;

/** Keys and values of all canvases of a model. */
export class KeyValuePool implements Disposable {
  readonly book: PageBook;
  readonly known = new KnownPages();
  readonly #gpu: Gpu;
  readonly #recorder: Recorder;
  readonly #scratch: Scratch;
  readonly #rowWords: number;
  readonly #element: Element;
  readonly #layers: { k: Tensor | undefined; v: Tensor | undefined }[];
  /** Pages that states may have beyond those of the book. */
  readonly #statePages: number;
  /** Pages that all layers have. */
  #pages = 0;

  /**
   * @param limits.pages that canvases may hold together; default: as many as a binding holds, within
   * reason
   * @param limits.statePages that states may have beyond those; default: as many as a binding holds
   */
  constructor(
    { gpu, recorder, scratch, config, kvCache: element }: PredictionContext,
    { pages, statePages = Infinity }: { readonly pages?: number; readonly statePages?: number } =
      {},
  ) {
    const { kvHeads, headStride } = headShape(config);
    this.#gpu = gpu;
    this.#recorder = recorder;
    this.#scratch = scratch;
    this.#element = element;
    this.#rowWords = kvHeads * headStride * elementBytes(element) / 4;
    this.#layers = Array.from({ length: config.layers }, () => ({ k: undefined, v: undefined }));
    this.book = new PageBook(this.#mostPages(config, pages));
    this.#statePages = Math.max(0, Math.min(statePages, this.bindable - this.book.total));
  }

  /** Pages that the buffer of a layer can have. */
  get bindable(): number {
    const { maxStorageBufferBindingSize, maxBufferSize } = this.#gpu.limits;
    const bytes = Math.min(maxStorageBufferBindingSize, maxBufferSize);
    return Math.floor(bytes / (4 * this.#rowWords * PAGE_POSITIONS));
  }

  /**
   * Pages that states may have in a run: beyond those of canvases, and what canvases leave of theirs.
   * @param beginning pages that canvases take in it
   */
  borrowable(beginning: number): number {
    return this.#statePages + Math.max(0, this.book.total - this.book.held - beginning);
  }

  #mostPages({ maxSequenceLength }: ModelConfig, wanted?: number): number {
    const one = pagesFor(maxSequenceLength);
    return Math.min(
      wanted ?? MOST_CANVASES * one,
      Math.max(Math.floor(SHARE * this.bindable), Math.min(one, this.bindable)),
    );
  }

  /** Keys and values of all layers; there must be pages. */
  get cache(): KvCache {
    return {
      element: this.#element,
      layers: this.#layers.map(({ k, v }) => ({ k: k!, v: v! })),
    };
  }

  /** Bytes of it all. */
  get byteLength(): number {
    return this.#layers.reduce(
      (sum, { k, v }) => sum + (k?.byteLength ?? 0) + (v?.byteLength ?? 0),
      0,
    );
  }

  /**
   * Makes room for every page that the book has handed out: doubled, up to what is planned. One tensor
   * is made at a time, so that hardly more is needed than the room itself.
   * @throws {GpuMemoryError} when memory runs out; nothing that was kept is lost
   */
  async fit(): Promise<void> {
    const needed = this.book.made;
    if (needed <= this.#pages) return;
    const pages = Math.max(needed, Math.min(2 * this.#pages, this.book.total));
    const words = pages * PAGE_POSITIONS * this.#rowWords;
    for (const [i, layer] of this.#layers.entries()) {
      for (const name of ["k", "v"] as const) {
        const before = layer[name];
        if (before && before.byteLength >= 4 * words) continue;
        const grown = createTensor(this.#gpu, `${name === "k" ? "keys" : "values"} ${i}`, words);
        try {
          // An error is delivered when the event loop turns: before the old one is given up.
          await turnEventLoop();
          this.#gpu.throwIfFaulty();
        } catch (error) {
          grown.destroy();
          throw error;
        }
        if (before) {
          this.#recorder.copy(before, grown);
          this.#recorder.retire(before);
          // Now: if the pass fails, its commands are dropped, and this copy must not be.
          this.#recorder.submit();
        }
        layer[name] = grown;
      }
    }
    this.#pages = pages;
  }

  /** Forgets pages that were handed out without room, and given back. */
  forgetUnmade(): void {
    this.book.forget(this.#pages);
  }

  /** Takes room for a page of a layer: a buffer cannot be copied to itself. */
  takePage(): Tensor {
    return this.#scratch.get("copied page", PAGE_POSITIONS * this.#rowWords);
  }

  /**
   * Copies pages, at once.
   * @throws {GpuMemoryError} when memory runs out: they are not copied
   */
  async copy(copies: readonly PageCopy[]): Promise<void> {
    if (copies.length === 0) return;
    const length = PAGE_POSITIONS * this.#rowWords;
    const between = this.takePage();
    for (const { k, v } of this.#layers) {
      for (const tensor of [k!, v!]) {
        for (const [from, to] of copies) {
          this.#recorder.copy(tensor.part(from * length, length), between, 4 * length);
          this.#recorder.copy(between, tensor.part(to * length, length), 4 * length);
        }
      }
    }
    this.#recorder.submit();
    // An error is delivered when the event loop turns: before the copies are relied on.
    await turnEventLoop();
    this.#gpu.throwIfFaulty();
  }

  /** Frees it all, as soon as no canvas holds a page. */
  freeUnused(): void {
    this.book.whenUnused(() => {
      this[Symbol.dispose]();
      this.book.forget(0);
    });
  }

  [Symbol.dispose](): void {
    for (const layer of this.#layers) {
      for (const tensor of [layer.k, layer.v]) if (tensor) this.#recorder.retire(tensor);
      layer.k = layer.v = undefined;
    }
    this.#pages = 0;
  }
}
