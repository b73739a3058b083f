import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import { acquireGpu, GpuMemoryError } from "../../../src/gpu/device.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import { alone } from "../../alone.ts";
import { anyGpu, DeviceWatch } from "../../gpu/device.ts";
import { canStarve, scarceMemory } from "../../gpu/scarce_memory.ts";
import { goldenPath } from "../../reference/golden.ts";
import { skipIf } from "../../skip.ts";

const GOOD = goldenPath("checkpoints/mha-f32");

// Memory is bounded for the whole process.
alone(import.meta.url, () => {
  Deno.test({
    ...skipIf(
      canStarve(anyGpu)
        ? undefined
        : "only the memory of a software adapter on Linux can be bounded",
      "where memory ran out while loading, that is the error, whatever came of it",
    ),
    async fn() {
      const gpu = await acquireGpu();
      using watch = new DeviceWatch(gpu);
      using _ = scarceMemory(gpu, 1024);
      const onProgress = () => {
        throw new Error("what came of it");
      };
      for (const options of [{}, { onProgress }]) {
        const error = await assertRejects(() => loadModel(gpu, GOOD, options), GpuMemoryError);
        assertMatch(error.message, /do not fit the memory of .*: not enough memory/);
        assertEquals(watch.alive.size, 0);
      }
      gpu[Symbol.dispose]();
    },
  });
});
