/** Runs small shaders when a device is acquired, to see whether it computes as kernels need it. */

/** A shader to try. */
export interface Probe {
  /** WGSL that writes `@group(0) @binding(0)`; entry point `main`. */
  readonly code: string;
  readonly constants?: Record<string, number>;
  /** What `@binding(1)` and those after it hold (default: there are none). */
  readonly inputs?: readonly ArrayBuffer[];
  /** Bytes that it writes. */
  readonly bytes: number;
}

/** Runs one workgroup. Undefined where the device does not accept or run it. */
export async function runProbe(
  device: GPUDevice,
  { code, constants, inputs = [], bytes }: Probe,
): Promise<ArrayBuffer | undefined> {
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code });
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module, entryPoint: "main", constants },
  });
  const buffer = (size: number, usage: number) => device.createBuffer({ size, usage });
  const output = buffer(bytes, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC);
  const copy = buffer(bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
  const buffers = [output];
  for (const input of inputs) {
    const given = buffer(input.byteLength, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST);
    buffers.push(given);
    device.queue.writeBuffer(given, 0, input);
  }
  try {
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(
      0,
      device.createBindGroup({
        layout: pipeline.getBindGroupLayout(0),
        entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
      }),
    );
    pass.dispatchWorkgroups(1);
    pass.end();
    encoder.copyBufferToBuffer(output, 0, copy, 0, bytes);
    device.queue.submit([encoder.finish()]);
    if (await device.popErrorScope()) return undefined;
    await copy.mapAsync(GPUMapMode.READ);
    return copy.getMappedRange().slice(0);
  } catch {
    return undefined;
  } finally {
    for (const each of [...buffers, copy]) each.destroy();
  }
}
