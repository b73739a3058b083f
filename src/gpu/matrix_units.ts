/** Matrix units, which multiply small matrices in one instruction of a whole subgroup. */

import matrix16x16x16 from "../../shaders/lib/matrix_16x16x16.wgsl" with { type: "text" };
import matrix8x16x16 from "../../shaders/lib/matrix_8x16x16.wgsl" with { type: "text" };
import matrix8x8x8 from "../../shaders/lib/matrix_8x8x8.wgsl" with { type: "text" };

/** Name of Dawn's feature; the WebGPU standard has none yet. */
export const MATRIX_FEATURE = "chromium-experimental-subgroup-matrix";

/** Name of the feature that lets a shader ask for the size of its subgroups. */
export const SIZE_FEATURE = "subgroup-size-control";

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
  /** Columns of the left factor, and rows of the right one. */
  readonly inner: number;
  /** Lanes that multiply together. */
  readonly subgroupSize: number;
  /** Whether a shader must ask for that size, because the driver might choose another one. */
  readonly asksForSize: boolean;
  /** Workgroup memory of the kernels' largest tile. */
  readonly workgroupBytes: number;
  /** WGSL that defines the shape's types: they need constants and cannot use overrides. */
  readonly snippet: string;
}

/** The shapes that kernels support, the largest first. */
const SHAPES: readonly Omit<MatrixUnits, "subgroupSize" | "asksForSize">[] = [
  {
    shape: "16x16x16",
    rows: 16,
    columns: 16,
    inner: 16,
    workgroupBytes: 18432,
    snippet: matrix16x16x16,
  },
  {
    shape: "8x16x16",
    rows: 8,
    columns: 16,
    inner: 16,
    workgroupBytes: 14336,
    snippet: matrix8x16x16,
  },
  { shape: "8x8x8", rows: 8, columns: 8, inner: 8, workgroupBytes: 7168, snippet: matrix8x8x8 },
];

/** Lanes that kernels ask for where a driver may choose: AMD's and Intel's units both take 32. */
const ASKED_SIZE = 32;
/** Elements of a product that a lane takes at most: `TAKEN` in shaders/lib/matrix_tile.wgsl. */
const MOST_TAKEN = 8;
/** Lanes of a subgroup at most: four are a workgroup, of 256 lanes at most. */
const MOST_LANES = 64;

/** The part of an adapter's information about matrix units. */
export interface MatrixAdapterInfo {
  readonly subgroupMinSize?: number;
  readonly subgroupMaxSize?: number;
  /** Shapes that the adapter supports; only Dawn has this field. */
  readonly subgroupMatrixConfigs?: readonly MatrixConfiguration[];
}

type MatrixLimits = Pick<GPUSupportedLimits, "maxComputeWorkgroupStorageSize">;

/**
 * The matrix units that kernels can use: f16 factors with f32 sums, in a supported shape, on
 * subgroups of one size. Undefined if the adapter lists none; {@linkcode whyNoMatrixUnits} says why.
 * @param sizeControl whether shaders can ask for the size of their subgroups
 */
export function matrixUnitsOf(
  info: MatrixAdapterInfo,
  limits: MatrixLimits,
  sizeControl = false,
): MatrixUnits | undefined {
  const found = unitsOrReason(info, limits, sizeControl);
  return typeof found === "string" ? undefined : found;
}

/** What kernels lack on an adapter without units that they can use. */
export function whyNoMatrixUnits(
  info: MatrixAdapterInfo,
  limits: MatrixLimits,
  sizeControl = false,
): string | undefined {
  const found = unitsOrReason(info, limits, sizeControl);
  return typeof found === "string" ? found : undefined;
}

function unitsOrReason(
  { subgroupMinSize = 0, subgroupMaxSize = 0, subgroupMatrixConfigs = [] }: MatrixAdapterInfo,
  { maxComputeWorkgroupStorageSize }: MatrixLimits,
  sizeControl: boolean,
): MatrixUnits | string {
  if (subgroupMatrixConfigs.length === 0) return "it lists no matrix units";
  const listed = new Set(
    subgroupMatrixConfigs
      .filter((one) => one.componentType === "f16" && one.resultComponentType === "f32")
      .map(({ M, N, K }) => `${M}x${N}x${K}`),
  );
  const known = SHAPES.filter(({ shape }) => listed.has(shape));
  if (known.length === 0) {
    return `of the matrix units that it lists, none has f16 factors and f32 sums of ` +
      SHAPES.map(({ shape }) => shape).join(", ");
  }
  // If the size varies, the compiler chooses which lanes share a matrix, unless it is told.
  const asksForSize = subgroupMinSize !== subgroupMaxSize;
  if (subgroupMaxSize === 0 || (asksForSize && !sizeControl)) {
    return `its subgroups have ${subgroupMinSize} to ${subgroupMaxSize} lanes, and shaders cannot ` +
      "ask for a size";
  }
  const subgroupSize = Math.min(Math.max(ASKED_SIZE, subgroupMinSize), subgroupMaxSize);
  if (subgroupSize > MOST_LANES) {
    return `its subgroups have ${subgroupSize} lanes, which is too many`;
  }
  const fitting = known.find(({ rows, columns, workgroupBytes }) =>
    workgroupBytes <= maxComputeWorkgroupStorageSize && rows * columns <= MOST_TAKEN * subgroupSize
  );
  return fitting
    ? { ...fitting, subgroupSize, asksForSize }
    : `for tiles of ${known[0].shape}, subgroups of ${subgroupSize} lanes or ` +
      `${maxComputeWorkgroupStorageSize} bytes of workgroup memory are too few`;
}

/** A shader's text whose entry point asks for the units' size of subgroups, if that must be asked for. */
export function entryPoint(source: string, { asksForSize, subgroupSize }: MatrixUnits): string {
  // WGSL has no way to leave an attribute out, and the line numbers must stay the file's own.
  return asksForSize
    ? source.replace(/^@compute /m, `@compute @subgroup_size(${subgroupSize}) `)
    : source;
}
