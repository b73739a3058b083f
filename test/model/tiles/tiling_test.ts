/** Whatever tiles are chosen, the model is the same: its goldens, its argmax, its bits in a batch. */

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import type { ForwardFile } from "../../../src/evaluate/parity/golden_files.ts";
import { type ForwardInput, GREEDY } from "../../../src/denoise/predictor.ts";
import { type RowGroups, type TilePlan, tilePlans } from "../../../src/kernels/weight_matrix.ts";
import { loadModel, type WeightPrecision } from "../../../src/model/loading/load.ts";
import type { Model } from "../../../src/model/model.ts";
import { loadPlanned } from "../../../src/model/loading/load_planned.ts";
import { plannedMatrices } from "../../../src/model/memory/planned_matrices.ts";
import { UNTUNED, withEntry } from "../../../src/model/tiles/tuned_tiles.ts";
import type { TileLookup } from "../../../src/model/tiles/tiled_matrix.ts";
import { agree, tuneMatrix } from "../../../src/model/tiles/tuning.ts";
import { quantised, SCHEMES } from "../../../src/quant/scheme.ts";
import type { Gpu } from "../../../src/gpu/device.ts";
import { ARITHMETICS } from "../../../src/gpu/kernel.ts";
import { shaderCode } from "../../../src/gpu/pipeline.ts";
import { matmulKernel } from "../../../src/kernels/matmul.ts";
import { qkvKernel } from "../../../src/kernels/qkv.ts";
import { swigluKernel } from "../../../src/kernels/swiglu.ts";
import { anyGpu } from "../../gpu/device.ts";
import { Random } from "../../kernels/random.ts";
import { goldenPath, readGolden } from "../../reference/golden.ts";
import { readSafetensors } from "../../reference/read.ts";
import { goldenModel } from "../models.ts";

const NAME = "llada-shape-bf16";
const FOLDER = goldenPath(`checkpoints/${NAME}`);

/** The plan where the matrix has it, else the most splits it has. */
function nearest({ splits, rowGroups }: TilePlan): TileLookup {
  return ({ kernel, blocks }) =>
    tilePlans(kernel, blocks, anyGpu.rowForm).findLast((plan) =>
      plan.splits <= splits && plan.rowGroups <= rowGroups
    );
}

function load(plan: TilePlan, precision?: WeightPrecision): Promise<Model> {
  return loadModel(anyGpu, FOLDER, { tiles: nearest(plan), precision });
}

/** Sequences whose rows fill tiles of every size, and parts of them. */
function inputsOf(model: Model, lengths: readonly number[]): ForwardInput[] {
  const random = new Random("tilings");
  return lengths.map((length, i) => {
    const ids = random.integers(length, model.config.embeddingSize);
    const choice = { ...GREEDY, temperature: i % 2, seed: i };
    return { ids, positions: Uint32Array.from(ids.keys()), choice };
  });
}

const LENGTHS = [3, 13, 41];

for (const splits of [1, 2, 4, 8]) {
  const rowGroups: readonly RowGroups[] = splits === 1 ? [1, 2, 4] : [1, 2];
  Deno.test(`${splits} splits: near the golden logits, the same bits in any tile and batch`, async () => {
    const golden = readGolden<ForwardFile>(`forward/${NAME}.json`);
    const tensors = readSafetensors(goldenPath(`forward/${NAME}.safetensors`));
    let first: Awaited<ReturnType<Model["predict"]>> | undefined;
    for (const groups of rowGroups) {
      using model = await load({ splits, rowGroups: groups });
      for (const { name: label, ids } of golden.cases) {
        const { logits } = await model.forward(Uint32Array.from(ids));
        const { data } = tensors.get(`${label}.logits`)!;
        const at = logits.findIndex((value, i) =>
          !(Math.abs(value - data[i]) <= golden.tolerance.logits_abs)
        );
        assert(
          at < 0,
          `${label}, ${groups} row groups: logit ${at} is ${logits[at]}, not ${data[at]}`,
        );
      }
      const inputs = inputsOf(model, LENGTHS);
      const together = await model.predict(inputs);
      for (const [i, input] of inputs.entries()) {
        assertEquals((await model.predict([input]))[0], together[i], `sequence ${i} alone`);
      }
      assertEquals(together, first ??= together, `${groups} row groups`);
    }
    const fixed = await goldenModel(anyGpu, NAME);
    const expected = await fixed.predict(inputsOf(fixed, LENGTHS));
    for (const [i, predictions] of expected.entries()) {
      assertEquals(
        first![i].map(({ token }) => token),
        predictions.map(({ token }) => token),
        `sequence ${i} with the fixed rule's tiles`,
      );
    }
    if (splits > 1) assertNotEquals(first, expected, "nothing was split");
  });
}

