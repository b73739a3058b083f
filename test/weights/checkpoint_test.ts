import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { toF32 } from "../../src/gpu/dtype.ts";
import { readConfig } from "../../src/model/loading/config.ts";
import { checkTensors, expectedTensors } from "../../src/model/loading/tensors.ts";
import { CheckpointError, openCheckpoint } from "../../src/weights/checkpoint.ts";

const golden = fileURLToPath(new URL("../golden/checkpoints/", import.meta.url));
const models = fileURLToPath(new URL("../../models/", import.meta.url));
const folders = [
  ...["tiny-target", "tiny-draft"].map((name) => join(models, name)),
  ...[...Deno.readDirSync(golden)].map(({ name }) => join(golden, name)),
];

Deno.test("the good folders are there", () => assert(folders.length >= 8));

for (const dir of folders) {
  Deno.test(`${basename(dir)} opens, fits its config, and every tensor can be read`, () => {
    const config = readConfig(dir);
    using checkpoint = openCheckpoint(dir);
    checkTensors(config, checkpoint);
    assertEquals(
      [...checkpoint.tensors.keys()].toSorted(),
      expectedTensors(config).map(({ name }) => name).toSorted(),
    );
    const buffer = new Uint8Array(1 << 16);
    let total = 0;
    for (const slice of checkpoint.tensors.values()) {
      let largest = 0;
      for (const piece of checkpoint.chunks(slice, buffer)) {
        total += piece.length;
        for (const value of toF32(piece, slice.dtype)) largest = Math.max(largest, Math.abs(value));
      }
      // Wrong offsets or types show as NaN, as exponents out of range, or as nothing but zeros.
      assert(largest > 0 && largest < 100, `${slice.name}: ${largest}`);
    }
    assertEquals(total, checkpoint.byteLength);
  });
}

Deno.test("one layer's tensors are found in both shards", () => {
  using checkpoint = openCheckpoint(join(golden, "llada-shape-bf16"));
  const files = [...checkpoint.tensors.values()]
    .filter(({ name }) => name.includes(".blocks.0."))
    .map(({ file }) => basename(file));
  assertEquals(new Set(files).size, 2);
  assertEquals(basename(checkpoint.file), "model.safetensors.index.json");
});

Deno.test("pieces through a small buffer are the whole slice, in order", () => {
  using checkpoint = openCheckpoint(join(golden, "tied-f16"));
  const slice = checkpoint.tensors.get("model.transformer.wte.weight")!;
  const whole = checkpoint.read(slice);
  const pieces: number[] = [];
  const buffer = new Uint8Array(10_000);
  for (const piece of checkpoint.chunks(slice, buffer)) {
    assert(piece.buffer === buffer.buffer, "no other memory is used");
    pieces.push(...piece);
  }
  assertEquals(Uint8Array.from(pieces), whole);
  assertEquals(whole.length, 384 * 96 * 2);
});

Deno.test("a tensor asked for in another shape or type is refused by name", () => {
  using checkpoint = openCheckpoint(join(golden, "gqa-bf16"));
  const name = "model.transformer.ln_f.weight";
  assertEquals(checkpoint.tensor(name, { shape: [128] }).dtype, "BF16");
  const message = (expectation: Parameters<typeof checkpoint.tensor>[1], tensor = name) =>
    assertThrows(() => checkpoint.tensor(tensor, expectation), CheckpointError).message;
  assertMatch(
    message({ shape: [128, 1] }),
    /gqa-bf16.model\.safetensors: tensor "model\.transformer\.ln_f\.weight": shape is \[128\], expected \[128, 1\]/,
  );
  assertMatch(
    message({ shape: [128], dtypes: ["F16"] }),
    /model\.safetensors: tensor ".*ln_f\.weight": dtype is "BF16", expected one of F16\. Convert/,
  );
  assertMatch(
    message({ shape: [2, 3] }, "other"),
    /model\.safetensors: tensor "other" is missing, expected shape \[2, 3\]\. Download/,
  );
});

Deno.test("a slice of another checkpoint is not read", () => {
  using one = openCheckpoint(join(golden, "mha-f32"));
  using other = openCheckpoint(join(golden, "gqa-bf16"));
  const slice = one.tensors.values().next().value!;
  assertThrows(() => other.read(slice), RangeError, "is not a tensor of");
});

Deno.test("the folder's name may end in a slash, and a missing folder is told", () => {
  using checkpoint = openCheckpoint(join(golden, "mha-f32") + "/");
  assertEquals(checkpoint.tensors.size, 30);
  const error = assertThrows(() => openCheckpoint(join(golden, "nowhere")), CheckpointError);
  assertMatch(
    error.message,
    /nowhere: weight file is missing, expected model\.safetensors or model\.safetensors\.index\.json/,
  );
});
