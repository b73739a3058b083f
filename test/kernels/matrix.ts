/** Weight matrices for cases, packed on the host: what repack and the upload must amount to. */

import { type FloatDType, fromF32, toF32 } from "../../src/gpu/dtype.ts";
import { type Arithmetic, rowElement } from "../../src/gpu/kernel.ts";
import type { Tensor } from "../../src/gpu/tensor.ts";
import { bindWeights } from "../../src/kernels/weight_binding.ts";
import type { WeightMatrix, WeightPart } from "../../src/kernels/weight_matrix.ts";
import { decodeRows, type EncodedRows, encodeRows } from "../../src/quant/encode.ts";
import {
  blocksOf,
  bytesPerColumn,
  elementsPerUnit,
  groupsOf,
  paddedInner,
  type QuantScheme,
  scaleWords,
  SCHEMES,
  storedRowBytes,
} from "../../src/quant/scheme.ts";
import type { CaseTensors } from "./case.ts";
import type { Random } from "./random.ts";

/** A matrix `[columns, inner]` with the values that its scheme can hold. */
export interface HostMatrix {
  readonly scheme: QuantScheme;
  readonly columns: number;
  readonly inner: number;
  readonly values: Float32Array;
  /** Codes and scales of a quantised one, row by row. */
  readonly encoded?: EncodedRows;
}

/** A matrix of these values, rounded to the scheme. */
export function hostMatrix(
  scheme: QuantScheme["name"],
  inner: number,
  values: Float32Array,
): HostMatrix {
  const { dtype, group } = SCHEMES[scheme];
  const shape = { scheme: SCHEMES[scheme], columns: values.length / inner, inner };
  if (group !== undefined) {
    const encoded = encodeRows(shape.scheme, values, inner);
    return { ...shape, values: decodeRows(shape.scheme, encoded, inner), encoded };
  }
  const float = dtype as FloatDType;
  return { ...shape, values: toF32(fromF32(values, float), float) };
}

/** Random weights of which a row of `inner` keeps the size of what it is multiplied with. */
export function randomMatrix(
  random: Random,
  scheme: QuantScheme["name"],
  columns: number,
  inner: number,
): HostMatrix {
  return hostMatrix(scheme, inner, random.floats(columns * inner, 1 / Math.sqrt(inner)));
}

/** Bytes of the matrix as it lies on the GPU. */
export function matrixBytes(scheme: QuantScheme["name"], columns: number, inner: number): number {
  return columns * bytesPerColumn(SCHEMES[scheme], inner);
}

/** `[paddedInner / elementsPerUnit, columns]` units: unit u of a column holds its weights from u on. */
function packed(matrix: HostMatrix, order: readonly number[]): Uint32Array<ArrayBuffer> {
  const { scheme, inner, values } = matrix;
  if (matrix.encoded) return packedCodes(matrix, matrix.encoded, order);
  const each = elementsPerUnit(scheme);
  const units = new Float32Array(paddedInner(inner) * order.length);
  order.forEach((column, at) => {
    for (let k = 0; k < inner; k++) {
      const unit = Math.floor(k / each) * order.length + at;
      units[unit * each + k % each] = values[column * inner + k];
    }
  });
  return new Uint32Array(fromF32(units, scheme.dtype as FloatDType).buffer);
}

/** As {@linkcode packed}, of codes that are stored row by row. */
function packedCodes(
  { scheme, inner }: HostMatrix,
  { codes }: EncodedRows,
  order: readonly number[],
): Uint32Array<ArrayBuffer> {
  const rowBytes = storedRowBytes(scheme, inner);
  const unitBytes = 4 * scheme.unitWords;
  const bytes = new Uint8Array(blocksOf(inner) * unitBytes * order.length);
  order.forEach((column, at) => {
    for (let i = 0; i < rowBytes; i++) {
      const unit = Math.floor(i / unitBytes) * order.length + at;
      bytes[unit * unitBytes + i % unitBytes] = codes[column * rowBytes + i];
    }
  });
  return new Uint32Array(bytes.buffer);
}

/** `[scaleWords, columns]`, two groups to a word. */
function packedScales(
  { scheme, inner }: HostMatrix,
  { scales }: EncodedRows,
  order: readonly number[],
): Uint32Array<ArrayBuffer> {
  const groups = groupsOf(scheme, inner);
  const words = new Uint32Array(scaleWords(scheme, inner) * order.length);
  order.forEach((column, at) => {
    for (let g = 0; g < groups; g++) {
      words[(g >> 1) * order.length + at] |= scales[column * groups + g] << (16 * (g & 1));
    }
  });
  return words;
}

/** Uploads a matrix in parts of `partColumns`. */
export function uploadMatrix(
  tensors: CaseTensors,
  matrix: HostMatrix,
  partColumns = matrix.columns,
  arithmetic: Arithmetic = "f32",
): WeightMatrix {
  return upload(
    tensors,
    matrix,
    matrix.columns,
    partColumns,
    arithmetic,
    (first, width) => Array.from({ length: width }, (_, i) => first + i),
  );
}

