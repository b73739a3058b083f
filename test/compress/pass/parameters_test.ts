import { assert, assertEquals, assertThrows } from "@std/assert";
import { readParameter, TrainingParameters } from "../../../src/compress/pass/parameters.ts";
import {
  layoutPieces,
  padded,
  parameterLayouts,
  unpadded,
} from "../../../src/compress/pass/parameter_layout.ts";
import { trainedFolder } from "../../../src/compress/pass/trained_folder.ts";
import { TrainingSpace } from "../../../src/compress/pass/training_space.ts";
import { bf16ToF32, f32ToBf16 } from "../../../src/gpu/dtype.ts";
import { parseConfig, readConfig } from "../../../src/model/loading/config.ts";
import { planFolder, writeFolder } from "../../../src/weights/folder_writer.ts";
import { CheckpointError, ConfigError } from "../../../src/weights/model_file_error.ts";
import { SafetensorsFile } from "../../../src/weights/safetensors.ts";
import { anyGpu, DeviceWatch } from "../../gpu/device.ts";
import { Random } from "../../kernels/random.ts";
import {
  type CheckpointShape,
  configOf,
  withFolder,
  writeCheckpoint,
} from "../../model/random_checkpoint.ts";
import { goldenPath } from "../../reference/golden.ts";
import { readCheckpoint } from "../../reference/read.ts";

const SHAPE: CheckpointShape = {
  heads: 3,
  kvHeads: 1,
  headDim: 18,
  layers: 1,
  ffnSize: 21,
  vocabSize: 27,
  dtypes: ["BF16", "F16", "F32"],
};

Deno.test("rows and heads are padded to eights, and what is padded comes back", () => {
  const layouts = parameterLayouts(parseConfig(configOf(SHAPE), "config.json"));
  const of = (name: string) => layouts.find((layout) => layout.name.endsWith(`${name}.weight`))!;
  const sizes = (name: string) => [of(name).rows, of(name).columns];
  assertEquals(sizes("wte"), [32, 56]);
  assertEquals(sizes("q_proj"), [3 * 24, 56]);
  assertEquals(sizes("0.ff_out"), [56, 24]);
  assertEquals(sizes("ln_f"), [1, 56]);
  for (const layout of layouts) {
    const values = new Random(layout.name).floats(layout.shape.reduce((a, b) => a * b, 1));
    const there = padded(layout, values);
    assertEquals(there.length, layout.rows * layout.columns);
    assertEquals(unpadded(layout, there), values);
    assertEquals(there.filter((value) => value !== 0), values.filter((value) => value !== 0));
  }
  // The second head begins at a multiple of 8 rows.
  const q = of("q_proj");
  const values = Float32Array.from({ length: 54 * 54 }, (_, i) => Math.floor(i / 54) + 1);
  const first = (row: number) => padded(q, values)[row * 56];
  assertEquals([17, 18, 23, 24].map(first), [18, 0, 0, 19]);
});

Deno.test("a large tensor is moved in pieces of whole heads, which cover it", () => {
  const layout = {
    name: "large",
    shape: [18 * 500, 1000],
    rows: 24 * 500,
    columns: 1000,
    headRows: 18,
  };
  const pieces = layoutPieces(layout);
  assert(pieces.length > 4);
  let [first, paddedFirst] = [0, 0];
  for (const piece of pieces) {
    assertEquals([piece.first, piece.paddedFirst], [first, paddedFirst]);
    assertEquals(piece.layout.shape[0] % 18, 0);
    assert(piece.layout.rows * 1000 <= 2 ** 21);
    first += piece.count;
    paddedFirst += piece.layout.rows * 1000;
  }
  assertEquals([first, paddedFirst], [18 * 500 * 1000, 24 * 500 * 1000]);
});

Deno.test("a folder of any float types is loaded, and written as it was or rounded", async () => {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, SHAPE, "folder");
    Deno.writeTextFileSync(`${dir}/tokenizer.json`, "{}");
    const stored = readCheckpoint(dir);
    using space = new TrainingSpace(anyGpu);
    using parameters = TrainingParameters.load(anyGpu, dir);
    for (const { name, layout, weight } of parameters.list) {
      const values = await readParameter(space.readback, space.recorder, layout, weight);
      assertEquals(values, Float32Array.from(stored.get(name)!.data), name);
    }
    for (const dtype of ["F32", "BF16"] as const) {
      const out = `${dir}/${dtype}`;
      const content = trainedFolder(space, parameters, {
        config: configOf(SHAPE) as Record<string, string>,
        copies: [`${dir}/tokenizer.json`],
        settings: { dtype },
        dtype,
      });
      await writeFolder(planFolder(out, content));
      assertEquals(readConfig(out), readConfig(dir));
      assertEquals(Deno.readTextFileSync(`${out}/tokenizer.json`), "{}");
      for (const [name, { data, shape }] of readCheckpoint(out)) {
        const values = Float32Array.from(stored.get(name)!.data);
        const expected = dtype === "F32" ? values : bf16ToF32(f32ToBf16(values));
        assertEquals(Float32Array.from(data), expected, name);
        assertEquals(shape, stored.get(name)!.shape);
      }
    }
    const weight = parameters.get("model.transformer.ln_f.weight");
    const doubled = Float32Array.from(stored.get(weight.name)!.data, (value) => 2 * value);
    parameters.set(weight.name, doubled);
    assertEquals(
      await readParameter(space.readback, space.recorder, weight.layout, weight.weight),
      doubled,
    );
    assertThrows(() => parameters.get("none"), RangeError, "there is no tensor none");
  });
});

Deno.test("quantised weights are refused, and a folder that is damaged leaves nothing on the GPU", async () => {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, SHAPE, "damaged");
    const config = { ...configOf(SHAPE), n_layers: 2 };
    Deno.writeTextFileSync(`${dir}/config.json`, JSON.stringify(config));
    using watch = new DeviceWatch(anyGpu);
    const before = watch.alive.size;
    assertThrows(() => TrainingParameters.load(anyGpu, dir), Error, "blocks.1.attn_norm");
    assertEquals(watch.alive.size, before);
    const quantization_config = {
      quant_method: "unmask",
      bits: 8,
      group_size: 32,
      symmetric: true,
      scale_dtype: "float16",
      head: false,
    };
    Deno.writeTextFileSync(
      `${dir}/config.json`,
      JSON.stringify({ ...config, quantization_config }),
    );
    assertThrows(() => TrainingParameters.load(anyGpu, dir), ConfigError, "weights of 8 bits");
  });
  using watch = new DeviceWatch(anyGpu);
  TrainingParameters.load(anyGpu, goldenPath("checkpoints/tied-f16"))[Symbol.dispose]();
  assertEquals(watch.alive.size, 0);
});

Deno.test("weights that are not finite are refused before a run begins with them", async () => {
  await withFolder(async (dir) => {
    await writeCheckpoint(dir, SHAPE, "not finite");
    const name = "model.transformer.blocks.0.ff_proj.weight";
    const path = `${dir}/model.safetensors`;
    const bytes = Deno.readFileSync(path);
    using file = new SafetensorsFile(path);
    const { byteOffset, byteLength } = file.tensors.get(name)!;
    // The last number, of whichever type, becomes none: all of its bits are 1.
    bytes.fill(0xff, byteOffset + byteLength - 4, byteOffset + byteLength);
    Deno.writeFileSync(path, bytes);
    using watch = new DeviceWatch(anyGpu);
    assertThrows(() => TrainingParameters.load(anyGpu, dir), CheckpointError, name);
    assertEquals(watch.alive.size, 0);
  });
});
