/**
 * A frozen matrix that stays in the scheme it is loaded in, as few bits as that may be: only adapters
 * beside it are trained. Products with its transpose read a copy in f32, which is made for each.
 */

import { type Tensor, tensorOf } from "../../gpu/tensor.ts";
import { embed } from "../../kernels/embed.ts";
import { matmul } from "../../kernels/matmul.ts";
import { multiply } from "../../kernels/multiply_rows.ts";
import { transpose } from "../../kernels/transpose.ts";
import type { WeightMatrix } from "../../kernels/weight_matrix.ts";
import { paddedInner } from "../../quant/scheme.ts";
import { type ParameterLayout, sourceRows } from "./parameter_layout.ts";
import type { ProductRows, ProductSpace } from "./product_space.ts";

/** A matrix of a model that is loaded in a scheme. */
export interface PackedMatrix {
  /** Name in the checkpoint. */
  readonly name: string;
  /** How it would lie in f32, and as its products do. */
  readonly layout: ParameterLayout;
  readonly matrix: WeightMatrix;
  /** `[rows of the layout]`: the row of the checkpoint that each is. */
  readonly rowIds: Tensor;
}

/** Most bytes of a copy in f32: what every device binds, and rows that a dispatch may have. */
const [COPY_BYTES, COPY_ROWS] = [2 ** 26, 2 ** 15];
/** Rows of a copy begin at a multiple of this, so that they can be bound. */
const ALIGNED = 64;

/** Takes the place of a row of padding: no matrix has so many rows. */
const NO_ROW = 0xffffffff;

/** The list of rows of a {@linkcode PackedMatrix}. */
export function rowIdsOf(gpu: ProductSpace["recorder"]["gpu"], layout: ParameterLayout): Tensor {
  const ids = new Uint32Array(layout.rows).fill(NO_ROW);
  sourceRows(layout).forEach((row, from) => ids[row] = from);
  return tensorOf(gpu, `rows of ${layout.name}`, ids);
}

/** Rows of each piece in which a matrix is copied. */
function pieceRows({ rows, columns }: ParameterLayout): number {
  const most = Math.min(COPY_ROWS, Math.floor(COPY_BYTES / (4 * columns)));
  return most >= rows ? rows : Math.max(ALIGNED, most - most % ALIGNED);
}

/** Records a copy in f32 of some rows of a matrix. `[rows, columns of the layout]` */
function copyRows(
  { recorder, scratch }: ProductSpace,
  { layout, matrix, rowIds }: PackedMatrix,
  first: number,
  rows: number,
): Tensor {
  const { columns, headRows, shape: [stored] } = layout;
  // Rows of padding are never written: they stay zero where no other rows are copied to them.
  const padding = headRows !== undefined && layout.rows > stored
    ? `heads of ${headRows} from ${first}`
    : first + rows > stored
    ? "the end"
    : "whole rows";
  const copy = scratch.get(`f32 of ${stored} by ${columns}, ${padding}`, rows * columns);
  embed(recorder, rowIds, matrix, copy, rows, { firstRow: first });
  return copy;
}

/** Records `y = x W^T`, or `y += x W^T`. */
export function packedForward(
  space: ProductSpace,
  packed: PackedMatrix,
  x: Tensor,
  y: Tensor,
  { rows, add }: ProductRows,
): void {
  const { recorder, scratch } = space;
  const { layout, matrix } = packed;
  const { rows: out, columns: inner, shape } = layout;
  if (layout.headRows === undefined || out === shape[0]) {
    // Not on matrix units, which would round the rows: training computes in f32.
    matmul(recorder, x, matrix, y, { rows, yStride: out, add, scratch });
    return;
  }
  const copy = copyRows(space, packed, 0, out);
  multiply(recorder, x, copy, y, { rows, inner, columns: out, bTransposed: true, add, scratch });
}

/** Records `dX = dY W`, or `dX += dY W`. */
export function packedBackward(
  space: ProductSpace,
  packed: PackedMatrix,
  dY: Tensor,
  dX: Tensor,
  { rows, add }: ProductRows,
): void {
  const { recorder, scratch } = space;
  const { rows: out, columns } = packed.layout;
  const each = pieceRows(packed.layout);
  if (each === out) {
    const copy = copyRows(space, packed, 0, out);
    multiply(recorder, dY, copy, dX, { rows, inner: out, columns, add, scratch });
    return;
  }
  // Columns of dY for some rows of the matrix lie together only in the transpose.
  const stride = paddedInner(rows);
  const turned = scratch.get(`transposed for ${out}`, out * stride);
  transpose(recorder, dY, turned, { rows, columns: out });
  for (let first = 0; first < out; first += each) {
    const inner = Math.min(each, out - first);
    const copy = copyRows(space, packed, first, inner);
    multiply(recorder, turned.part(first * stride, inner * stride), copy, dX, {
      rows,
      inner,
      columns,
      aTransposed: true,
      add: add || first > 0,
      scratch,
    });
  }
}
