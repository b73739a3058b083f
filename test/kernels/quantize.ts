/** Rows become codes and scales: the bits of `encodeRows`, in the layout that kernels load. */

import { type FloatDType, fromF32, toF32 } from "../../src/gpu/dtype.ts";
import { quantize } from "../../src/kernels/quantize.ts";
import { encodeRows } from "../../src/quant/encode.ts";
import {
  blocksOf,
  type GroupSize,
  groupsOf,
  QUANTISED,
  quantised,
  type QuantisedName,
  scaleWords,
  storedRowBytes,
} from "../../src/quant/scheme.ts";
import { defineCase, untouchedReference } from "./case.ts";

interface Size {
  readonly name: string;
  readonly scheme: QuantisedName;
  readonly group: GroupSize;
  readonly dtype: FloatDType;
  readonly inner: number;
  readonly columns: number;
  readonly chunkColumns: number;
  readonly firstColumn: number;
  /** Size of the weights. */
  readonly scale: number;
}

interface Inputs extends Size {
  readonly values: Float32Array;
}

const schemeOf = ({ scheme, group }: Size) => quantised(scheme, group);

/** What `encodeRows` gives, transposed. */
export function reference(inputs: Inputs) {
  const { inner, columns, chunkColumns, firstColumn, values } = inputs;
  const scheme = schemeOf(inputs);
  const { codes, scales } = encodeRows(scheme, values, inner);
  const words = scheme.unitWords * blocksOf(inner);
  const units = untouchedReference(words * columns, ["u32"]);
  const scalesOut = untouchedReference(scaleWords(scheme, inner) * columns, ["u32"]);
  const rowBytes = storedRowBytes(scheme, inner);
  const groups = groupsOf(scheme, inner);
  for (let column = 0; column < chunkColumns; column++) {
    for (let word = 0; word < words; word++) {
      let value = 0;
      for (let i = 3; i >= 0; i--) {
        const at = 4 * word + i;
        value = 256 * value + (at < rowBytes ? codes[column * rowBytes + at] : 0);
      }
      const unit = Math.floor(word / scheme.unitWords) * columns + firstColumn + column;
      units[unit * scheme.unitWords + word % scheme.unitWords] = value;
    }
    for (let word = 0; word < scaleWords(scheme, inner); word++) {
      const of = (group: number) => group < groups ? scales[column * groups + group] : 0;
      scalesOut[word * columns + firstColumn + column] = of(2 * word) + 65536 * of(2 * word + 1);
    }
  }
  return { units, scales: scalesOut };
}

const size = (
  scheme: QuantisedName,
  group: GroupSize,
  dtype: FloatDType,
  inner: number,
  scale = 0.02,
): Size => ({
  name: `${inner} of ${dtype} to ${scheme}, groups of ${group}, size ${scale}`,
  scheme,
  group,
  dtype,
  inner,
  scale,
  columns: 40,
  chunkColumns: 33,
  firstColumn: 5,
});

/** Groups that are whole, cut short, alone and odd in number; weights too small for their scale. */
export const kernelCase = defineCase<Size, Inputs>({
  kernel: "quantize",
  tolerance: 0,
  sizes: [
    ...QUANTISED.map((name) => size(name, 32, "BF16", 64)),
    size("q8", 32, "F16", 13),
    size("q8", 64, "F32", 200),
    size("q4", 32, "BF16", 96),
    size("q4", 32, "F32", 37, 300),
    size("q4", 64, "F16", 72),
    size("q8", 32, "F32", 32, 1e-5),
    size("q4", 32, "F32", 40, 0),
  ],
  modelSizes: [{
    ...size("q4", 32, "BF16", 1024),
    columns: 1024,
    chunkColumns: 1024,
    firstColumn: 0,
  }],
  inputs(size, random) {
    const drawn = random.floats(size.inner * size.chunkColumns, size.scale);
    // Whole multiples of a step make ties between two codes, which must be broken alike.
    const step = size.scale / 16 || 1;
    const values = drawn.map((value, i) => i % 3 === 0 ? Math.round(value / step) * step : value);
    return { ...size, values: toF32(fromF32(values, size.dtype), size.dtype) };
  },
  upload(tensors, inputs) {
    const { inner, columns, chunkColumns, firstColumn, dtype, values } = inputs;
    const scheme = schemeOf(inputs);
    const bytes = fromF32(values, dtype);
    const words = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
    words.set(bytes);
    const rows = tensors.of("rows", new Uint32Array(words.buffer));
    const units = tensors.untouched(
      "units",
      scheme.unitWords * blocksOf(inner) * columns,
      ["u32"],
    );
    const scales = tensors.untouched("scales", scaleWords(scheme, inner) * columns, ["u32"]);
    return {
      record: (recorder) =>
        quantize(recorder, rows, dtype, { units: units.tensor, scales: scales.tensor }, scheme, {
          inner,
          chunkColumns,
          firstColumn,
          columns,
        }),
      outputs: { units, scales },
    };
  },
  reference,
  cost: (size) => ({
    multiplyAdds: 0,
    bytes: size.chunkColumns * (2 * size.inner + storedRowBytes(schemeOf(size), size.inner)),
  }),
});
