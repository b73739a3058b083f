/** Tries a device's matrix units before kernels rely on them. */

import source from "../../shaders/lib/matrix_probe.wgsl" with { type: "text" };
import { entryPoint, type MatrixUnits } from "./matrix_units.ts";
import { runProbe } from "./probe.ts";

const SUBGROUPS = 4;
/** Inner size of the products: two or more of every unit's. */
const WIDTH = 32;

/**
 * Elements of the factors. They are small whole numbers, whose products and sums f16 and f32 hold
 * exactly; in the last subgroup fractions, in rows that are all the same.
 */
function left(subgroup: number, row: number, k: number): number {
  return subgroup < SUBGROUPS - 1
    ? (5 * row + 3 * k + 11 * subgroup) % 17 - 8
    : Math.f16round(Math.sin(1 + k));
}

function right(subgroup: number, column: number, k: number): number {
  return subgroup < SUBGROUPS - 1
    ? (7 * column + 4 * k + 5 * subgroup) % 19 - 9
    : Math.f16round(Math.sin(2 + k + 7 * column));
}

/** The factors as the shader reads them. */
function inputs({ rows, columns, inner }: MatrixUnits): ArrayBuffer[] {
  const lefts = new Float16Array(SUBGROUPS * rows * WIDTH);
  const rights = new Float16Array(SUBGROUPS * columns * WIDTH);
  for (let subgroup = 0; subgroup < SUBGROUPS; subgroup++) {
    for (let k = 0; k < WIDTH; k++) {
      const matrix = (subgroup * WIDTH + k - k % inner) * rows;
      for (let row = 0; row < rows; row++) {
        lefts[matrix + row * inner + k % inner] = left(subgroup, row, k);
      }
      for (let column = 0; column < columns; column++) {
        rights[(subgroup * columns + column) * WIDTH + k] = right(subgroup, column, k);
      }
    }
  }
  // Their memory, because Dawn's writeBuffer ends the process for a Float16Array.
  return [lefts.buffer, rights.buffer];
}

/**
 * Whether a device multiplies rightly: exact products are what they must be, whichever subgroup makes
 * them, and rows that are the same get the same bits.
 */
export async function multipliesMatrices(
  device: GPUDevice,
  directives: string,
  units: MatrixUnits,
): Promise<boolean> {
  const { rows, columns } = units;
  const found = await runProbe(device, {
    code: [directives + entryPoint(source, units), units.snippet].join("\n"),
    constants: { WORKGROUP: SUBGROUPS * units.subgroupSize },
    inputs: inputs(units),
    bytes: 4 * SUBGROUPS * rows * columns,
  });
  if (!found) return false;
  const products = new Float32Array(found);
  const words = new Uint32Array(found);
  return products.every((product, i) => {
    const subgroup = Math.floor(i / (rows * columns));
    const row = Math.floor(i / columns) % rows;
    const column = i % columns;
    let sum = 0;
    for (let k = 0; k < WIDTH; k++) sum += left(subgroup, row, k) * right(subgroup, column, k);
    if (subgroup < SUBGROUPS - 1) return product === sum;
    return Math.abs(product - sum) < 1e-4 && words[i] === words[i - row * columns];
  });
}
