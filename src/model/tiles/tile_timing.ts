/** Times a matrix's product with any tiling, on the device. */

import type { Gpu } from "../../gpu/device.ts";
import { KernelTimes } from "../../gpu/kernel_times.ts";
import { QueueWait } from "../../gpu/mapping.ts";
import { Readback } from "../../gpu/readback.ts";
import { Recorder } from "../../gpu/recorder.ts";
import { Scratch } from "../../gpu/scratch.ts";
import { createTensor, type Tensor, tensorOf, upload } from "../../gpu/tensor.ts";
import type { Texels } from "../../gpu/texels.ts";
import { matmul } from "../../kernels/matmul.ts";
import { qkv } from "../../kernels/qkv.ts";
import { stripMatmul } from "../../kernels/strip_matmul.ts";
import { stripQkv } from "../../kernels/strip_qkv.ts";
import { runsInStrips } from "../../kernels/strips.ts";
import { stripSwiglu } from "../../kernels/strip_swiglu.ts";
import { swiglu } from "../../kernels/swiglu.ts";
import {
  DEFAULT_TILES,
  TILE_COLUMNS,
  type TilePlan,
  type WeightMatrix,
} from "../../kernels/weight_matrix.ts";
import { BLOCK, bytesPerColumn } from "../../quant/scheme.ts";
import { rowsFor } from "../linear.ts";
import { randomMatrix } from "../synthetic/random_matrix.ts";
import { outputsOf, type TiledMatrix } from "./tiled_matrix.ts";

/** Outputs to time on a software adapter, where a few tiles keep all cores busy. */
const SOFTWARE_OUTPUTS = 1024;
/** Head size of the timed projection. */
const HEAD_DIM = 128;
/** Least milliseconds of a sample, so that clock ticks and the cost of a submit do not matter. */
const SAMPLE = { timestamps: 10, clock: 40 } as const;
const MOST_REPEATS = 100;

/** Times products of random rows with random weights of one shape. */
export class TileTimer implements Disposable {
  /**
   * Outputs of the matrix that are timed: all, or a slice that fits a binding and is fast enough.
   */
  readonly outputs: number;
  readonly #gpu: Gpu;
  readonly #mostRows: number;
  readonly #recorder: Recorder;
  readonly #scratch: Scratch;
  readonly #matrix: TiledMatrix;
  readonly #weights: WeightMatrix;
  readonly #x: Tensor;
  readonly #y: Tensor;
  readonly #tables: readonly [position: Tensor, rotation: Tensor, k: Tensor, v: Tensor];
  readonly #owned: (Tensor | Texels)[];
  readonly #queue: QueueWait;
  #times: KernelTimes | undefined;
  readonly #repeats = new Map<number, number>();

