/** Matrix units, which multiply small matrices in one instruction of a whole subgroup. */

import matrix16x16x16 from "../../shaders/lib/matrix_16x16x16.wgsl" with { type: "text" };
import matrix8x8x8 from "../../shaders/lib/matrix_8x8x8.wgsl" with { type: "text" };

/** Name of Dawn's feature; the WebGPU standard has none yet. */
export const MATRIX_FEATURE = "chromium-experimental-subgroup-matrix";

/** A shape that an adapter multiplies: `[M, K]` by `[K, N]` to `[M, N]`. */
export interface MatrixConfiguration {
  /** Type of the two factors. */
  readonly componentType: string;
  /** Type of the product. */
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** The matrix units of a device as kernels use them: f16 factors, f32 sums. */
export interface MatrixUnits {
  /** Rows, columns and inner size of one multiplication. */
  readonly shape: string;
  /** Rows of the left factor and of the product. */
  readonly rows: number;
  /** Columns of the right factor and of the product. */
  readonly columns: number;
  /** Lanes that multiply together. */
  readonly subgroupSize: number;
  /** Workgroup memory of the kernels' largest tile. */
  readonly workgroupBytes: number;
  /** WGSL that defines the shape's types: they need constants and cannot use overrides. */
  readonly snippet: string;
}

/** The shapes that kernels support, the largest first. */
const SHAPES: readonly Omit<MatrixUnits, "subgroupSize">[] = [
  { shape: "16x16x16", rows: 16, columns: 16, workgroupBytes: 29696, snippet: matrix16x16x16 },
  { shape: "8x8x8", rows: 8, columns: 8, workgroupBytes: 13824, snippet: matrix8x8x8 },
];

/** The part of an adapter's information about matrix units. */
export interface MatrixAdapterInfo {
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
  /** Shapes that the adapter supports; only Dawn has this field. */
  readonly subgroupMatrixConfigs?: readonly MatrixConfiguration[];
}

/**
 * The matrix units that kernels can use: f16 factors with f32 sums, in a supported shape, on
 * subgroups of one fixed size. Undefined if the adapter lists none.
 */
export function matrixUnitsOf(
  info: MatrixAdapterInfo,
  { maxComputeWorkgroupStorageSize }: Pick<GPUSupportedLimits, "maxComputeWorkgroupStorageSize">,
): MatrixUnits | undefined {
  const { subgroupMinSize, subgroupMaxSize, subgroupMatrixConfigs = [] } = info;
  // If the subgroup size varies, the compiler chooses which lanes share a matrix.
  if (!subgroupMaxSize || subgroupMinSize !== subgroupMaxSize) return undefined;
  const listed = new Set(
    subgroupMatrixConfigs
      .filter((one) => one.componentType === "f16" && one.resultComponentType === "f32")
      .map(({ M, N, K }) => `${M}x${N}x${K}`),
  );
  const known = SHAPES.find(({ shape, workgroupBytes }) =>
    listed.has(shape) && workgroupBytes <= maxComputeWorkgroupStorageSize
  );
  return known && { ...known, subgroupSize: subgroupMaxSize };
}
