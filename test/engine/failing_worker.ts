/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** The engine's Worker, whose GPU fails and which stops when it is told to: see failing_unmask.ts. */

import { scarceMemory } from "../gpu/scarce_memory.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;
/** The last one: one that is lost is not kept. */
let device: GPUDevice | undefined;
let software = false;
/** Bytes of the largest buffer that answers had. */
let largest = 0;
let asked = false;
let mayReplace = Promise.withResolvers<void>();
if (!Deno.env.has("HELD")) mayReplace.resolve();
let starving: Disposable | undefined;

const { requestDevice } = GPUAdapter.prototype;
const { createBuffer } = GPUDevice.prototype;
GPUAdapter.prototype.requestDevice = async function (descriptor) {
  await mayReplace.promise;
  device = await requestDevice.call(this, descriptor);
  software = /llvmpipe/.test(this.info.description);
  return device;
};
GPUDevice.prototype.createBuffer = function (descriptor) {
  if (asked && !starving) largest = Math.max(largest, descriptor.size);
  return createBuffer.call(this, descriptor);
};

/** What a message does to the GPU. */
const failures: Readonly<Record<string, () => void>> = {
  lose() {
    mayReplace = Promise.withResolvers();
    device!.destroy();
  },
  replace() {
    mayReplace.resolve();
  },
  unplug() {
    GPU.prototype.requestAdapter = () => Promise.resolve(null);
    device!.destroy();
  },
  starve() {
    if (starving) {
      starving[Symbol.dispose]();
      starving = undefined;
    } else {
      starving = scarceMemory({ device: device!, software }, largest);
    }
    console.error(starving ? "starving" : "fed");
  },
};

await import("./stopping_worker.ts");
const handle = scope.onmessage!;
scope.onmessage = (event) => {
  asked ||= event.data.type === "generate";
  const fail = failures[event.data.type];
  if (fail) fail();
  else handle.call(scope, event);
  if (event.data.request?.messages?.[0]?.content === "lose") failures.lose();
};
