/**
 * Times kernels at the sizes that a model of hidden size 1024 has, from the call to the end of the work:
 *
 *     deno bench -A --filter rms_norm test/kernels_bench.ts
 */

import { QueueWait } from "../src/gpu/mapping.ts";
import { Recorder } from "../src/gpu/recorder.ts";
import { anyGpu, lacks } from "./gpu/device.ts";
import type { KernelRun, UploadedRun } from "./kernels/case.ts";
import { kernelCases } from "./kernels/run_case.ts";
import { skipIf } from "./skip.ts";

const recorder = new Recorder(anyGpu);
const queue = new QueueWait(anyGpu);

/** The run that is being timed: its inputs are brought once, and freed when the next one begins. */
let current: { readonly of: KernelRun; readonly uploaded: UploadedRun } | undefined;

function uploaded(kernelRun: KernelRun): UploadedRun {
  if (current?.of !== kernelRun) {
    current?.uploaded.tensors[Symbol.dispose]();
    recorder.abandon();
    current = { of: kernelRun, uploaded: kernelRun.upload(anyGpu) };
  }
  return current.uploaded;
}

for (const { kernel, modelRuns } of kernelCases) {
  for (const kernelRun of modelRuns) {
    const { name, feature, cost: { multiplyAdds, bytes } } = kernelRun;
    const work = `${(multiplyAdds / 1e6).toFixed(1)} M multiply-adds, ${
      (bytes / 1e6).toFixed(1)
    } MB`;
    Deno.bench({
      ...skipIf(lacks(anyGpu, feature), `${kernel}: ${name} (${work})`),
      async fn(bench) {
        const { record } = uploaded(kernelRun);
        bench.start();
        record(recorder);
        recorder.submit();
        await queue.wait();
        bench.end();
        anyGpu.throwIfFaulty();
      },
    });
  }
}
