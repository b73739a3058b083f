import { assertEquals } from "@std/assert";
import { type MatrixConfiguration, matrixUnitsOf } from "../../src/gpu/matrix_units.ts";
import { MATRIX_CONSTANTS } from "../../src/kernels/matrix_tile.ts";

const LIMITS = { maxComputeWorkgroupStorageSize: 32768 };

const configuration = (
  shape: string,
  componentType = "f16",
  resultComponentType = "f32",
): MatrixConfiguration => {
  const [M, N, K] = shape.split("x").map(Number);
  return { componentType, resultComponentType, M, N, K };
};

/** An adapter whose subgroups have 32 lanes. */
const adapter = (...subgroupMatrixConfigs: MatrixConfiguration[]) => ({
  subgroupMinSize: 32,
  subgroupMaxSize: 32,
  subgroupMatrixConfigs,
});

Deno.test("the largest known shape with f16 factors and f32 sums is used", () => {
  const shapeOf = (...configs: MatrixConfiguration[]) =>
    matrixUnitsOf(adapter(...configs), LIMITS)?.shape;
  assertEquals(shapeOf(configuration("8x8x8")), "8x8x8");
  assertEquals(shapeOf(configuration("8x8x8"), configuration("16x16x16")), "16x16x16");
  assertEquals(shapeOf(configuration("16x16x16"), configuration("8x8x8")), "16x16x16");
  assertEquals(shapeOf(), undefined);
  assertEquals(shapeOf(configuration("16x8x16")), undefined);
  assertEquals(shapeOf(configuration("8x8x8", "f16", "f16")), undefined);
  assertEquals(shapeOf(configuration("8x8x8", "i8", "i32")), undefined);
});

Deno.test("units need subgroups of one size, and workgroup memory for their tile", () => {
  const both = adapter(configuration("8x8x8"), configuration("16x16x16"));
  assertEquals(matrixUnitsOf({ ...both, subgroupMinSize: 16 }, LIMITS), undefined);
  assertEquals(
    matrixUnitsOf({ subgroupMatrixConfigs: both.subgroupMatrixConfigs }, LIMITS),
    undefined,
  );
  // Deno's own adapters say nothing of matrices.
  assertEquals(matrixUnitsOf({ subgroupMinSize: 8, subgroupMaxSize: 8 }, LIMITS), undefined);
  const small = { maxComputeWorkgroupStorageSize: 16384 };
  assertEquals(matrixUnitsOf(both, small)?.shape, "8x8x8");
  assertEquals(matrixUnitsOf(both, { maxComputeWorkgroupStorageSize: 8192 }), undefined);
});

Deno.test("the workgroup memory of a shape is that of its largest tile", () => {
  for (const shape of ["8x8x8", "16x16x16"]) {
    const units = matrixUnitsOf(adapter(configuration(shape)), LIMITS)!;
    const bytes = [1, 2].map((subgroupRows) => {
      const rows = subgroupRows * 2 * units.rows;
      const columns = 4 / subgroupRows * 4 * units.columns;
      // A row of 32 k takes ten vec4 of f16; each of four subgroups hands out a matrix of f32.
      const tiles = (MATRIX_CONSTANTS.PARTS * rows + columns) * 10 * 8;
      return tiles + 4 * units.rows * units.columns * 4;
    });
    assertEquals(units.workgroupBytes, Math.max(...bytes));
  }
});
