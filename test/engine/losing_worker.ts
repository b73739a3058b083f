/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** The engine's Worker, whose device is destroyed when it is told to `lose` it. */

const scope = self as unknown as DedicatedWorkerGlobalScope;
const devices: GPUDevice[] = [];
const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (descriptor) {
  const device = await requestDevice.call(this, descriptor);
  devices.push(device);
  return device;
};

await import("../../src/engine/worker.ts");
const handle = scope.onmessage!;
scope.onmessage = (event) => {
  if (event.data.type === "lose") devices.at(-1)!.destroy();
  else handle.call(scope, event);
};