  /** @param mostRows largest number of rows to time */
  constructor(gpu: Gpu, matrix: TiledMatrix, mostRows: number) {
    this.#gpu = gpu;
    this.#mostRows = mostRows;
    this.#matrix = matrix;
    this.#recorder = new Recorder(gpu);
    this.#scratch = new Scratch(gpu, this.#recorder);
    this.#queue = new QueueWait(gpu);
    const { scheme, blocks, arithmetic } = matrix;
    const inner = BLOCK * blocks;
    const paired = matrix.kernel !== "matmul";
    this.outputs = timedOutputs(gpu, matrix, mostRows);
    const columns = this.outputs / (paired ? 2 : 1);
    const made = randomMatrix(gpu, { scheme, inner, columns, paired, arithmetic });
    this.#weights = made.matrix;
    const values = Float32Array.from(
      { length: mostRows * inner },
      (_, i) => ((i * 7919) % 1000) / 1e4,
    );
    const rows = tensorOf(gpu, "rows", values);
    this.#x = rowsFor(made.matrix, rows, mostRows, {
      recorder: this.#recorder,
      scratch: this.#scratch,
    });
    this.#recorder.submit();
    const width = Math.ceil(this.outputs / HEAD_DIM) * HEAD_DIM;
    this.#y = createTensor(gpu, "y", mostRows * width);
    this.#tables = [
      createTensor(gpu, "position", mostRows),
      createTensor(gpu, "rotation", HEAD_DIM),
      createTensor(gpu, "keys", 4),
      createTensor(gpu, "values", 4),
    ];
    this.#owned = [...made.owned, rows, this.#y, ...this.#tables];
    if (gpu.features.includes("timestamp-query")) this.#times = new KernelTimes(gpu);
  }

  /** Whether tilings without splits are all the same, since the device multiplies in strips then. */
  get inStrips(): boolean {
    const { columns } = this.#weights;
    return runsInStrips(this.#gpu, { ...this.#weights, tiles: DEFAULT_TILES }, columns);
  }

  /** Multiplications and additions of one product. */
  operations(rows: number): number {
    return 2 * rows * BLOCK * this.#matrix.blocks * this.outputs;
  }

  /** Compiles a tiling and runs it once. @returns whether the device accepts it */
  async accepts(plan: TilePlan, rows: number): Promise<boolean> {
    const { device } = this.#gpu;
    device.pushErrorScope("validation");
    this.#record(plan, rows);
    this.#recorder.submit();
    await this.#queue.wait();
    return !await device.popErrorScope();
  }

  /** What one product is under a tiling, and whatever else lies behind its rows. */
  async product(plan: TilePlan, rows: number): Promise<Float32Array> {
    const words = this.#y.byteLength / 4;
    upload(this.#gpu, this.#y, new Float32Array(words));
    this.#record(plan, rows);
    using readback = new Readback(this.#gpu);
    const bytes = 4 * Math.min(words, Math.ceil(rows * words / this.#mostRows));
    return new Float32Array(await readback.read(this.#recorder, this.#y, bytes));
  }

  /** Milliseconds of one product, the mean of a few; as many of them for every tiling. */
  async time(plan: TilePlan, rows: number): Promise<number> {
    const repeats = this.#repeats.get(rows) ?? await this.#calibrated(plan, rows);
    return await this.#sample(plan, rows, repeats) / repeats;
  }

  async #calibrated(plan: TilePlan, rows: number): Promise<number> {
    let once = await this.#sample(plan, rows, 1);
    if (this.#times && !(once > 0)) {
      // Some drivers have timestamps that never advance.
      this.#times[Symbol.dispose]();
      this.#times = undefined;
      once = await this.#sample(plan, rows, 1);
    }
    const wanted = SAMPLE[this.#times ? "timestamps" : "clock"];
    const repeats = Math.max(1, Math.min(MOST_REPEATS, Math.ceil(wanted / once)));
    this.#repeats.set(rows, repeats);
    return repeats;
  }

  /** Milliseconds of `repeats` products. */
  async #sample(plan: TilePlan, rows: number, repeats: number): Promise<number> {
    const times = this.#times;
    const total = () => times!.totals().reduce((sum, { milliseconds }) => sum + milliseconds, 0);
    const before = times ? total() : performance.now();
    this.#recorder.times = times;
    for (let i = 0; i < repeats; i++) this.#record(plan, rows);
    this.#recorder.submit();
    if (times) await times.collect();
    else await this.#queue.wait();
    this.#gpu.throwIfFaulty();
    return (times ? total() : performance.now()) - before;
  }

  #record(tiles: TilePlan, rows: number): void {
    const recorder = this.#recorder;
    const weights = { ...this.#weights, tiles };
    const { kernel } = this.#matrix;
    const options = { rows, yStride: weights.columns };
    const inStrips = this.inStrips && tiles.splits === 1;
    if (kernel === "matmul" && inStrips) {
      stripMatmul(recorder, this.#x, weights, this.#y, { ...options, add: true });
    } else if (kernel === "matmul") {
      matmul(recorder, this.#x, weights, this.#y, {
        ...options,
        add: true,
        scratch: this.#scratch,
      });
    } else if (kernel === "swiglu") {
      (inStrips ? stripSwiglu : swiglu)(recorder, this.#x, weights, this.#y, options);
    } else {
      const [rowPosition, rotation, k, v] = this.#tables;
      // All outputs count as queries, since keys and values are computed the same way.
      const heads = Math.ceil(this.outputs / HEAD_DIM);
      const shape = { heads, kvHeads: heads, headDim: HEAD_DIM, headStride: HEAD_DIM };
      const tensors = { x: this.#x, rowPosition, rotation, q: this.#y, k, v };
      (inStrips ? stripQkv : qkv)(recorder, tensors, weights, shape, {
        rows,
        firstQuery: 0,
        firstKey: 0,
      });
    }
  }

  [Symbol.dispose](): void {
    this.#times?.[Symbol.dispose]();
    this.#queue[Symbol.dispose]();
    this.#scratch[Symbol.dispose]();
    this.#recorder[Symbol.dispose]();
    for (const one of this.#owned) one.destroy();
  }
}

/** Number of outputs to time: whole tiles, unless the matrix is smaller. */
function timedOutputs(gpu: Gpu, matrix: TiledMatrix, rows: number): number {
  const all = outputsOf(matrix);
  const { maxStorageBufferBindingSize: bytes } = gpu.limits;
  const weightBytes = bytesPerColumn(matrix.scheme, BLOCK * matrix.blocks);
  const fitting = Math.floor(bytes / Math.max(weightBytes, 4 * rows));
  const most = gpu.software ? Math.min(fitting, SOFTWARE_OUTPUTS) : fitting;
  if (all <= most) return all;
  return Math.max(TILE_COLUMNS, most - most % TILE_COLUMNS);
}
