/** Folders quantised ahead of time: what they hold, and how they come about. */

import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { join } from "node:path";
import type { FloatDType } from "../../../src/gpu/dtype.ts";
import { ConfigError, QUANT_METHOD, readConfig } from "../../../src/model/loading/config.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import { quantisedFolder } from "../../../src/model/loading/quantised_folder.ts";
import { syntheticFolder } from "../../../src/model/synthetic/synthetic.ts";
import { quantisedNames } from "../../../src/model/loading/tensors.ts";
import { scaleName } from "../../../src/model/model_config.ts";
import { quantised } from "../../../src/quant/scheme.ts";
import { CheckpointError, openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { planFolder, writeFolder } from "../../../src/weights/folder_writer.ts";
import { type TensorSource, writeSafetensors } from "../../../src/weights/safetensors_writer.ts";
import { anyGpu } from "../../gpu/device.ts";
import { configOf, withFolder, writeCheckpoint } from "../random_checkpoint.ts";

/** Inner sizes of 48 and 40: groups that are whole, cut short and odd in number. */
const SHAPE = {
  heads: 3,
  kvHeads: 3,
  headDim: 16,
  layers: 2,
  ffnSize: 40,
  vocabSize: 61,
  dtypes: ["BF16", "F32", "F16"] as readonly FloatDType[],
};

type Options = Parameters<typeof quantisedFolder>[1];

async function write(from: string, to: string, options: Options): Promise<void> {
  using folder = quantisedFolder(from, options);
  await writeFolder(planFolder(to, folder));
}

function filesOf(dir: string): Map<string, Uint8Array> {
  const names = [...Deno.readDirSync(dir)].map(({ name }) => name).sort();
  return new Map(names.map((name) => [name, Deno.readFileSync(join(dir, name))]));
}

Deno.test("all but the matrices stays as it is stored, and other files are copied", () =>
  withFolder(async (dir) => {
    const original = join(dir, "original");
    Deno.mkdirSync(original);
    await writeCheckpoint(original, SHAPE, "copies");
    const text = (name: string) => Deno.writeTextFileSync(join(original, name), `in ${name}`);
    const copied = ["tokenizer.json", "chat_template.jinja", "README.md", "merges.txt"];
    const left = ["pytorch_model.bin", "pytorch_model.bin.index.json", "x.gguf", ".gitattributes"];
    [...copied, ...left].forEach(text);
    Deno.mkdirSync(join(original, "onnx"));
    const out = join(dir, "out");
    const scheme = quantised("q4", 32);
    await write(original, out, { scheme, head: false, shardBytes: 5e9 });
    const files = filesOf(out);
    assertEquals(
      new Set(files.keys()),
      new Set([...copied, "config.json", "model.safetensors"]),
    );
    for (const name of copied) {
      assertEquals(files.get(name), Deno.readFileSync(join(original, name)));
    }
    assertEquals(JSON.parse(Deno.readTextFileSync(join(out, "config.json"))), {
      ...configOf(SHAPE),
      quantization_config: {
        quant_method: QUANT_METHOD,
        bits: 4,
        group_size: 32,
        symmetric: true,
        scale_dtype: "float16",
        head: false,
      },
    });
    using before = openCheckpoint(original);
    using after = openCheckpoint(out);
    const names = quantisedNames(readConfig(original), false);
    for (const slice of before.tensors.values()) {
      const found = after.tensors.get(slice.name)!;
      if (names.has(slice.name)) assertEquals(found.dtype, "U8");
      else assertEquals(after.read(found), before.read(slice), slice.name);
    }
  }));

/** A folder in several shards, each with several tensors. */
async function sharded(dir: string): Promise<string> {
  const out = join(dir, "sharded");
  const shape = { hiddenSize: 64, layers: 3, heads: 2, ffnSize: 128, vocabSize: 99 };
  using folder = syntheticFolder({ ...shape, maxSequenceLength: 64 }, { shardBytes: 60_000 });
  await writeFolder(planFolder(out, folder));
  return out;
}

Deno.test("two runs give the same bytes, however often one was interrupted", () =>
  withFolder(async (dir) => {
    const original = await sharded(dir);
    const options = { scheme: quantised("q8", 32), head: true, shardBytes: 30_000 };
    const [once, again, interrupted] = ["once", "again", "interrupted"]
      .map((name) => join(dir, name));
    let pieces = 0;
    {
      using folder = quantisedFolder(original, options);
      const plan = planFolder(once, folder);
      assert(plan.shards.length > 3);
      await writeFolder(plan, () => pieces++);
    }
    await write(original, again, options);
    const expected = filesOf(once);
    assertEquals(filesOf(again), expected);
    let runs = 1;
    let kept = 0;
    for (;; runs++) {
      using folder = quantisedFolder(original, options);
      const plan = planFolder(interrupted, folder);
      kept = Math.max(kept, plan.shards.filter(({ finished }) => finished).length);
      let left = Math.floor(pieces / 2);
      const stop = () => {
        if (left-- === 0) throw new Error("interrupted");
      };
      try {
        await writeFolder(plan, stop);
        break;
      } catch (error) {
        assertEquals((error as Error).message, "interrupted");
      }
      assertThrows(() => readConfig(interrupted), ConfigError);
      assert(runs < 20, "it never ends");
    }
    assert(runs > 1 && kept > 0, `${runs} runs, ${kept} shards kept`);
    assertEquals(filesOf(interrupted), expected);
  }));

Deno.test("it is not gone on with from another original, or in another scheme", () =>
  withFolder(async (dir) => {
    const original = await sharded(dir);
    const options = { scheme: quantised("q8", 32), head: true, shardBytes: 30_000 };
    const out = join(dir, "out");
    {
      using folder = quantisedFolder(original, options);
      await assertRejects(() =>
        writeFolder(planFolder(out, folder), () => {
          throw new Error("interrupted");
        })
      );
    }
    const refused = (other: Options) => {
      using folder = quantisedFolder(original, other);
      return assertThrows(() => planFolder(out, folder), Error).message;
    };
    assertStringIncludes(refused({ ...options, head: false }), "head true, not false");
    assertStringIncludes(
      refused({ ...options, scheme: quantised("q4", 64) }),
      'to "q8", not "q4"; group 32, not 64',
    );
    assertStringIncludes(refused({ ...options, shardBytes: 9 }), "shard_bytes 30000, not 9");
    const shard = [...filesOf(original).keys()].find((name) => name.startsWith("model-00002"))!;
    Deno.utimeSync(join(original, shard), 1, 1);
    assertStringIncludes(refused(options), `original ${shard} `);
  }));

Deno.test("what cannot be quantised is refused by name", () =>
  withFolder(async (dir) => {
    const options = { scheme: quantised("q8", 32), head: true, shardBytes: 5e9 };
    const tied = join(dir, "tied");
    Deno.mkdirSync(tied);
    await writeCheckpoint(tied, { ...SHAPE, tied: true }, "tied");
    const noHead = assertThrows(() => quantisedFolder(tied, options), ConfigError);
    assertStringIncludes(noHead.message, "weight_tying is true, expected a head of its own");

    const once = join(dir, "once");
    await write(tied, once, { ...options, head: false });
    const twice = assertThrows(() => quantisedFolder(once, options), ConfigError);
    assertStringIncludes(twice.message, "quantization_config is q8 in groups of 32, expected");

    const damaged = join(dir, "damaged");
    Deno.mkdirSync(damaged);
    await writeCheckpoint(damaged, { ...SHAPE, dtypes: ["F32"] }, "damaged");
    const path = join(damaged, "model.safetensors");
    const name = "model.transformer.blocks.1.up_proj.weight";
    const { byteOffset } = offsetOf(damaged, name);
    const bytes = Deno.readFileSync(path);
    new DataView(bytes.buffer).setFloat32(byteOffset + 4 * (48 * 7 + 5), NaN, true);
    Deno.writeFileSync(path, bytes);
    const error = await assertRejects(
      () => write(damaged, join(dir, "out"), options),
      CheckpointError,
    );
    assertEquals(error.tensor, name);
    assertStringIncludes(error.message, "row 7, column 5: found NaN");
  }));

function offsetOf(dir: string, name: string) {
  using checkpoint = openCheckpoint(dir);
  return checkpoint.tensors.get(name)!;
}

/** A quantised folder, and what is done to its tensors; what loading then says. */
const BROKEN: readonly (readonly [
  title: string,
  change: (tensors: Map<string, TensorSource>) => void,
  message: RegExp,
])[] = [
  [
    "no scales",
    (tensors) => tensors.delete(scaleName(Q_PROJ)),
    /q_proj\.weight_scale" is missing, expected shape \[48, 2\]/,
  ],
  [
    "scales of another group size",
    (tensors) => {
      const scales = tensors.get(scaleName(Q_PROJ))!;
      tensors.set(scales.name, { ...scales, shape: [48, 1], bytes: new Uint8Array(96) });
    },
    /q_proj\.weight_scale": shape is \[48, 1\], expected \[48, 2\], as config\.json says/,
  ],
  [
    "scales in f32",
    (tensors) => {
      const scales = tensors.get(scaleName(Q_PROJ))!;
      tensors.set(scales.name, { ...scales, dtype: "F32", bytes: new Uint8Array(384) });
    },
    /q_proj\.weight_scale": dtype is "F32", expected one of F16/,
  ],
  [
    "codes of the other scheme",
    (tensors) => {
      const codes = tensors.get(Q_PROJ)!;
      tensors.set(Q_PROJ, { ...codes, shape: [48, 48], bytes: new Uint8Array(2304) });
    },
    /q_proj\.weight": shape is \[48, 48\], expected \[48, 24\], as config\.json says/,
  ],
  [
    "codes in another type",
    (tensors) => tensors.set(Q_PROJ, { ...tensors.get(Q_PROJ)!, dtype: "I8" }),
    /q_proj\.weight": dtype is "I8", expected one of U8/,
  ],
  [
    "scales of a tensor that is not quantised",
    (tensors) => {
      const name = scaleName("model.transformer.ff_out.weight");
      tensors.set(name, { name, dtype: "F16", shape: [61, 2], bytes: new Uint8Array(244) });
    },
    /ff_out\.weight_scale" is present, expected absent/,
  ],
];
const Q_PROJ = "model.transformer.blocks.0.q_proj.weight";

for (const [title, change, message] of BROKEN) {
  Deno.test(`a quantised folder with ${title} is refused`, () =>
    withFolder(async (dir) => {
      const [original, out] = ["original", "out"].map((name) => join(dir, name));
      Deno.mkdirSync(original);
      await writeCheckpoint(original, SHAPE, "broken");
      await write(original, out, { scheme: quantised("q4", 32), head: false, shardBytes: 5e9 });
      using checkpoint = openCheckpoint(out);
      const tensors = new Map<string, TensorSource>(
        [...checkpoint.tensors.values()].map((slice) => [
          slice.name,
          { ...slice, bytes: checkpoint.read(slice) },
        ]),
      );
      change(tensors);
      await writeSafetensors(join(out, "model.safetensors"), [...tensors.values()]);
      const error = await assertRejects(() => loadModel(anyGpu, out), CheckpointError);
      assert(message.test(error.message), error.message);
    }));
}
