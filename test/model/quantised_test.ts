/** Quantised at load, the model computes with exactly the weights that its codes stand for. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { type FloatDType, fromF32, toF32 } from "../../src/gpu/dtype.ts";
import { parseConfig, readConfig } from "../../src/model/config.ts";
import { loadModel } from "../../src/model/load.ts";
import { expectedTensors, isQuantisable, scaleName } from "../../src/model/tensors.ts";
import { decodeRows, encodeRows } from "../../src/quant/encode.ts";
import { GROUP_SIZES, QUANTISED, quantised, type QuantScheme } from "../../src/quant/scheme.ts";
import { CheckpointError, openCheckpoint } from "../../src/weights/checkpoint.ts";
import { type TensorSource, writeSafetensors } from "../../src/weights/safetensors_writer.ts";
import { anyGpu, forms } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { configOf, withFolder, writeCheckpoint } from "./random_checkpoint.ts";

/** Inner sizes of 48 and 40: groups that are whole, cut short and odd in number. */
const SHAPE = {
  heads: 3,
  kvHeads: 3,
  headDim: 16,
  layers: 2,
  ffnSize: 40,
  vocabSize: 61,
  dtypes: ["BF16", "BF16", "F16"] as readonly FloatDType[],
};

/** Rewrites the folder `from` with every quantised matrix replaced by what `replace` makes of it. */
async function rewrite(
  from: string,
  to: string,
  head: boolean,
  extra: Record<string, unknown>,
  replace: (name: string, weights: Float32Array, inner: number) => TensorSource[],
): Promise<void> {
  using checkpoint = openCheckpoint(from);
  const json = { ...configOf(SHAPE), ...extra };
  Deno.writeTextFileSync(join(to, "config.json"), JSON.stringify(json));
  const tensors = expectedTensors(readConfig(from)).flatMap(({ name, shape }): TensorSource[] => {
    const slice = checkpoint.tensor(name, { shape });
    const bytes = checkpoint.read(slice);
    return isQuantisable(name, shape, head)
      ? replace(name, toF32(bytes, slice.dtype), shape[1])
      : [{ name, dtype: slice.dtype, shape, bytes }];
  });
  await writeSafetensors(join(to, "model.safetensors"), tensors);
}

/** Codes and scales as `unmask quantize` stores them. */
function store(scheme: QuantScheme) {
  return (name: string, weights: Float32Array, inner: number): TensorSource[] => {
    const { codes, scales } = encodeRows(scheme, weights, inner);
    const rows = weights.length / inner;
    return [
      { name, dtype: scheme.dtype, shape: [rows, codes.length / rows], bytes: codes },
      {
        name: scaleName(name),
        dtype: "F16",
        shape: [rows, scales.length / rows],
        bytes: new Uint8Array(scales.buffer),
      },
    ];
  };
}

const ids = new Random("ids").integers(19, SHAPE.vocabSize);

for (const name of QUANTISED) {
  for (const group of GROUP_SIZES) {
    for (const head of [false, true]) {
      const title = `${name}, groups of ${group}${head ? ", head too" : ""}`;
      Deno.test(`${title}: at load, stored, and as plain weights: the same bits`, () =>
        withFolder(async (dir) => {
          const scheme = quantised(name, group);
          const [original, decoded, stored] = ["original", "decoded", "stored"]
            .map((folder) => join(dir, folder));
          for (const folder of [original, decoded, stored]) Deno.mkdirSync(folder);
          await writeCheckpoint(original, SHAPE, title);
          await rewrite(original, decoded, head, {}, (tensor, weights, inner) => [{
            name: tensor,
            dtype: "F32",
            shape: [weights.length / inner, inner],
            bytes: fromF32(decodeRows(scheme, encodeRows(scheme, weights, inner), inner), "F32"),
          }]);
          const config = {
            quantization_config: {
              quant_method: "unmask",
              bits: scheme.bits,
              group_size: group,
              symmetric: true,
              scale_dtype: "float16",
              head,
            },
          };
          await rewrite(original, stored, head, config, store(scheme));

          for (const [form, gpu] of forms) {
            const precision = { layers: scheme, head: head ? scheme : undefined };
            using atLoad = await loadModel(gpu, original, { precision });
            using plain = await loadModel(gpu, decoded);
            using fromStore = await loadModel(gpu, stored);
            const expected = await plain.forward(ids);
            assertEquals((await atLoad.forward(ids)).logits, expected.logits, form);
            assertEquals((await fromStore.forward(ids)).logits, expected.logits, form);
            using full = await loadModel(gpu, original);
            assert(
              (await full.forward(ids)).logits.some((logit, i) => logit !== expected.logits[i]),
              "quantising changed nothing: was it done?",
            );
          }
        }));
    }
  }
}

Deno.test("a folder in q8 is not loaded as q4", () =>
  withFolder(async (dir) => {
    const [original, stored] = ["original", "stored"].map((folder) => join(dir, folder));
    for (const folder of [original, stored]) Deno.mkdirSync(folder);
    await writeCheckpoint(original, SHAPE, "q8");
    const q8 = quantised("q8", 32);
    await rewrite(original, stored, false, {
      quantization_config: {
        quant_method: "unmask",
        bits: 8,
        group_size: 32,
        symmetric: true,
        scale_dtype: "float16",
        head: false,
      },
    }, store(q8));
    const error = await assertRejects(
      () => loadModel(anyGpu, stored, { precision: { layers: quantised("q4", 32) } }),
      CheckpointError,
    );
    assert(error.message.includes("q_proj"), error.message);
    assert(error.message.includes("q8 in groups of 32, expected q4"), error.message);
    assertEquals(parseConfig(readJson(stored), "config.json").quantisation, {
      scheme: q8,
      head: false,
    });
  }));

function readJson(dir: string): unknown {
  return JSON.parse(Deno.readTextFileSync(join(dir, "config.json")));
}
