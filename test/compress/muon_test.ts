/** Muon against plain loops in f64, step after step. */

import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import { muon } from "../../src/compress/muon.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { Scratch } from "../../src/gpu/scratch.ts";
import { paddedInner } from "../../src/quant/scheme.ts";
import { anyGpu } from "../gpu/device.ts";
import { CaseTensors } from "../kernels/case.ts";
import { Random } from "../kernels/random.ts";

/** A matrix in f64. */
type Matrix = readonly (readonly number[])[];

const matrixOf = (rows: number, columns: number, entry: (r: number, c: number) => number): Matrix =>
  Array.from({ length: rows }, (_, r) => Array.from({ length: columns }, (_, c) => entry(r, c)));
const transposed = (a: Matrix) => matrixOf(a[0].length, a.length, (r, c) => a[c][r]);
const product = (a: Matrix, b: Matrix) =>
  matrixOf(a.length, b[0].length, (r, c) => a[r].reduce((sum, own, k) => sum + own * b[k][c], 0));
const sum = (p: number, a: Matrix, q: number, b: Matrix) =>
  matrixOf(a.length, a[0].length, (r, c) => p * a[r][c] + q * b[r][c]);
const lengthOf = (a: Matrix) => Math.hypot(...a.flat());

/** The five iterations, as muon.py has them. */
function orthogonalised(u: Matrix): Matrix {
  const tall = u.length > u[0].length;
  let x = sum(1 / (lengthOf(u) + 1e-7), tall ? transposed(u) : u, 0, tall ? transposed(u) : u);
  for (let i = 0; i < 5; i++) {
    const a = product(x, transposed(x));
    const b = sum(-4.775, a, 2.0315, product(a, a));
    x = sum(3.4445, x, 1, product(b, x));
  }
  return tall ? transposed(x) : x;
}

const RATE = 0.02;
const DECAY = 0.01;
const CLIP = 0.5;

/** Steps on the GPU and in f64, from the same start and with the same gradients. */
async function steps(rows: number, columns: number, count: number) {
  using tensors = new CaseTensors(anyGpu);
  using recorder = new Recorder(anyGpu);
  using readback = new Readback(anyGpu);
  using scratch = new Scratch(anyGpu, recorder);
  const random = new Random(`muon ${rows} ${columns}`);
  const stored = { rows: paddedInner(rows), columns: paddedInner(columns) };
  const padded = (a: Matrix) => {
    const data = new Float32Array(stored.rows * stored.columns);
    a.forEach((row, r) => data.set(row, r * stored.columns));
    return data;
  };
  const normal = (scale: number) =>
    matrixOf(rows, columns, () => Math.fround(scale * random.normal()));
  let weight = normal(0.1);
  let momentum = matrixOf(rows, columns, () => 0);
  const onGpu = {
    weight: tensors.of("weight", padded(weight)),
    momentum: tensors.of("momentum", padded(momentum)),
    norm: tensors.of("norm", Float32Array.of(0, 0, CLIP, 0)),
  };
  let update: Matrix = [];
  let cleared = new Float32Array();
  for (let step = 0; step < count; step++) {
    const gradient = normal(3);
    momentum = sum(0.95, momentum, 0.05 * CLIP, gradient);
    update = orthogonalised(sum(0.95, momentum, 0.05 * CLIP, gradient));
    const scale = Math.sqrt(Math.max(1, rows / columns));
    weight = sum(1 - RATE * DECAY, weight, -RATE * scale, update);
    const bound = { ...onGpu, gradient: tensors.of("gradient", padded(gradient)) };
    const clear = step === count - 1;
    muon(recorder, bound, { stored, rows, columns }, { rate: RATE, decay: DECAY, clear, scratch });
    cleared = new Float32Array(await readback.read(recorder, bound.gradient));
    assertEquals(cleared.every((slope) => slope === 0), clear);
  }
  const read = async (name: "weight" | "momentum") =>
    new Float32Array(
      await readback.read(recorder, onGpu[name], 4 * stored.rows * stored.columns),
    );
  return {
    found: { weight: await read("weight"), momentum: await read("momentum") },
    expected: { weight: padded(weight), momentum: padded(momentum) },
    update,
  };
}

for (const [rows, columns] of [[12, 12], [20, 9], [9, 20], [8, 40], [1, 16]]) {
  Deno.test(`three Muon steps of ${rows} by ${columns} are those of plain loops`, async () => {
    const { found, expected, update } = await steps(rows, columns, 3);
    for (const name of ["weight", "momentum"] as const) {
      expected[name].forEach((value, i) =>
        assertAlmostEquals(
          found[name][i],
          value,
          2e-6,
          `${name}[${i}]: ${value}, ${found[name][i]}`,
        )
      );
    }
    // The largest the singular values can be is 1.5, so the update's length says how near 1 they are.
    const length = lengthOf(update) / Math.sqrt(Math.min(rows, columns));
    assert(length > 0.5 && length < 1.3, `${length}`);
  });
}