Deno.test("splits of integer and f16 products: the same bits in any tile and batch", async () => {
  const arithmetics = ["int8", ...anyGpu.features.includes("shader-f16") ? ["f16"] : []] as const;
  for (const arithmetic of arithmetics) {
    let first: Awaited<ReturnType<Model["predict"]>> | undefined;
    for (const rowGroups of [1, 2] as const) {
      using model = await load({ splits: 2, rowGroups }, {
        layers: quantised("q8", 32),
        arithmetic: arithmetic as "int8" | "f16",
      });
      const inputs = inputsOf(model, LENGTHS);
      const together = await model.predict(inputs);
      assertEquals(together, first ??= together, `${arithmetic}, ${rowGroups} row groups`);
      const [alone] = await model.predict([inputs[1]]);
      assertEquals(alone, together[1], arithmetic);
    }
  }
});

Deno.test("what was tuned is what a planned load uses", async () => {
  const request = {
    target: FOLDER,
    answer: { maxTokens: 8, blockLength: 8 },
    cache: false,
    context: 64,
  };
  const matrices = await plannedMatrices(anyGpu, request);
  assertEquals(matrices.map(({ kernel }) => kernel), ["qkv", "matmul", "swiglu", "matmul"]);
  const plan = { splits: 4, rowGroups: 2 } as const;
  const measured = { rows: [], gflopPerSecond: [], fixedGflopPerSecond: [] };
  const tuned = matrices.reduce(
    (all, matrix) => withEntry(all, anyGpu, matrix, { ...plan, ...measured }),
    UNTUNED,
  );
  using direct = await load(plan);
  const inputs = inputsOf(direct, LENGTHS);
  const { target } = await loadPlanned({ ...request, tuned });
  using planned = target;
  assertEquals(await planned.predict(inputs), await direct.predict(inputs));
  using untuned = (await loadPlanned(request)).target;
  const { logSumExp } = (await untuned.predict(inputs))[2][0];
  assert((await planned.predict(inputs))[2][0].logSumExp !== logSumExp, "the tiles are the rule's");
});

Deno.test("tuning times every tiling and chooses the fixed rule or what beat it", async () => {
  const layer = { scheme: SCHEMES.q8, blocks: 17, columns: 96 };
  for (
    const [kernel, arithmetic] of [["matmul", "f32"], ["qkv", "int8"], ["swiglu", "f32"]] as const
  ) {
    const matrix = { ...layer, kernel, arithmetic };
    const shares: number[] = [];
    const result = await tuneMatrix(anyGpu, matrix, [5, 20], (done, total) => {
      shares.push(done / total);
    });
    // Of tilings without splits a device that multiplies in strips has one.
    const strips = anyGpu.rowForm === "exchanged" && arithmetic === "f32";
    const plans = tilePlans(kernel, 17, anyGpu.rowForm);
    const alike = strips ? plans.filter(({ splits }) => splits === 1).length - 1 : 0;
    assertEquals(result.tried, plans.length - alike);
    assertEquals(result.outputs, kernel === "matmul" ? 96 : 192);
    assert([result.best, result.fixed].includes(result.chosen));
    assertEquals(shares.at(-1), 1);
    assertEquals(shares, [...shares].sort((a, b) => a - b));
    const [lower, median, upper] = result.timeRatios;
    assert(lower > 0 && lower <= median && median <= upper, `${result.timeRatios}`);
    for (const rate of [...result.fixedGflopPerSecond, ...result.bestGflopPerSecond]) {
      assert(Number.isFinite(rate) && rate > 0, `${rate}`);
    }
  }
});

Deno.test("a tiling with splits does not rely on subgroups", () => {
  const gpu: Gpu = { ...anyGpu, subgroups: true, rowForm: "exchanged" };
  for (const kernel of [matmulKernel, qkvKernel, swigluKernel]) {
    for (const arithmetic of ARITHMETICS) {
      const weights = { snippet: SCHEMES.q8.snippet, arithmetic };
      const code = (splits: number) => shaderCode(gpu, kernel, weights, { splits });
      assert(/\bsubgroup\w*\(/.test(code(1)), "one group of 32 lanes exchanges within a subgroup");
      for (const splits of [2, 4, 8]) assert(!/\bsubgroup\w*\(/.test(code(splits)), kernel.name);
    }
  }
});

Deno.test("products that differ by more than the order of their sums are told apart", () => {
  const right = Float32Array.from({ length: 640 }, (_, i) => Math.sin(i));
  const rounded = right.map((value, i) => value * (1 + 1e-4 * Math.cos(7 * i)));
  // What a wave of 64 lanes makes of two splits: rows of one in place of the other's.
  const mixed = right.map((value, i) => i % 64 < 32 ? value : right[i - 32]);
  assert(agree([right, right], [right, rounded]));
  assert(!agree([right, right], [right, mixed]));
  assert(!agree([right], [right.map(() => NaN)]));
  assert(!agree([right], [right.map(() => 0)]));
});
