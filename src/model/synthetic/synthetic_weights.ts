/**
 * Random weights that are made when they are read. A pool of values is drawn once for each inner
 * size, one for the embedding and one for norms. Every tensor reads its pool cyclically, from its
 * own start. A pool has more units than any matrix has rows, so no two rows of a matrix are equal,
 * but all matrices of one inner size hold the same values in another order. This is enough to time,
 * load and compare models, but not to study them.
 */

import { byteSize, type FloatDType, fromF32, toF32 } from "../../gpu/dtype.ts";
import { encodeRows } from "../../quant/encode.ts";
import type { QuantScheme } from "../../quant/scheme.ts";
import type { TensorFile } from "../../weights/checkpoint.ts";
import type { TensorSlice } from "../../weights/safetensors.ts";
import { ConfigError } from "../../weights/model_file_error.ts";
import { expectedTensors } from "../loading/tensors.ts";
import { type ModelConfig, scaleName } from "../model_config.ts";

/**
 * Weights in a unit of a pool: the size of the largest group, so that a unit holds whole groups.
 */
const UNIT = 64;
/** Numbers of units in a pool. All are prime, so that rows, whole units apart, reach every unit. */
const POOL_UNITS = [8191, 131071, 524287];

/** Distribution of a tensor's values. */
interface Spread {
  readonly mean: number;
  readonly deviation: number;
}

/** The source of a tensor's bytes. */
interface Place {
  /** Returns the pool, which is drawn at the first call. */
  readonly pool: () => Uint8Array;
  /** Start of the tensor in the pool, as a share of the pool. */
  readonly unit: number;
}

/** The weights of a model without a folder, read from seeded pools instead of a file. */
export class SyntheticWeights implements TensorFile {
  readonly file: string;
  readonly tensors: ReadonlyMap<string, TensorSlice>;
  readonly #places = new Map<string, Place>();
  readonly #units: number;

  /**
   * Norms are drawn around 1, the embedding with a deviation of 1, and a matrix `[out, inner]` with
   * `1 / sqrt(inner)`, so that activations stay near 1. Codes and scales are those that `encodeRows`
   * makes of the same floats.
   * @param file used in errors instead of a path
   * @param options.dtype type of the floats, default BF16
   * @throws {ConfigError} when the width of a quantised matrix is not a whole number of groups
   */
  constructor(
    file: string,
    config: ModelConfig,
    options: { readonly seed?: number; readonly dtype?: FloatDType } = {},
  ) {
    const { seed = 1, dtype = "BF16" } = options;
    this.file = file;
    const floats = expectedTensors({ ...config, quantisation: undefined });
    const rows = Math.max(...floats.map(({ shape }) => shape[0]));
    const units = POOL_UNITS.find((count) => count > rows) ?? POOL_UNITS.at(-1)!;
    this.#units = units;
    const pools = new Pools(seed, units * UNIT, dtype);
    const order = new Map(floats.map(({ name, shape }, i) => [name, { i, shape }]));
    const tensors = new Map<string, TensorSlice>();
    let byteOffset = 0;
    for (const { name, shape, dtypes } of expectedTensors(config)) {
      const isScale = !order.has(name);
      const matrix = isScale ? name.slice(0, -scaleName("").length) : name;
      const { i, shape: floatShape } = order.get(matrix)!;
      const isCode = !isScale && dtypes.length === 1;
      const inner = floatShape.at(-1)!;
      const spread = spreadOf(floatShape, i === 0);
      let pool = () => pools.floats(spread);
      if (isScale || isCode) {
        const { scheme } = config.quantisation!;
        checkGroups(file, matrix, inner, scheme);
        pool = () => pools.encoded(spread, scheme)[isScale ? "scales" : "codes"];
      }
      // The number of units is prime, so no two tensors start at the same one.
      this.#places.set(name, { pool, unit: (i + 1) * Math.floor(0.618 * units) % units });
      const stored = dtypes.length === 1 ? dtypes[0] : dtype;
      const byteLength = shape.reduce((product, size) => product * size, byteSize(stored));
      tensors.set(name, { name, dtype: stored, shape, file, byteOffset, byteLength });
      byteOffset += byteLength;
    }
    this.tensors = tensors;
  }

