/** A weight that is not finite makes every answer nonsense: the folder is refused. */
import { assertEquals, assertRejects } from "@std/assert";
import { join } from "node:path";
import { byteSize, type DType, type FloatDType, fromF32 } from "../../../src/gpu/dtype.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import { quantisedFolder } from "../../../src/model/loading/quantised_folder.ts";
import { quantised } from "../../../src/quant/scheme.ts";
import { CheckpointError, openCheckpoint } from "../../../src/weights/checkpoint.ts";
import { planFolder, writeFolder } from "../../../src/weights/folder_writer.ts";
import { anyGpu, DeviceWatch } from "../../gpu/device.ts";
import { goldenPath } from "../../reference/golden.ts";
import { withFolder } from "../random_checkpoint.ts";

/** Puts a value in the place of a tensor's element, counted from its end where negative. */
function damage(dir: string, name: string, element: number, value: number): void {
  using checkpoint = openCheckpoint(dir);
  const { file, byteOffset, byteLength, dtype } = checkpoint.tensors.get(name)!;
  const size = byteSize(dtype as DType);
  const at = byteOffset + (element < 0 ? byteLength : 0) + element * size;
  using open = Deno.openSync(file, { write: true });
  open.seekSync(at, Deno.SeekMode.Start);
  open.writeSync(fromF32(Float32Array.of(value), dtype as FloatDType));
}

function copy(checkpoint: string, dir: string): void {
  const from = goldenPath(`checkpoints/${checkpoint}`);
  for (const { name } of Deno.readDirSync(from)) {
    Deno.writeFileSync(join(dir, name), Deno.readFileSync(join(from, name)));
  }
}

const Q8 = quantised("q8", 32);

for (
  const [checkpoint, tensor, element, value, precision] of [
    ["mha-f32", "model.transformer.wte.weight", -1, NaN],
    ["mha-f32", "model.transformer.blocks.2.ff_proj.weight", 0, Infinity],
    ["mha-f32", "model.transformer.blocks.1.attn_norm.weight", 3, NaN],
    ["tied-f16", "model.transformer.blocks.0.k_proj.weight", 77, -Infinity],
    ["llada-shape-bf16", "model.transformer.ff_out.weight", -1, NaN],
    ["llada-shape-bf16", "model.transformer.blocks.0.q_proj.weight", 1001, NaN, { layers: Q8 }],
  ] as const
) {
  Deno.test(`${value} in ${tensor} of ${checkpoint}${precision ? ", quantised" : ""}`, () =>
    withFolder(async (dir) => {
      copy(checkpoint, dir);
      damage(dir, tensor, element, value);
      using watch = new DeviceWatch(anyGpu);
      const error = await assertRejects(
        () => loadModel(anyGpu, dir, { precision }),
        CheckpointError,
        "expected finite weights",
      );
      assertEquals(error.tensor, tensor);
      assertEquals(watch.alive.size, 0);
    }));
}

Deno.test("a scale that is not finite", () =>
  withFolder(async (dir) => {
    const out = join(dir, "q8");
    {
      using content = quantisedFolder(goldenPath("checkpoints/llada-shape-bf16"), {
        scheme: Q8,
        head: false,
        shardBytes: 1 << 20,
      });
      await writeFolder(planFolder(out, content));
    }
    const tensor = "model.transformer.blocks.1.up_proj.weight_scale";
    damage(out, tensor, 5, Infinity);
    const error = await assertRejects(() => loadModel(anyGpu, out), CheckpointError, "finite");
    assertEquals(error.tensor, tensor);
  }));
