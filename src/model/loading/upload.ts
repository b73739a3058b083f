/** Uploads a checkpoint's tensors: repacks, quantises if wanted, and splits them to fit limits. */

import type { Gpu } from "../../gpu/device.ts";
import type { Arithmetic } from "../../gpu/kernel.ts";
import type { Recorder } from "../../gpu/recorder.ts";
import { createTensor, type Tensor, tensorOf } from "../../gpu/tensor.ts";
import type { Texels } from "../../gpu/texels.ts";
import { bindWeights, type PartTensors } from "../../kernels/weight_binding.ts";
import {
  defaultTiles,
  type TiledKernel,
  type WeightMatrix,
  type WeightPart,
} from "../../kernels/weight_matrix.ts";
import {
  BLOCK,
  blocksOf,
  codeBytesPerColumn,
  groupsOf,
  type QuantScheme,
  scaleWords,
  SCHEMES,
  schemeText,
  storedRowBytes,
} from "../../quant/scheme.ts";
import { CheckpointError } from "../../weights/checkpoint.ts";
import { scaleName, type StoredQuantisation } from "../model_config.ts";
import type { TileLookup } from "../tiles/tiled_matrix.ts";
import {
  type LoadProgress,
  type StoredMatrix,
  type WeightSource,
  WeightStream,
} from "./weight_stream.ts";

export type { LoadProgress, WeightSource } from "./weight_stream.ts";

/** Columns that a part's start is aligned to: whole tiles of the kernels that read it. */
const PART_COLUMNS = 128;

/** How matrices are kept on the GPU; an undefined scheme keeps them as they are stored. */
export interface WeightPrecision {
  /** Scheme of the linear layers inside the blocks. */
  readonly layers?: QuantScheme;
  /** Scheme of the output head, if it is not the embedding. */
  readonly head?: QuantScheme;
  /** Arithmetic of the products; default f32. int8 applies only to quantised matrices. */
  readonly arithmetic?: Arithmetic;
}

/** Creates a model's tensors. Disposed of before {@linkcode release}, it frees all of them. */
export class WeightUpload implements AsyncDisposable {
  readonly #gpu: Gpu;
  readonly #source: WeightSource;
  readonly #stored: StoredQuantisation | undefined;
  readonly #arithmetic: Arithmetic;
  readonly #stream: WeightStream;
  readonly #tuned: TileLookup | undefined;
  #owned: (Tensor | Texels)[] = [];

  /**
   * @param options.stored how quantised tensors are stored, from config.json
   * @param options.tiles tiles of the matrices that were tuned; the others follow a fixed rule
   * @param options.stream stream of the bytes; default: one that reads and converts them
   */
  constructor(
    gpu: Gpu,
    recorder: Recorder,
    source: WeightSource,
    options: {
      readonly stored?: StoredQuantisation;
      readonly arithmetic?: Arithmetic;
      readonly tiles?: TileLookup;
      readonly onProgress?: LoadProgress;
      readonly stream?: typeof WeightStream;
    } = {},
  ) {
    this.#tuned = options.tiles;
    this.#arithmetic = options.arithmetic ?? "f32";
    this.#gpu = gpu;
    this.#source = source;
    this.#stored = options.stored;
    const { stream: Stream = WeightStream } = options;
    this.#stream = new Stream(gpu, recorder, source, options.onProgress);
  }

