/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** The engine's Worker. Told to `lose` its device, it gets no other one until it is told to `replace` it. */

const scope = self as unknown as DedicatedWorkerGlobalScope;
const devices: GPUDevice[] = [];
const { requestDevice } = GPUAdapter.prototype;
let mayReplace = Promise.withResolvers<void>();
mayReplace.resolve();
GPUAdapter.prototype.requestDevice = async function (descriptor) {
  await mayReplace.promise;
  const device = await requestDevice.call(this, descriptor);
  devices.push(device);
  return device;
};

await import("../../src/engine/worker.ts");
const handle = scope.onmessage!;
scope.onmessage = (event) => {
  if (event.data.type === "lose") {
    mayReplace = Promise.withResolvers();
    devices.at(-1)!.destroy();
  } else if (event.data.type === "replace") {
    mayReplace.resolve();
  } else {
    handle.call(scope, event);
  }
};
