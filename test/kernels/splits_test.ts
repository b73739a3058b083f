/** Splits of sums and chunks of keys: the same bits, whoever makes them and for however many rows. */

import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { type Arithmetic, ARITHMETICS } from "../../src/gpu/kernel.ts";
import { Readback } from "../../src/gpu/readback.ts";
import { Recorder } from "../../src/gpu/recorder.ts";
import { Scratch } from "../../src/gpu/scratch.ts";
import { attention, attentionWork } from "../../src/kernels/attention.ts";
import { matmul } from "../../src/kernels/matmul.ts";
import { defaultTiles, type RowGroups, tiled } from "../../src/kernels/weight_matrix.ts";
import { QUANTISED, type QuantScheme } from "../../src/quant/scheme.ts";
import { allForms, anyGpu, lacks, withLimits } from "../gpu/device.ts";
import { skipIf } from "../skip.ts";
import { kernelCase as attentionCase } from "./attention.ts";
import { APART } from "./attention_sizes.ts";
import { CaseTensors } from "./case.ts";
import { paddedRows, randomMatrix, uploadMatrix, uploadRows } from "./matrix.ts";
import { quantizedRows } from "./quantize_rows.ts";
import { Random } from "./random.ts";
import { runCase } from "./run_case.ts";

const uniform = allForms.get("uniform")!;
const hasF16 = lacks(uniform, "shader-f16") === undefined;
const MOST_ROWS = 35;

interface Draw {
  readonly seed: number;
  readonly scheme: QuantScheme["name"];
  readonly arithmetic: Arithmetic;
  readonly splits: number;
  readonly rowGroups: RowGroups;
  readonly inner: number;
  readonly columns: number;
  readonly partColumns: number | undefined;
  readonly rows: number;
  readonly add: boolean;
}

const drawArb: fc.Arbitrary<Draw> = fc.record({
  seed: fc.nat(),
  scheme: fc.constantFrom("bf16", "q8", "q4"),
  arithmetic: fc.constantFrom(...ARITHMETICS.filter((one) => one !== "f16" || hasF16)),
  splits: fc.constantFrom(1, 2, 3, 12),
  rowGroups: fc.constantFrom(1, 2, 4),
  inner: fc.integer({ min: 1, max: 300 }),
  columns: fc.constantFrom(1, 130),
  partColumns: fc.constantFrom(undefined, 128),
  rows: fc.integer({ min: 1, max: MOST_ROWS }),
  add: fc.boolean(),
});

/** Products of the first `rows` of MOST_ROWS rows, with workgroups for splits or in turn. */
async function product(draw: Draw, rows: number, apart: boolean): Promise<Uint32Array> {
  const { seed, scheme, inner, columns, partColumns, splits, rowGroups, add } = draw;
  const quantised = QUANTISED.find((name) => name === scheme);
  const arithmetic = quantised || draw.arithmetic !== "int8" ? draw.arithmetic : "f32";
  const random = new Random(`splits ${seed}`);
  const x = paddedRows(random, MOST_ROWS, inner);
  const matrix = randomMatrix(random, scheme, columns, inner);
  const old = random.floats(MOST_ROWS * columns);
  using tensors = new CaseTensors(uniform);
  using recorder = new Recorder(uniform);
  using scratch = new Scratch(uniform, recorder);
  using readback = new Readback(uniform);
  const input = arithmetic === "int8"
    ? tensors.of("x", quantizedRows({ rows: MOST_ROWS, inner, x, scheme: quantised }).packed)
    : uploadRows(tensors, x, arithmetic);
  const y = tensors.of("y", old);
  const weights = {
    ...uploadMatrix(tensors, matrix, partColumns, arithmetic),
    tiles: { splits, rowGroups },
  };
  matmul(recorder, input, weights, y, {
    rows,
    yStride: columns,
    add,
    scratch: apart ? scratch : undefined,
  });
  return new Uint32Array(await readback.read(recorder, y, 4 * rows * columns));
}

Deno.test("workgroups that share a sum give the bits of one that makes it in turn, row by row", async () => {
  await fc.assert(
    fc.asyncProperty(drawArb, async (draw) => {
      const { rows, columns } = draw;
      const inTurn = await product(draw, MOST_ROWS, false);
      for (const apart of [false, true]) {
        assertEquals(await product(draw, rows, apart), inTurn.slice(0, rows * columns));
      }
    }),
    { numRuns: 12, seed: 14 },
  );
});

