/** Quantised at load, the model computes with exactly the weights that its codes stand for. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { type FloatDType, fromF32, toF32 } from "../../src/gpu/dtype.ts";
import { readConfig, type StoredQuantisation } from "../../src/model/loading/config.ts";
import { loadModel } from "../../src/model/loading/load.ts";
import { quantisedFolder } from "../../src/model/loading/quantised_folder.ts";
import { expectedTensors, quantisedNames } from "../../src/model/loading/tensors.ts";
import { decodeRows, encodeRows } from "../../src/quant/encode.ts";
import { GROUP_SIZES, QUANTISED, quantised } from "../../src/quant/scheme.ts";
import { CheckpointError, openCheckpoint } from "../../src/weights/checkpoint.ts";
import { planFolder, writeFolder } from "../../src/weights/folder_writer.ts";
import { type TensorSource, writeSafetensors } from "../../src/weights/safetensors_writer.ts";
import { anyGpu, forms } from "../gpu/device.ts";
import { Random } from "../kernels/random.ts";
import { withFolder, writeCheckpoint } from "./random_checkpoint.ts";

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

/** Writes the folder `from` again with every quantised matrix as the floats that its codes stand for. */
async function writeDecoded(
  from: string,
  to: string,
  { scheme, head }: StoredQuantisation,
): Promise<void> {
  using checkpoint = openCheckpoint(from);
  Deno.copyFileSync(join(from, "config.json"), join(to, "config.json"));
  const config = readConfig(from);
  const quantised = quantisedNames(config, head);
  const tensors = expectedTensors(config).map(({ name, shape }): TensorSource => {
    const slice = checkpoint.tensor(name, { shape });
    const bytes = checkpoint.read(slice);
    if (!quantised.has(name)) return { name, dtype: slice.dtype, shape, bytes };
    const encoded = encodeRows(scheme, toF32(bytes, slice.dtype), shape[1]);
    const decoded = fromF32(decodeRows(scheme, encoded, shape[1]), "F32");
    return { name, dtype: "F32", shape, bytes: decoded };
  });
  await writeSafetensors(join(to, "model.safetensors"), tensors);
}

/** As `unmask quantize` writes it. */
async function writeStored(
  from: string,
  to: string,
  quantisation: StoredQuantisation,
): Promise<void> {
  using folder = quantisedFolder(from, { ...quantisation, shardBytes: 5e9 });
  await writeFolder(planFolder(to, folder));
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
          for (const folder of [original, decoded]) Deno.mkdirSync(folder);
          await writeCheckpoint(original, SHAPE, title);
          await writeDecoded(original, decoded, { scheme, head });
          await writeStored(original, stored, { scheme, head });

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
    Deno.mkdirSync(original);
    await writeCheckpoint(original, SHAPE, "q8");
    const q8 = quantised("q8", 32);
    await writeStored(original, stored, { scheme: q8, head: false });
    const error = await assertRejects(
      () => loadModel(anyGpu, stored, { precision: { layers: quantised("q4", 32) } }),
      CheckpointError,
    );
    assert(error.message.includes("q_proj"), error.message);
    assert(error.message.includes("q8 in groups of 32, expected q4"), error.message);
    assertEquals(readConfig(stored).quantisation, { scheme: q8, head: false });
  }));
