import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { type MatrixUnits, matrixUnitsOf } from "../../src/gpu/matrix_units.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { matrixMultiply } from "../../src/kernels/matrix_multiply.ts";
import { matrixTile } from "../../src/kernels/matrix_tile.ts";
import { dawnForms, noDawnForm } from "../gpu/dawn.ts";
import { skipIf } from "../skip.ts";
import { CaseTensors } from "./case.ts";
import { paddedRows, randomMatrix, uploadMatrix } from "./matrix.ts";
import { uploadMatrixRows } from "./matrix_rows.ts";
import { Random } from "./random.ts";

function unitsOf(shape: string, lanes: number): MatrixUnits {
  const [M, N, K] = shape.split("x").map(Number);
  return matrixUnitsOf({
    subgroupMinSize: lanes,
    subgroupMaxSize: lanes,
    subgroupMatrixConfigs: [{ componentType: "f16", resultComponentType: "f32", M, N, K }],
  }, { maxComputeWorkgroupStorageSize: 32768 })!;
}

/** Every shape, on subgroups of every size that it takes. */
const ALL = [
  ...[32, 64].map((lanes) => unitsOf("16x16x16", lanes)),
  ...[16, 32, 64].map((lanes) => unitsOf("8x16x16", lanes)),
  ...[8, 16, 32, 64].map((lanes) => unitsOf("8x8x8", lanes)),
];

/** Blocks of eight weights that a lane holds at most: `MOST_BLOCKS` of the shader. */
const MOST_BLOCKS = 8;

Deno.test("every tile is whole: its lanes share its weights evenly, and it fits its workgroup", () => {
  for (const units of ALL) {
    const { shape, subgroupSize, rows, columns: across, workgroupBytes } = units;
    let largest = 0;
    for (const columns of [70, 12288]) {
      for (const count of [1, 8, 16, 17, 32, 33, 64, 65, 129, 1000]) {
        const { constants, ...tile } = matrixTile(units, { arithmetic: "f32", columns }, count);
        const { WORKGROUP, SUBGROUPS, SUBGROUP_ROWS, WIDE } = constants;
        const where = `${shape} on ${subgroupSize} lanes, ${count} rows`;
        assert(WORKGROUP === SUBGROUPS * subgroupSize && WORKGROUP <= 256, where);
        assertEquals(tile.rows, SUBGROUP_ROWS * 2 * rows, where);
        assertEquals(tile.columns, SUBGROUPS / SUBGROUP_ROWS * WIDE * across, where);
        const blocks = tile.columns * 32 / 8 / WORKGROUP;
        assert(Number.isInteger(blocks) && blocks <= MOST_BLOCKS, `${where}: ${blocks} blocks`);
        // A column of 32 k takes ten vec4 of f16; each subgroup hands out a matrix of f32.
        largest = Math.max(largest, tile.columns * 10 * 8 + SUBGROUPS * rows * across * 4);
      }
    }
    assert(largest <= workgroupBytes, `${shape} takes ${largest} bytes, not ${workgroupBytes}`);
    if (subgroupSize === 32) assertEquals(workgroupBytes, largest, shape);
  }
});

Deno.test("many rows get tiles of 64 x 64 at least, few rows narrow ones, and all are covered", () => {
  const made = (shape: string, rows: number, columns = 10240) => {
    const tile = matrixTile(unitsOf(shape, 32), { arithmetic: "f32", columns }, rows);
    return [tile.rows, tile.columns, ...tile.workgroups(columns)];
  };
  assertEquals(made("16x16x16", 32), [32, 128, 1, 80]);
  assertEquals(made("16x16x16", 32, 4096), [32, 64, 1, 64]);
  assertEquals(made("16x16x16", 33), [64, 128, 1, 80]);
  assertEquals(made("16x16x16", 65), [128, 128, 1, 80]);
  assertEquals(made("16x16x16", 129), [64, 128, 3, 80]);
  assertEquals(made("16x16x16", 512), [128, 128, 4, 80]);
  assertEquals(made("8x16x16", 16), [16, 128, 1, 80]);
  assertEquals(made("8x16x16", 32), [32, 128, 1, 80]);
  assertEquals(made("8x16x16", 96), [64, 128, 2, 80]);
  assertEquals(made("8x16x16", 100), [64, 128, 2, 80]);
  assertEquals(made("8x8x8", 16), [16, 64, 1, 160]);
  assertEquals(made("8x8x8", 512), [64, 64, 8, 160]);
});

Deno.test("a pair's columns are two; what decides a row's bits is the arithmetic alone", () => {
  const units = unitsOf("16x16x16", 32);
  assertEquals(
    matrixTile(units, { arithmetic: "f32", columns: 1000 }, 512, true).workgroups(1000),
    [4, 16],
  );
  for (const rows of [1, 33, 512]) {
    assertEquals(matrixTile(units, { arithmetic: "f32", columns: 1000 }, rows).constants.PARTS, 2);
    assertEquals(matrixTile(units, { arithmetic: "f16", columns: 1000 }, rows).constants.PARTS, 1);
  }
});

const onUnits = dawnForms.get("matrix units");

/** Bits of the first row of `y = x W^T` for so many rows, the others of which differ each time. */
async function firstRow(gpu: Gpu, rows: number) {
  const [inner, columns] = [104, 70];
  const random = new Random("a row in every company");
  const matrix = randomMatrix(random, "bf16", columns, inner);
  const row = paddedRows(random, 1, inner, 40);
  const x = paddedRows(new Random(`${rows} rows`), rows, inner, 1000);
  x.set(row);
  using tensors = new CaseTensors(gpu);
  using recorder = new Recorder(gpu);
  using readback = new Readback(gpu);
  const weights = uploadMatrix(tensors, matrix);
  const { input, convert } = uploadMatrixRows(tensors, x, { rows, inner }, weights);
  const y = tensors.untouched("y", rows * columns).tensor;
  convert(recorder);
  matrixMultiply(recorder, gpu.matrixUnits!, input, weights, y, { rows, yStride: columns });
  return [...new Uint32Array(await readback.read(recorder, y, 4 * columns))];
}

Deno.test({
  ...skipIf(noDawnForm("matrix units"), "Dawn gives a row the same bits in tiles of every size"),
  async fn() {
    // The second device has its shaders ask for the subgroups that it has anyway.
    const asking = { ...onUnits!, matrixUnits: { ...onUnits!.matrixUnits!, asksForSize: true } };
    const alone = await firstRow(onUnits!, 1);
    assert(alone.every((bits) => bits !== 0));
    for (const rows of [2, 17, 33, 65, 130]) {
      assertEquals(await firstRow(onUnits!, rows), alone, `${rows} rows`);
    }
    assertEquals(await firstRow(asking, 65), alone, "asking");
  },
});