Deno.test("a GPU splits by the matrix alone, with workgroups of their own where there are few tiles", () => {
  assertEquals(defaultTiles(uniform, "matmul", 4096), { splits: 4, rowGroups: 4 });
  assertEquals(defaultTiles(uniform, "matmul", 12288), { splits: 12, rowGroups: 4 });
  assertEquals(defaultTiles(uniform, "matmul", 1000), { splits: 1, rowGroups: 4 });
  assertEquals(defaultTiles(uniform, "qkv", 4096).splits, 1);
  assertEquals(defaultTiles(anyGpu, "matmul", 4096).splits, anyGpu.software ? 1 : 4);

  const plan = defaultTiles(uniform, "matmul", 4096);
  const by = { form: "uniform", splitsBy: "workgroups" } as const;
  for (const [rows, rowGroups, apart] of [[1, 1, 4], [16, 2, 4], [64, 2, 4], [512, 4, 1]]) {
    const found = tiled(plan, rows, 4096, by);
    assertEquals([found.constants.ROW_GROUPS, found.apart], [rowGroups, apart], `${rows} rows`);
    assertEquals(found.constants.SPLITS, 4);
    const [down, across] = found.workgroups;
    assert(down * 8 * rowGroups >= rows && across * 128 >= 4096);
  }
});

for (const apart of attentionCase.runs.filter(({ name }) => name.endsWith(APART))) {
  const name = apart.name.slice(0, -APART.length);
  const inTurn = attentionCase.runs.find((run) => run.name === name)!;
  Deno.test({
    ...skipIf(lacks(anyGpu, apart.feature), `attention: ${name}: the same bits apart and in turn`),
    async fn() {
      assertEquals(await runCase(uniform, apart), await runCase(uniform, inTurn));
    },
  });
}

/** Bytes of scratch memory that matmul asks for where bindings hold so many; 0 if for none. */
function splitBytes(maxStorageBufferBindingSize: number): number {
  const gpu = withLimits(uniform, { maxStorageBufferBindingSize });
  const [rows, columns] = [3, 40];
  using tensors = new CaseTensors(uniform);
  using recorder = new Recorder(gpu);
  let bytes = 0;
  const scratch = {
    get(name: string, words: number) {
      bytes = 4 * words;
      return tensors.untouched(name, words).tensor;
    },
  };
  const random = new Random("room for splits");
  const weights = uploadMatrix(
    tensors,
    randomMatrix(random, "bf16", columns, 64),
    undefined,
    "f32",
  );
  const x = tensors.of("x", paddedRows(random, rows, 64));
  const y = tensors.untouched("y", rows * columns).tensor;
  const tiles = { splits: 2, rowGroups: 1 } as const;
  matmul(recorder, x, { ...weights, tiles }, y, { rows, yStride: columns, scratch });
  recorder.abandon();
  return bytes;
}

/** Bytes that attention asks for, where one KV head serves four heads of 128. */
function chunkBytes(count: number, queries: number, keys: number, limit?: number): number {
  const gpu = limit ? withLimits(uniform, { maxStorageBufferBindingSize: limit }) : uniform;
  const shape = { heads: 32, kvHeads: 8, headDim: 128, headStride: 128 };
  const ranges = Array.from({ length: count }, (_, i) => [i * queries, queries, 0, keys]);
  const sequences = Uint32Array.from(ranges.flat());
  using tensors = new CaseTensors(uniform);
  using recorder = new Recorder(gpu);
  const tensor = tensors.of("never run", sequences);
  let bytes = 0;
  const scratch = {
    get(_name: string, words: number) {
      bytes = 4 * words;
      return tensor;
    },
  };
  const [q, k, v, y] = [tensor, tensor, tensor, tensors.untouched("y", 4).tensor];
  attention(recorder, { q, k, v, sequences: tensor, y }, shape, {
    work: attentionWork(sequences),
    yStride: 4096,
    scratch,
  });
  recorder.abandon();
  return bytes;
}

Deno.test("what only spares time takes no more memory than every device binds, or than this one", () => {
  const sums = 4 * 2 * 3 * 40;
  assertEquals([splitBytes(2 ** 27), splitBytes(sums), splitBytes(sums - 4)], [sums, sums, 0]);
  // 31 sequences would take 256 MiB.
  const one = 4 * 32 * 16 * 132 * 32;
  assertEquals([chunkBytes(1, 8, 1024), chunkBytes(15, 8, 1024)], [one, 15 * one]);
  assertEquals([chunkBytes(16, 8, 1024), chunkBytes(31, 8, 1024)], [0, 0]);
  assertEquals([chunkBytes(1, 8, 1024, one), chunkBytes(1, 8, 1024, one - 4)], [one, 0]);
});
