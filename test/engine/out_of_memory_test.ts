/** A request for which there is no memory fails alone. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";
import { type GenerateEvent, UnavailableError } from "../../src/engine/request.ts";
import { DeviceWatch } from "../gpu/device.ts";

const request = (maxTokens: number) => ({
  messages: [{ role: "user", content: "Hello!" }],
  maxTokens,
  blockLength: maxTokens,
  steps: 4,
  strategy: "plain" as const,
});

/** A device that has no room for a buffer above this size: as one answers that could not make it. */
function narrow(device: GPUDevice, most: number): Disposable {
  const { createBuffer } = GPUDevice.prototype;
  const own = Object.getOwnPropertyDescriptor(device, "createBuffer")!;
  Object.defineProperty(device, "createBuffer", {
    configurable: true,
    value(descriptor: GPUBufferDescriptor) {
      if (descriptor.size <= most) return own.value(descriptor);
      const error = new GPUOutOfMemoryError("no room");
      device.dispatchEvent(new GPUUncapturedErrorEvent("uncapturederror", { error }));
      // A buffer that is not valid, which everything that uses it is told of.
      return createBuffer.call(device, { size: 16, usage: 0 });
    },
  });
  return { [Symbol.dispose]: () => Object.defineProperty(device, "createBuffer", own) };
}

Deno.test("out of memory while answering: told so, freed, and the next request is answered", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const { gpu } = engine.model;
  using watch = new DeviceWatch(gpu);
  const last = async (maxTokens: number) => {
    let event: GenerateEvent | undefined;
    for await (event of engine.generate(request(maxTokens)));
    return event?.type === "end" ? event.text : undefined;
  };
  const expected = await last(32);
  const used = watch.alive.size;
  assert(used > 10);
  {
    using _ = narrow(gpu.device, 100_000);
    for (let i = 0; i < 2; i++) {
      const error = await assertRejects(
        () => last(256),
        UnavailableError,
        "memory does not suffice",
      );
      assertEquals(error.code, "out_of_memory");
      assertEquals(watch.alive.size, 0, "what answers took was not freed");
      assertEquals(await last(32), expected, "a request that fits is answered");
    }
  }
  assert(await last(256) !== undefined);
  gpu.throwIfFaulty();
});