/** Uploads a gate/up pair `[2 * columns, inner]`; a part holds its gates, then their ups. */
export function uploadPair(
  tensors: CaseTensors,
  matrix: HostMatrix,
  partColumns = matrix.columns / 2,
  arithmetic: Arithmetic = "f32",
): WeightMatrix {
  const columns = matrix.columns / 2;
  return upload(
    tensors,
    matrix,
    columns,
    partColumns,
    arithmetic,
    (first, width) =>
      Array.from(
        { length: 2 * width },
        (_, i) => i < width ? first + i : columns + first + i - width,
      ),
  );
}

/**
 * Uploads heads `[heads * headDim, inner]`, columns being pairs of channels i and i + headDim / 2; a
 * part holds the first channels of its pairs, then the second ones.
 */
export function uploadHeads(
  tensors: CaseTensors,
  matrix: HostMatrix,
  headDim: number,
  partPairs = matrix.columns / 2,
  arithmetic: Arithmetic = "f32",
): WeightMatrix {
  const half = headDim / 2;
  return upload(
    tensors,
    matrix,
    matrix.columns / 2,
    partPairs,
    arithmetic,
    (first, width) =>
      Array.from({ length: 2 * width }, (_, i) => {
        const pair = first + i % width;
        return Math.floor(pair / half) * headDim + pair % half + (i < width ? 0 : half);
      }),
  );
}

function upload(
  tensors: CaseTensors,
  matrix: HostMatrix,
  columns: number,
  partColumns: number,
  arithmetic: Arithmetic,
  order: (first: number, width: number) => number[],
): WeightMatrix {
  const { scheme, inner } = matrix;
  const parts: WeightPart[] = [];
  for (let firstColumn = 0; firstColumn < columns; firstColumn += partColumns) {
    const width = Math.min(partColumns, columns - firstColumn);
    const columnsOf = order(firstColumn, width);
    const units = tensors.of("weights", packed(matrix, columnsOf));
    const scales = matrix.encoded &&
      tensors.of("scales", packedScales(matrix, matrix.encoded, columnsOf));
    const { binding, texels, move } = bindWeights(tensors.gpu, scheme, arithmetic, {
      units,
      scales,
    });
    if (texels) tensors.keep(texels);
    move();
    parts.push({ binding, firstColumn, columns: width });
  }
  return { scheme, blocks: blocksOf(inner), columns, parts, arithmetic };
}

/** Rows of `inner` values with a stride of whole blocks, zero behind each row. */
export function paddedRows(
  random: Random,
  rows: number,
  inner: number,
  scale = 1,
): Float32Array<ArrayBuffer> {
  const stride = paddedInner(inner);
  const x = new Float32Array(rows * stride);
  for (let row = 0; row < rows; row++) x.set(random.floats(inner, scale), row * stride);
  return x;
}

/** Uploads rows in the type that products in f32 or f16 read. */
export function uploadRows(
  tensors: CaseTensors,
  x: Float32Array<ArrayBuffer>,
  arithmetic: Arithmetic = "f32",
): Tensor {
  const narrowed = rowElement(arithmetic, tensors.gpu.rowForm) === "f16";
  return tensors.of("x", narrowed ? new Uint32Array(new Float16Array(x).buffer) : x);
}

/** The dot product of an arithmetic, int8 apart: its rows are codes. */
export function dotIn(arithmetic: Arithmetic | undefined): typeof dotF16 {
  return arithmetic === "f16" ? dotF16 : dot;
}

/**
 * As {@linkcode dot}, with products in f16: those of eight consecutive k are added up in f16, with one
 * rounding a term.
 */
export function dotF16(x: Float32Array, row: number, matrix: HostMatrix, column: number): number {
  const stride = paddedInner(matrix.inner);
  let sum = 0;
  for (let k = 0; k < matrix.inner; k += 8) {
    let eight = 0;
    for (let i = k; i < Math.min(matrix.inner, k + 8); i++) {
      const weight = Math.f16round(matrix.values[column * matrix.inner + i]);
      eight = Math.f16round(Math.f16round(x[row * stride + i]) * weight + eight);
    }
    sum += eight;
  }
  return sum;
}

/** The factors that matrix units are given: weights in f16, and with f16 arithmetic x as well. */
export function unitFactors<
  I extends {
    readonly x: Float32Array<ArrayBuffer>;
    readonly matrix: HostMatrix;
    readonly arithmetic?: Arithmetic;
  },
>(inputs: I): I {
  const { x, matrix, arithmetic } = inputs;
  return {
    ...inputs,
    x: arithmetic === "f16" ? x.map(Math.f16round) : x,
    matrix: { ...matrix, values: matrix.values.map(Math.f16round) },
    arithmetic: "f32",
  };
}

/** `sum over k of x[row, k] * w[column, k]`, in f64. */
export function dot(
  x: Float32Array | Float64Array,
  row: number,
  matrix: HostMatrix,
  column: number,
): number {
  const stride = paddedInner(matrix.inner);
  let sum = 0;
  for (let k = 0; k < matrix.inner; k++) {
    sum += x[row * stride + k] * matrix.values[column * matrix.inner + k];
  }
  return sum;
}
