/** Tries a device's matrix units before kernels rely on them. */

import source from "../../shaders/lib/matrix_probe.wgsl" with { type: "text" };
import { entryPoint, type MatrixUnits } from "./matrix_units.ts";
import { runProbe } from "./probe.ts";

const SUBGROUPS = 4;

/**
 * Factors of small whole numbers, whose products and sums f16 and f32 hold exactly; in the last
 * subgroup fractions, in rows that are all the same.
 */
function factorsOf({ rows, columns, inner }: MatrixUnits) {
  const width = 2 * inner;
  const each = (rows + columns) * width;
  const factors = new Float32Array(SUBGROUPS * each);
  const left = (subgroup: number, row: number, k: number) =>
    factors[subgroup * each + row * width + k];
  const right = (subgroup: number, column: number, k: number) =>
    factors[subgroup * each + (rows + column) * width + k];
  for (let i = 0; i < factors.length; i++) {
    const subgroup = Math.floor(i / each);
    const line = Math.floor(i % each / width);
    const k = i % width;
    factors[i] = subgroup === SUBGROUPS - 1
      ? Math.f16round(Math.sin(1 + k + (line < rows ? 0 : 7 * line)))
      : (5 * line + 3 * k + 11 * subgroup) % 17 - 8;
  }
  return { factors, left, right };
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
  const { rows, columns, inner } = units;
  const { factors, left, right } = factorsOf(units);
  const found = await runProbe(device, {
    code: [directives + entryPoint(source, units), units.snippet].join("\n"),
    constants: { WORKGROUP: SUBGROUPS * units.subgroupSize },
    input: factors,
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
    for (let k = 0; k < 2 * inner; k++) sum += left(subgroup, row, k) * right(subgroup, column, k);
    if (subgroup < SUBGROUPS - 1) return product === sum;
    return Math.abs(product - sum) < 1e-4 && words[i] === words[i - row * columns];
  });
}