  /** A vector, widened to f32. `[length]` */
  vector(name: string, length: number): Tensor {
    const slice = this.#source.tensor(name, { shape: [length] });
    const tensor = tensorOf(this.#gpu, name, this.#stream.vector(slice));
    this.#owned.push(tensor);
    return tensor;
  }

  /** @throws {GpuError} before a table of so many elements is made, when it would not fit */
  checkTable(label: string, elements: number): void {
    this.#gpu.checkBufferSize(label, 4 * elements);
  }

  /**
   * A table made on the host.
   * @param make makes the values; called only if weights are really read
   */
  table(label: string, elements: number, make: () => Float32Array<ArrayBuffer>): Tensor {
    const tensor = createTensor(this.#gpu, label, elements);
    this.#owned.push(tensor);
    this.#stream.table(tensor, make);
    return tensor;
  }

  /**
   * Uploads matrices `[out, inner]` as one matrix, with their outputs side by side.
   * @param wanted the scheme on the GPU; undefined keeps the stored one
   * @throws {CheckpointError} when a tensor is missing, of another shape, or the file was cut short
   */
  async stacked(
    names: readonly string[],
    outs: readonly number[],
    inner: number,
    wanted?: QuantScheme,
  ): Promise<WeightMatrix> {
    const matrices = names.map((name, i) => this.#matrix(name, outs[i], inner));
    const scheme = this.#scheme(matrices, wanted);
    const arithmetic = this.#arithmeticOf(scheme);
    const columns = outs.reduce((sum, out) => sum + out, 0);
    const parts: WeightPart[] = [];
    for (const [first, last] of this.#split(columns, codeBytesPerColumn(scheme, inner))) {
      const tensors = this.#part(names[0], last - first, scheme, inner);
      let start = 0;
      for (const [i, matrix] of matrices.entries()) {
        const from = Math.max(first, start);
        const to = Math.min(last, start + outs[i]);
        if (from < to) {
          const at = { firstColumn: from - first, columns: last - first };
          await this.#stream.fill(matrix, inner, from - start, to - start, tensors, scheme, at);
        }
        start += outs[i];
      }
      parts.push(this.#partOf(scheme, arithmetic, tensors, first, last - first));
    }
    return this.#tiled("matmul", { scheme, blocks: blocksOf(inner), columns, parts, arithmetic });
  }

  /**
   * Uploads two matrices `[outs, inner]` of which a kernel needs the same outputs together. A part
   * holds its outputs of the first matrix, then the same outputs of the second.
   * @throws {CheckpointError} as {@linkcode stacked}
   */
  async paired(
    names: readonly [string, string],
    outs: number,
    inner: number,
    wanted?: QuantScheme,
  ): Promise<WeightMatrix> {
    const matrices = names.map((name) => this.#matrix(name, outs, inner));
    const scheme = this.#scheme(matrices, wanted);
    const arithmetic = this.#arithmeticOf(scheme);
    const parts: WeightPart[] = [];
    for (const [first, last] of this.#split(outs, 2 * codeBytesPerColumn(scheme, inner))) {
      const width = last - first;
      const tensors = this.#part(names[0], 2 * width, scheme, inner);
      for (const [i, matrix] of matrices.entries()) {
        const at = { firstColumn: i * width, columns: 2 * width };
        await this.#stream.fill(matrix, inner, first, last, tensors, scheme, at);
      }
      parts.push(this.#partOf(scheme, arithmetic, tensors, first, width));
    }
    const blocks = blocksOf(inner);
    return this.#tiled("swiglu", { scheme, blocks, columns: outs, parts, arithmetic });
  }

  /**
   * Uploads matrices `[heads * headDim, inner]` for a kernel that rotates channel i of a head
   * against channel i + headDim / 2. A part holds the first channels of its pairs, then the second
   * ones.
   * @returns a matrix whose columns are pairs, head by head, matrix by matrix
   * @throws {CheckpointError} as {@linkcode stacked}
   */
  async heads(
    names: readonly string[],
    heads: readonly number[],
    headDim: number,
    inner: number,
    wanted?: QuantScheme,
  ): Promise<WeightMatrix> {
    const matrices = names.map((name, i) => this.#matrix(name, heads[i] * headDim, inner));
    const scheme = this.#scheme(matrices, wanted);
    const arithmetic = this.#arithmeticOf(scheme);
    const half = headDim / 2;
    const columns = half * heads.reduce((sum, count) => sum + count, 0);
    const parts: WeightPart[] = [];
    for (const [first, last] of this.#split(columns, 2 * codeBytesPerColumn(scheme, inner))) {
      const width = last - first;
      const tensors = this.#part(names[0], 2 * width, scheme, inner);
      let pair = 0;
      for (const [i, matrix] of matrices.entries()) {
        for (let head = 0; head < heads[i]; head++, pair += half) {
          const from = Math.max(first, pair);
          const to = Math.min(last, pair + half);
          for (let member = 0; member < 2 && from < to; member++) {
            const row = head * headDim + member * half + from - pair;
            const at = { firstColumn: member * width + from - first, columns: 2 * width };
            await this.#stream.fill(matrix, inner, row, row + to - from, tensors, scheme, at);
          }
        }
      }
      parts.push(this.#partOf(scheme, arithmetic, tensors, first, width));
    }
    return this.#tiled("qkv", { scheme, blocks: blocksOf(inner), columns, parts, arithmetic });
  }

  /** Waits for running uploads and gives all tensors to the caller, who must free them. */
  async release(): Promise<readonly (Tensor | Texels)[]> {
    await this.#stream.finish();
    const owned = this.#owned;
    this.#owned = [];
    return owned;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stream[Symbol.asyncDispose]();
    for (const one of this.#owned) one.destroy();
    this.#owned = [];
  }

  /**
   * Adds a matrix's tiles. All numbers of rows share them, because they decide the order of sums.
   */
  #tiled(kernel: TiledKernel, matrix: WeightMatrix): WeightMatrix {
    const tuned = this.#tuned?.({ kernel, ...matrix });
    return { ...matrix, tiles: tuned ?? defaultTiles(this.#gpu, kernel, BLOCK * matrix.blocks) };
  }

  /** Finds a matrix in the checkpoint, stored quantised or not. */
  #matrix(name: string, out: number, inner: number): StoredMatrix {
    const scales = scaleName(name);
    if (!this.#stored || !this.#source.tensors.has(scales)) {
      return { codes: this.#source.tensor(name, { shape: [out, inner] }) };
    }
    const { scheme } = this.#stored;
    const width = storedRowBytes(scheme, inner);
    return {
      codes: this.#source.tensor(name, { shape: [out, width], dtypes: [scheme.dtype] }),
      scales: this.#source.tensor(scales, {
        shape: [out, groupsOf(scheme, inner)],
        dtypes: ["F16"],
      }),
    };
  }

  /** The scheme of matrices read as one: the wanted one, their own, or f32 if theirs differ. */
  #scheme(matrices: readonly StoredMatrix[], wanted: QuantScheme | undefined): QuantScheme {
    if (matrices.some(({ scales }) => scales)) {
      const { scheme } = this.#stored!;
      if (!wanted || (wanted.name === scheme.name && wanted.group === scheme.group)) return scheme;
      const { file, name } = matrices[0].codes;
      throw new CheckpointError({
        file,
        tensor: name,
        found: schemeText(scheme),
        expected: schemeText(wanted),
        remedy: "A quantised folder only loads as it is stored: do that, or load the original.",
      });
    }
    if (wanted?.group) return wanted;
    const own = Object.values(SCHEMES).find((scheme) =>
      !scheme.group && matrices.every(({ codes }) => codes.dtype === scheme.dtype)
    );
    return own ?? SCHEMES.f32;
  }

  /** The arithmetic of a scheme: int8 only for quantised ones, since it needs integer codes. */
  #arithmeticOf({ group }: QuantScheme): Arithmetic {
    return this.#arithmetic === "int8" && group === undefined ? "f32" : this.#arithmetic;
  }

  /** Column ranges that fit one binding each. */
  *#split(columns: number, columnBytes: number): Generator<[first: number, last: number]> {
    const { maxStorageBufferBindingSize, maxBufferSize } = this.#gpu.limits;
    const fitting = Math.floor(Math.min(maxStorageBufferBindingSize, maxBufferSize) / columnBytes);
    const width = fitting >= columns
      ? columns
      : Math.max(1, fitting - fitting % Math.min(PART_COLUMNS, fitting));
    for (let first = 0; first < columns; first += width) {
      yield [first, Math.min(columns, first + width)];
    }
  }

  #part(label: string, columns: number, scheme: QuantScheme, inner: number): PartTensors {
    const create = (what: string, words: number) => {
      const tensor = createTensor(this.#gpu, what, words);
      this.#owned.push(tensor);
      return tensor;
    };
    return {
      units: create(label, columns * codeBytesPerColumn(scheme, inner) / 4),
      scales: scheme.group === undefined
        ? undefined
        : create(scaleName(label), columns * scaleWords(scheme, inner)),
    };
  }

  /** The part that tensors become, all of which has been asked for. */
  #partOf(
    scheme: QuantScheme,
    arithmetic: Arithmetic,
    tensors: PartTensors,
    firstColumn: number,
    columns: number,
  ): WeightPart {
    const { binding, texels, move } = bindWeights(this.#gpu, scheme, arithmetic, tensors);
    if (texels) {
      this.#owned.push(texels);
      this.#stream.whenSubmitted(() => {
        this.#owned.splice(this.#owned.indexOf(tensors.units), 1);
        move();
      });
    }
    return { binding, firstColumn, columns };
  }
}
