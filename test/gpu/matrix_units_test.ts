import { assertEquals, assertMatch } from "@std/assert";
import {
  entryPoint,
  type MatrixAdapterInfo,
  type MatrixConfiguration,
  matrixUnitsOf,
  whyNoMatrixUnits,
} from "../../src/gpu/matrix_units.ts";

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
  assertEquals(shapeOf(configuration("8x8x8"), configuration("8x16x16")), "8x16x16");
  assertEquals(shapeOf(configuration("8x16x16"), configuration("16x16x16")), "16x16x16");
  assertEquals(shapeOf(), undefined);
  assertEquals(shapeOf(configuration("16x8x16")), undefined);
  assertEquals(shapeOf(configuration("8x8x8", "f16", "f16")), undefined);
  assertEquals(shapeOf(configuration("8x8x8", "i8", "i32")), undefined);
});

Deno.test("units need workgroup memory for their tile", () => {
  const both = adapter(configuration("8x8x8"), configuration("16x16x16"));
  const small = { maxComputeWorkgroupStorageSize: 16384 };
  assertEquals(matrixUnitsOf(both, small)?.shape, "8x8x8");
  const least = { maxComputeWorkgroupStorageSize: 4096 };
  assertEquals(matrixUnitsOf(both, least), undefined);
  assertMatch(whyNoMatrixUnits(both, least)!, /4096 bytes of workgroup memory/);
  // Deno's own adapters say nothing of matrices.
  const silent = { subgroupMinSize: 8, subgroupMaxSize: 8 };
  assertEquals(matrixUnitsOf(silent, LIMITS, true), undefined);
  assertMatch(whyNoMatrixUnits(silent, LIMITS, true)!, /lists no matrix units/);
  const integers = adapter(configuration("8x8x8", "i8", "i32"));
  assertMatch(whyNoMatrixUnits(integers, LIMITS, true)!, /f16 factors and f32 sums of 16x16x16/);
});

Deno.test("where a driver may choose the size of subgroups, shaders must be able to ask for it", () => {
  const sized = (subgroupMinSize: number, subgroupMaxSize: number, ...shapes: string[]) => ({
    subgroupMinSize,
    subgroupMaxSize,
    subgroupMatrixConfigs: shapes.map((shape) => configuration(shape)),
  });
  const sizeOf = (info: MatrixAdapterInfo, sizeControl: boolean) => {
    const found = matrixUnitsOf(info, LIMITS, sizeControl);
    assertEquals(found === undefined, whyNoMatrixUnits(info, LIMITS, sizeControl) !== undefined);
    return found && [found.shape, found.subgroupSize, found.asksForSize];
  };
  const [amd, intel] = [sized(32, 64, "16x16x16"), sized(16, 32, "8x16x16")];
  assertEquals(sizeOf(amd, true), ["16x16x16", 32, true]);
  assertEquals(sizeOf(intel, true), ["8x16x16", 32, true]);
  for (const info of [amd, intel]) {
    assertEquals(sizeOf(info, false), undefined);
    assertMatch(whyNoMatrixUnits(info, LIMITS)!, /lanes, and shaders cannot ask for a size/);
  }
  assertEquals(sizeOf(sized(32, 32, "16x16x16"), false), ["16x16x16", 32, false]);
  assertEquals(sizeOf(sized(8, 8, "8x8x8"), true), ["8x8x8", 8, false]);
  assertEquals(sizeOf(sized(64, 64, "16x16x16"), false), ["16x16x16", 64, false]);
  assertEquals(sizeOf({ subgroupMatrixConfigs: [configuration("8x8x8")] }, true), undefined);
  // A lane takes eight elements of a product at most.
  assertEquals(sizeOf(sized(8, 8, "16x16x16", "8x8x8"), true), ["8x8x8", 8, false]);
  assertEquals(sizeOf(sized(8, 16, "16x16x16"), true), undefined);
  assertEquals(sizeOf(sized(8, 16, "8x16x16"), true), ["8x16x16", 16, true]);
  assertEquals(sizeOf(sized(128, 128, "8x8x8"), true), undefined);
});

Deno.test("an entry point asks for a size on its own line, and only where it must", () => {
  const source = "// @compute is below\n@compute @workgroup_size(4)\nfn main() {}\n";
  const units = matrixUnitsOf(adapter(configuration("8x8x8")), LIMITS)!;
  assertEquals(entryPoint(source, units), source);
  assertEquals(
    entryPoint(source, { ...units, asksForSize: true }),
    "// @compute is below\n@compute @subgroup_size(32) @workgroup_size(4)\nfn main() {}\n",
  );
});
