/** A request for which there is no memory fails alone. */

import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";
import {
  type GenerateEvent,
  type GenerateRequest,
  UnavailableError,
} from "../../src/engine/request.ts";
import { GpuMemoryError } from "../../src/gpu/device.ts";
import { DeviceWatch } from "../gpu/device.ts";
import { alone } from "../alone.ts";
import { scarceMemory } from "../gpu/scarce_memory.ts";

/** Ways to answer that take different buffers. */
const WAYS: Readonly<Record<string, Partial<GenerateRequest>>> = {
  "plain": { strategy: "plain" },
  "with kept keys": { strategy: "plain", cache: "prefix" },
  "with a draft": { strategy: "lossless" },
};

// Memory is bounded for the whole process.
alone(import.meta.url, () => {
  Deno.test("out of memory while answering: told so, freed, and the next request is answered", async (t) => {
    for (const [name, way] of Object.entries(WAYS)) {
      await t.step(name, async () => {
        using engine = await loadEngine(EMBEDDED_TARGET);
        const { gpu } = engine.model;
        using watch = new DeviceWatch(gpu);
        const last = async (maxTokens: number, how = way) => {
          let event: GenerateEvent | undefined;
          const request = { ...how, maxTokens, blockLength: maxTokens, steps: 4 };
          const messages = [{ role: "user", content: "Hello!" }];
          for await (event of engine.generate({ ...request, messages }));
          return event?.type === "end" ? event.text : undefined;
        };
        const expected = await last(32);
        assert(watch.alive.size > 10);
        {
          using _ = scarceMemory(gpu, watch.largestBuffer);
          // The plain answer runs out where a draft has kept what its last one took.
          for (const how of [way, WAYS.plain]) {
            const error = await assertRejects(
              () => last(256, how),
              UnavailableError,
              "too little memory for this request",
            );
            assertEquals(error.code, "out_of_memory");
            assertMatch(error.reason, /out of memory: (not enough memory left|no room)/);
            assertEquals(watch.alive.size, 0, "what answers took was not freed");
            assertEquals(await last(32), expected, "a request that fits is answered");
          }
        }
        await last(256);
        gpu.throwIfFaulty();
      });
    }
  });

  Deno.test("out of memory in a call of its own: told so, freed, and the next call works", async () => {
    using engine = await loadEngine(EMBEDDED_TARGET, { draft: false });
    using watch = new DeviceWatch(engine.model.gpu);
    const logits = async (rows: number) =>
      (await engine.forward(Uint32Array.from({ length: rows }, (_, i) => i))).logits;
    const expected = await logits(8);
    {
      using _ = scarceMemory(engine.model.gpu, watch.largestBuffer);
      for (let i = 0; i < 2; i++) {
        await assertRejects(() => logits(256), GpuMemoryError, "out of memory");
        assertEquals(watch.alive.size, 0, "what the call took was not freed");
        assertEquals(await logits(8), expected);
      }
    }
    await logits(256);
  });
});
