/** What the cases of products of matrices share: sizes, inputs and a reference. */

import type { Tensor } from "../../src/gpu/tensor.ts";
import { createTexels, type Texels } from "../../src/gpu/texels.ts";
import { multiply, type ProductScratch } from "../../src/kernels/multiply_rows.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { type CaseDeclaration, type CaseTensors, GUARD_ROWS, untouchedReference } from "./case.ts";
import { paddedRows } from "./matrix.ts";

/** Sizes of a product. */
export interface ProductSize {
  readonly name: string;
  readonly rows: number;
  readonly inner: number;
  readonly columns: number;
  readonly aTransposed?: boolean;
  readonly bTransposed?: boolean;
  /** What c holds is kept and added to. */
  readonly add?: boolean;
}

/** And its factors. */
export interface ProductInputs extends ProductSize {
  readonly a: Float32Array<ArrayBuffer>;
  readonly b: Float32Array<ArrayBuffer>;
  /** c before the call. */
  readonly old: Float32Array<ArrayBuffer>;
}

/** Number by number; zero in the padding of rows, unless c held something there. */
export function reference(inputs: ProductInputs) {
  const { rows, inner, columns, aTransposed, bTransposed, add, a, b, old } = inputs;
  const stride = paddedInner(columns);
  const [aStride, bStride] = [
    paddedInner(aTransposed ? rows : inner),
    paddedInner(bTransposed ? inner : columns),
  ];
  const c = untouchedReference((rows + GUARD_ROWS) * stride);
  c.fill(0, 0, rows * stride);
  if (add) c.set(old);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      let sum = 0;
      for (let k = 0; k < inner; k++) {
        sum += a[aTransposed ? k * aStride + row : row * aStride + k] *
          b[bTransposed ? column * bStride + k : k * bStride + column];
      }
      c[row * stride + column] += sum;
    }
  }
  return { c };
}

/** Scratch memory of a run, full of what no sum could hide; with texels, if they are wanted. */
function scratchOf(tensors: CaseTensors, withTexels: boolean): ProductScratch {
  const known = new Map<string, Tensor>();
  const texels = new Map<string, Texels>();
  return {
    get(name, elements) {
      const tensor = known.get(name) ??
        tensors.of(name, new Float32Array(elements).fill(Number.NaN));
      known.set(name, tensor);
      return tensor;
    },
    ...withTexels && {
      texels(name, count) {
        const found = texels.get(name) ?? tensors.keep(createTexels(tensors.gpu, name, count));
        texels.set(name, found);
        return found;
      },
    },
  };
}

const ORIENTATIONS = [
  { name: "plain" },
  { name: "a transposed", aTransposed: true },
  { name: "b transposed", bTransposed: true },
  { name: "both transposed", aTransposed: true, bTransposed: true },
] as const;

const SHAPES: readonly Omit<ProductSize, "name">[] = [
  { rows: 1, inner: 1, columns: 1 },
  { rows: 1, inner: 9, columns: 8 },
  { rows: 8, inner: 8, columns: 24, add: true },
  { rows: 33, inner: 13, columns: 128 },
  { rows: 70, inner: 71, columns: 64, add: true },
  // The inner size has parts.
  { rows: 24, inner: 1100, columns: 40, add: true },
  { rows: 65, inner: 520, columns: 72 },
];

/** More columns than half of a workgroup's lanes have, which is a pipeline of its own. */
const WIDE: readonly Omit<ProductSize, "name">[] = [
  { rows: 5, inner: 20, columns: 136, add: true },
  { rows: 129, inner: 16, columns: 488 },
];

/** Orders of training the tiny model: 1024 rows, d_model 128, FFN 512, vocabulary 2048. */
const layer = (inner: number, columns: number): readonly ProductSize[] => {
  const rows = 1024;
  const label = `${rows} rows, ${inner} to ${columns}`;
  return [
    { name: `${label}, forward`, rows, inner, columns, bTransposed: true },
    { name: `${label}, rows' gradient`, rows, inner: columns, columns: inner },
    {
      name: `${label}, weights' gradient`,
      rows: columns,
      inner: rows,
      columns: inner,
      aTransposed: true,
      add: true,
    },
  ];
};

type Products = CaseDeclaration<ProductSize, ProductInputs>;

/** Rows, columns and inner sizes around tiles, blocks of 8, and parts. */
export function products(withTexels: boolean): Omit<Products, "kernel"> {
  return {
    tolerance: 4e-6,
    sizes: ORIENTATIONS.filter(({ name }) => !withTexels || name !== "both transposed").flatMap((
      { name, ...orientation },
    ) =>
      (name === "plain" ? [...SHAPES, ...WIDE] : SHAPES).map((shape): ProductSize => ({
        name: `${shape.rows} x ${shape.inner} by ${shape.inner} x ${shape.columns}, ${name}` +
          (shape.add ? ", added" : ""),
        ...shape,
        ...orientation,
      }))
    ),
    modelSizes: [...layer(128, 512), ...layer(128, 128), ...layer(512, 128), ...layer(128, 2048)],
    inputs(size, random) {
      const { rows, inner, columns, aTransposed, bTransposed } = size;
      const scale = inner ** -0.25;
      const matrix = (lines: number, line: number) => paddedRows(random, lines, line, scale);
      return {
        ...size,
        a: aTransposed ? matrix(inner, rows) : matrix(rows, inner),
        b: bTransposed ? matrix(columns, inner) : matrix(inner, columns),
        old: paddedRows(random, rows, columns),
      };
    },
    upload(tensors, { a, b, old, name: _, ...options }) {
      const { rows, columns, add } = options;
      const c = tensors.untouched("c", (rows + GUARD_ROWS) * paddedInner(columns));
      if (add) tensors.gpu.device.queue.writeBuffer(c.tensor.buffer, 0, old);
      const [left, right] = [tensors.of("a", a), tensors.of("b", b)];
      const scratch = scratchOf(tensors, withTexels);
      return {
        record: (recorder) => multiply(recorder, left, right, c.tensor, { ...options, scratch }),
        outputs: { c },
      };
    },
    reference,
    cost: ({ rows, inner, columns }) => ({
      multiplyAdds: rows * inner * columns,
      bytes: 4 * (rows * inner + inner * columns + rows * columns),
    }),
  };
}
