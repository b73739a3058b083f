import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { join } from "node:path";
import { GREEDY, type Prediction } from "../../../src/denoise/predictor.ts";
import { acquireGpu, GpuError } from "../../../src/gpu/device.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import { CheckpointError } from "../../../src/weights/checkpoint.ts";
import { ModelFileError } from "../../../src/weights/model_file_error.ts";
import { anyGpu, DeviceWatch } from "../../gpu/device.ts";
import { goldenPath } from "../../reference/golden.ts";
import { loadReference } from "../../reference/llada.ts";
import { MALFORMED } from "../../weights/malformed.ts";
import { withFolder } from "../random_checkpoint.ts";

const GOOD = goldenPath("checkpoints/mha-f32");
const INPUT = {
  ids: Uint32Array.of(11, 200, 3, 77, 5, 5, 310),
  positions: Uint32Array.of(0, 3, 6),
  choice: GREEDY,
};

/** The good folder's predictions; loads it and frees it. */
async function predictGood(): Promise<Prediction[]> {
  using model = await loadModel(anyGpu, GOOD);
  return (await model.predict([INPUT]))[0];
}

const expected = await predictGood();

function copyGood(dir: string): void {
  for (const { name } of Deno.readDirSync(GOOD)) {
    Deno.writeFileSync(join(dir, name), Deno.readFileSync(join(GOOD, name)));
  }
}

Deno.test("the good folder predicts what the reference does", async () => {
  const [reference] = await loadReference(GOOD).predict([INPUT]);
  assertEquals(
    expected.map(({ position, token }) => [position, token]),
    reference.map(({ position, token }) => [position, token]),
  );
});

for (const { name, build, message } of MALFORMED) {
  // Files that stayed open are noticed by the sanitizer.
  const options = { sanitizeResources: true };
  Deno.test(
    `${name}: refused, nothing stays, and the good folder loads`,
    options,
    () =>
      withFolder(async (dir) => {
        build(dir);
        using watch = new DeviceWatch(anyGpu);
        const error = await assertRejects(() => loadModel(anyGpu, dir), ModelFileError);
        assertMatch(error.message, message);
        assertEquals(watch.alive.size, 0);
        assertEquals(await predictGood(), expected);
        assertEquals(watch.alive.size, 0);
      }),
  );
}

Deno.test("progress rises to the bytes of all tensors", async () => {
  for (const name of ["mha-f32", "tied-f16", "llada-shape-bf16"]) {
    const seen: (readonly [number, number])[] = [];
    using _ = await loadModel(
      anyGpu,
      goldenPath(`checkpoints/${name}`),
      { onProgress: (done, total) => seen.push([done, total]) },
    );
    const [last, total] = seen.at(-1)!;
    assertEquals(last, total);
    assert(seen.every(([done, of], i) => of === total && done > (seen[i - 1]?.[0] ?? 0)), name);
  }
});

Deno.test("an upload that fails midway frees everything", { sanitizeResources: true }, async () => {
  using watch = new DeviceWatch(anyGpu);
  let pieces = 0;
  (await loadModel(anyGpu, GOOD, { onProgress: () => pieces++ }))[Symbol.dispose]();
  assert(pieces > 20);
  for (const at of [1, 2, Math.floor(pieces / 2), pieces - 1, pieces]) {
    let most = 0;
    const fail = () => {
      most = Math.max(most, watch.alive.size);
      if (--left === 0) throw new Error(`stopped at piece ${at}`);
    };
    let left = at;
    await assertRejects(
      () => loadModel(anyGpu, GOOD, { onProgress: fail }),
      Error,
      `stopped at piece ${at}`,
    );
    assert(most >= 2, "some of the model was on the GPU");
    assertEquals(watch.alive.size, 0, `after piece ${at}`);
  }
  anyGpu.throwIfFaulty();
  assertEquals(await predictGood(), expected);
});

Deno.test("a file that is cut short while it is read is named, and nothing stays", () =>
  withFolder(async (dir) => {
    copyGood(dir);
    using watch = new DeviceWatch(anyGpu);
    const file = join(dir, "model.safetensors");
    const { size } = Deno.statSync(file);
    let pieces = 0;
    const cut = () => {
      if (++pieces === 5) Deno.truncateSync(file, size / 2);
    };
    const error = await assertRejects(
      () => loadModel(anyGpu, dir, { onProgress: cut }),
      CheckpointError,
    );
    assertEquals(error.file, file);
    assert(error.tensor?.startsWith("model.transformer."));
    assertEquals(watch.alive.size, 0);
    assertEquals(await predictGood(), expected);
  }));

Deno.test("a model that is freed leaves nothing, however much it was used", async () => {
  using watch = new DeviceWatch(anyGpu);
  const model = await loadModel(anyGpu, GOOD);
  const loaded = watch.alive.size;
  await model.predict([INPUT]);
  await model.forward(new Uint32Array(40));
  await model.topTokens(INPUT, 3);
  const canvas = await model.openCanvas([
    { ids: INPUT.ids, promptLength: 2, endTokens: [], maskToken: 5 },
  ]);
  canvas.destroy();
  assert(watch.alive.size > loaded);
  model[Symbol.dispose]();
  assertEquals(watch.alive.size, 0);
  anyGpu.throwIfFaulty();
});

Deno.test("a device that is lost while loading ends it with a GpuError", async () => {
  const gpu = await acquireGpu();
  let pieces = 0;
  await assertRejects(
    () => loadModel(gpu, GOOD, { onProgress: () => ++pieces === 3 && gpu.device.destroy() }),
    GpuError,
    "lost",
  );
});

Deno.test("weights that do not fit the device's memory are an error that says so", async () => {
  const gpu = await acquireGpu();
  using watch = new DeviceWatch(gpu);
  // As a device answers that could not make one of the buffers.
  Object.defineProperty(gpu.device, "popErrorScope", {
    async value() {
      await GPUDevice.prototype.popErrorScope.call(gpu.device);
      return new GPUOutOfMemoryError("no room");
    },
  });
  const error = await assertRejects(() => loadModel(gpu, GOOD), GpuError);
  assertMatch(error.message, /mha-f32: \d+ bytes of weights do not fit the memory of .*: no room/);
  assertEquals(watch.alive.size, 0);
  gpu[Symbol.dispose]();
});