  /** Fills `target` with the tensor's bytes from its byte `offset` on. */
  readInto({ name, byteLength }: TensorSlice, target: Uint8Array, offset = 0): void {
    if (offset < 0 || offset + target.length > byteLength) {
      const range = `[${offset}, ${offset + target.length})`;
      throw new RangeError(`bytes ${range} asked of ${name}, which has ${byteLength}`);
    }
    const place = this.#places.get(name)!;
    const pool = place.pool();
    const start = place.unit * (pool.length / this.#units);
    for (let done = 0; done < target.length;) {
      const from = (start + offset + done) % pool.length;
      const part = pool.subarray(from, from + target.length - done);
      target.set(part, done);
      done += part.length;
    }
  }

  /** Like {@linkcode readInto}, as a promise that is already fulfilled. */
  // deno-lint-ignore require-await
  async loadInto(slice: TensorSlice, target: Uint8Array, offset = 0): Promise<void> {
    this.readInto(slice, target, offset);
  }

  /** Frees the pools. */
  [Symbol.dispose](): void {
    this.#places.clear();
  }
}

function spreadOf(shape: readonly number[], isEmbedding: boolean): Spread {
  if (shape.length === 1) return { mean: 1, deviation: 0.05 };
  return { mean: 0, deviation: isEmbedding ? 1 : 1 / Math.sqrt(shape[1]) };
}

function checkGroups(file: string, tensor: string, inner: number, { group }: QuantScheme): void {
  if (inner % group! === 0) return;
  throw new ConfigError({
    file,
    tensor,
    field: "inner size",
    found: `${inner}`,
    expected: `whole groups of ${group}`,
    remedy: "Give sizes that are multiples of it.",
  });
}

/** The pools in the types that are asked for. */
class Pools {
  readonly #seed: number;
  readonly #length: number;
  readonly #dtype: FloatDType;
  readonly #floats = new Map<string, Uint8Array>();
  readonly #encoded = new Map<string, { codes: Uint8Array; scales: Uint8Array }>();

  constructor(seed: number, length: number, dtype: FloatDType) {
    this.#seed = seed;
    this.#length = length;
    this.#dtype = dtype;
  }

  /**
   * Floats of a spread. Each has its own values, or a head would be correlated with the embedding.
   */
  floats(spread: Spread): Uint8Array {
    const key = `${spread.mean} ${spread.deviation}`;
    return once(
      this.#floats,
      key,
      () => fromF32(drawNormal(`${this.#seed} ${key}`, this.#length, spread), this.#dtype),
    );
  }

  /** Codes and scales of a spread; the scheme must be the same in every call. */
  encoded(spread: Spread, scheme: QuantScheme): { codes: Uint8Array; scales: Uint8Array } {
    return once(this.#encoded, `${spread.deviation}`, () => {
      const { codes, scales } = encodeRows(scheme, toF32(this.floats(spread), this.#dtype), UNIT);
      return { codes, scales: new Uint8Array(scales.buffer) };
    });
  }
}

function once<T>(made: Map<string, T>, key: string, make: () => T): T {
  const value = made.get(key) ?? make();
  made.set(key, value);
  return value;
}

/**
 * Draws values near a normal distribution. They are sums of four uniform integers, so that every
 * machine gets the same.
 */
function drawNormal(
  seed: string,
  length: number,
  { mean, deviation }: Spread,
): Float32Array<ArrayBuffer> {
  let state = 0x811c9dc5; // FNV-1a of the seed
  for (const character of seed) state = Math.imul(state ^ character.charCodeAt(0), 0x01000193);
  // Each seed has its own step, or two seeds would give parts of one sequence.
  const step = Math.imul(state, 0x9e3779b1) | 1;
  const draw = () => {
    // Chris Wellons' lowbias32 of a Weyl sequence.
    state = (state + step) | 0;
    let x = state;
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return x ^ (x >>> 15);
  };
  const values = new Float32Array(length);
  const scale = deviation * Math.sqrt(3) / 65536;
  for (let i = 0; i < length; i++) {
    const a = draw();
    const b = draw();
    const sum = (a >>> 16) + (a & 0xffff) + (b >>> 16) + (b & 0xffff);
    values[i] = mean + scale * (sum - 2 * 0xffff);
  }
  return values;
}
