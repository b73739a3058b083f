/** Products in f16 of rows that were converted once, and of rows that every lane converts. */

import { assert, assertEquals } from "@std/assert";
import type { Gpu } from "../../src/gpu/device.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { Scratch } from "../../src/gpu/scratch.ts";
import { linear } from "../../src/model/linear.ts";
import { allForms, anyGpu, lacks } from "../gpu/device.ts";
import { skipIf } from "../skip.ts";
import { CaseTensors } from "./case.ts";
import { paddedRows, randomMatrix, uploadMatrix } from "./matrix.ts";
import { Random } from "./random.ts";

const ROWS = 11;
const INNER = 40;
const COLUMNS = 70;

/** Rows that an f16 holds, one that it cannot tell from zero everywhere, and one that it cannot hold. */
function awkwardRows(random: Random): Float32Array<ArrayBuffer> {
  const x = paddedRows(random, ROWS, INNER);
  for (let k = 0; k < INNER; k++) x[INNER + k] *= 2 ** -20;
  x[2 * INNER + 3] = 65519;
  x[3 * INNER + 3] = -1e5;
  return x;
}

async function product(gpu: Gpu): Promise<Float32Array> {
  using tensors = new CaseTensors(gpu);
  using recorder = new Recorder(gpu);
  using scratch = new Scratch(gpu, recorder);
  using readback = new Readback(gpu);
  const random = new Random("narrowed rows");
  const x = tensors.of("x", awkwardRows(random));
  const matrix = randomMatrix(random, "bf16", COLUMNS, INNER);
  const y = tensors.of("y", new Float32Array(ROWS * COLUMNS));
  const weights = uploadMatrix(tensors, matrix, undefined, "f16");
  linear({ recorder, scratch }, x, weights, y, { rows: ROWS, yStride: COLUMNS });
  return new Float32Array(await readback.read(recorder, y, 4 * ROWS * COLUMNS));
}

Deno.test({
  ...skipIf(
    lacks(anyGpu, "shader-f16"),
    "products in f16 have the same bits whether rows are converted once or in every lane",
  ),
  async fn() {
    let first: Float32Array | undefined;
    for (const [form, gpu] of allForms) {
      const found = await product(gpu);
      assert(found.subarray(0, COLUMNS).every((one) => Number.isFinite(one) && one !== 0), form);
      first ??= found;
      assertEquals(new Uint32Array(found.buffer), new Uint32Array(first.buffer), form);
    }
  },
});
