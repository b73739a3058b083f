/** `y[unit, row] = x[row, unit]`, units of four numbers. */

import { turnUnits } from "../../src/kernels/turn_units.ts";
import { defineCase, GUARD_ROWS, untouchedReference } from "./case.ts";

interface Size {
  readonly name: string;
  readonly rows: number;
  readonly columns: number;
}

interface Inputs extends Size {
  readonly x: Float32Array<ArrayBuffer>;
}

/** What lies behind the last unit's rows stays as it is. */
export function reference({ rows, columns, x }: Inputs) {
  const y = untouchedReference((rows + GUARD_ROWS) * columns);
  x.forEach((value, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    y[(Math.floor(column / 4) * rows + row) * 4 + column % 4] = value;
  });
  return { y };
}

export const kernelCase = defineCase<Size, Inputs>({
  kernel: "turn_units",
  tolerance: 0,
  sizes: [
    { name: "one unit", rows: 1, columns: 4 },
    { name: "33 rows of 36", rows: 33, columns: 36 },
    { name: "7 rows of 64", rows: 7, columns: 64 },
  ],
  modelSizes: [{ name: "512 rows of 1024", rows: 512, columns: 1024 }],
  inputs: (size, random) => ({ ...size, x: random.floats(size.rows * size.columns) }),
  upload(tensors, { rows, columns, x }) {
    const y = tensors.untouched("y", (rows + GUARD_ROWS) * columns);
    const input = tensors.of("x", x);
    return {
      record: (recorder) => turnUnits(recorder, input, y.tensor, { rows, columns }),
      outputs: { y },
    };
  },
  reference,
  cost: ({ rows, columns }) => ({ multiplyAdds: 0, bytes: 8 * rows * columns }),
});
