/**
 * How the weights of a LLaDA model lie on the GPU for training: f32, row-major, rows and columns in
 * whole eights, zeros in the padding. Gradients and an optimiser's state lie the same way.
 */

import type { ModelConfig } from "../../model/model_config.ts";
import { familyOf } from "../../model/family.ts";
import { paddedInner } from "../../quant/scheme.ts";

/** The one family whose backward pass is written down. */
const TRAINED_FAMILY = "llada";

/** Where the numbers of one tensor of a checkpoint lie. */
export interface ParameterLayout {
  /** Name in the checkpoint. */
  readonly name: string;
  /** Shape in the checkpoint: `[out, in]` of a matrix (y = x W^T), `[columns]` of a norm. */
  readonly shape: readonly number[];
  /** Rows on the GPU; 1 of a norm. */
  readonly rows: number;
  /** Numbers from one row to the next. */
  readonly columns: number;
  /** Rows of a head in the checkpoint, where each head is padded; else undefined. */
  readonly headRows?: number;
}

/** Name in the checkpoint of a tensor of a layer, or of the model if there is no layer. */
export function parameterName(tensor: string, layer?: number): string {
  return `model.transformer.${layer === undefined ? "" : `blocks.${layer}.`}${tensor}.weight`;
}

/**
 * The layout of every tensor of a model, in the order of its family.
 * @throws {RangeError} when the model is of a family that cannot be trained
 */
export function parameterLayouts(config: ModelConfig): ParameterLayout[] {
  if (config.modelType !== TRAINED_FAMILY) {
    throw new RangeError(
      `a model of type ${config.modelType} cannot be trained, expected ${TRAINED_FAMILY}`,
    );
  }
  return familyOf(config).tensors(config).map(({ name, shape }) => {
    if (shape.length === 1) return { name, shape, rows: 1, columns: paddedInner(shape[0]) };
    const [out, inner] = shape;
    const columns = paddedInner(inner);
    if (!/\.[qkv]_proj\.weight$/.test(name)) {
      return { name, shape, rows: paddedInner(out), columns };
    }
    const headRows = config.headDim;
    return { name, shape, rows: out / headRows * paddedInner(headRows), columns, headRows };
  });
}

/** Numbers that a tensor takes on the GPU. */
export function paddedElements({ rows, columns }: ParameterLayout): number {
  return rows * columns;
}

/** Rows and columns in the checkpoint. */
function storedSize({ shape }: ParameterLayout): { readonly rows: number; readonly inner: number } {
  return shape.length === 1 ? { rows: 1, inner: shape[0] } : { rows: shape[0], inner: shape[1] };
}

/** The row on the GPU of a row of the checkpoint. */
function paddedRow(row: number, headRows: number | undefined): number {
  if (headRows === undefined) return row;
  return Math.floor(row / headRows) * paddedInner(headRows) + row % headRows;
}

/** The row on the GPU of every row of the checkpoint, in order. */
export function sourceRows(layout: ParameterLayout): number[] {
  const { rows } = storedSize(layout);
  return Array.from({ length: rows }, (_, row) => paddedRow(row, layout.headRows));
}

/**
 * Lays numbers out as on the GPU.
 * @param values `[product of shape]`, row-major
 */
export function padded(
  layout: ParameterLayout,
  values: ArrayLike<number>,
): Float32Array<ArrayBuffer> {
  const { rows, inner } = storedSize(layout);
  const result = new Float32Array(paddedElements(layout));
  for (let row = 0; row < rows; row++) {
    const to = paddedRow(row, layout.headRows) * layout.columns;
    for (let i = 0; i < inner; i++) result[to + i] = values[row * inner + i];
  }
  return result;
}

/**
 * Takes the padding away.
 * @param values `[rows, columns]` as on the GPU
 * @returns `[product of shape]`
 */
export function unpadded(layout: ParameterLayout, values: Float32Array): Float32Array<ArrayBuffer> {
  const { rows, inner } = storedSize(layout);
  const result = new Float32Array(rows * inner);
  for (let row = 0; row < rows; row++) {
    const from = paddedRow(row, layout.headRows) * layout.columns;
    result.set(values.subarray(from, from + inner), row * inner);
  }
  return result;
}

/** Most numbers of a piece of a tensor on its way between host and GPU. */
const PIECE = 2 ** 21;

/** Some whole rows of a tensor. */
export interface LayoutPiece {
  /** First number in the checkpoint's tensor, and how many there are. */
  readonly first: number;
  readonly count: number;
  /** First number of the tensor on the GPU. */
  readonly paddedFirst: number;
  /** The layout of these rows alone, without rows of padding behind them. */
  readonly layout: ParameterLayout;
}

/** Divides a tensor into pieces of a few megabytes, in order. */
export function layoutPieces(layout: ParameterLayout): LayoutPiece[] {
  const { rows, inner } = storedSize(layout);
  const { headRows, columns, name } = layout;
  const unit = headRows ?? 1;
  const most = Math.max(1, Math.floor(PIECE / (paddedRow(unit, headRows) * columns))) * unit;
  const pieces: LayoutPiece[] = [];
  for (let row = 0; row < rows; row += most) {
    const count = Math.min(most, rows - row);
    pieces.push({
      first: row * inner,
      count: count * inner,
      paddedFirst: paddedRow(row, headRows) * columns,
      layout: { name, shape: [count, inner], rows: paddedRow(count, headRows), columns, headRows },
    });
  }
  return pieces;
}
