/**
 * Loads 300 MB of weights and prints what that took, as JSON. A program of its own, because tests that
 * run side by side share their process and its memory.
 */

import { join } from "node:path";
import { GREEDY } from "../../../src/denoise/predictor.ts";
import { loadModel } from "../../../src/model/loading/load.ts";
import { expectedTensors } from "../../../src/model/loading/tensors.ts";
import { parseConfig } from "../../../src/model/loading/config.ts";
import { anyGpu, DeviceWatch } from "../../gpu/device.ts";
import { type CheckpointShape, configOf, withFolder } from "../random_checkpoint.ts";
import { goldenModel } from "../models.ts";

/** An embedding and a head of 150 MB each: more than fits a binding of 128 MiB. */
const LARGE: CheckpointShape = {
  heads: 4,
  kvHeads: 4,
  headDim: 64,
  layers: 1,
  ffnSize: 8,
  vocabSize: 300_000,
};

/**
 * Writes a folder whose tensors are zero but for norms of ones and for the given rows of embedding
 * and head, as a sparse file. A row holds `value` at one channel.
 */
function writeSparse(
  dir: string,
  shape: CheckpointShape,
  rows: readonly { token: number; channel: number; value: number }[],
): void {
  const json = configOf(shape);
  Deno.writeTextFileSync(join(dir, "config.json"), JSON.stringify(json));
  const entries: Record<string, unknown> = {};
  const begins = new Map<string, number>();
  let end = 0;
  for (const { name, shape } of expectedTensors(parseConfig(json, "config.json"))) {
    const begin = end;
    begins.set(name, begin);
    end += 2 * shape.reduce((product, size) => product * size, 1);
    entries[name] = { dtype: "BF16", shape, data_offsets: [begin, end] };
  }
  const header = new TextEncoder().encode(JSON.stringify(entries));
  using file = Deno.openSync(join(dir, "model.safetensors"), { write: true, create: true });
  const prefix = new Uint8Array(8);
  new DataView(prefix.buffer).setBigUint64(0, BigInt(header.length), true);
  file.writeSync(prefix);
  file.writeSync(header);
  file.truncateSync(8 + header.length + end);
  const bf16 = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0] >>> 16;
  const write = (name: string, element: number, values: Uint16Array) => {
    file.seekSync(8 + header.length + begins.get(name)! + 2 * element, Deno.SeekMode.Start);
    file.writeSync(new Uint8Array(values.buffer));
  };
  const hiddenSize = shape.heads * shape.headDim;
  write("model.transformer.ln_f.weight", 0, new Uint16Array(hiddenSize).fill(bf16(1)));
  for (const { token, channel, value } of rows) {
    const at = token * hiddenSize + channel;
    write("model.transformer.wte.weight", at, Uint16Array.of(bf16(value)));
    write("model.transformer.ff_out.weight", at, Uint16Array.of(bf16(value)));
  }
}

/** What the program prints. */
export interface UploadReport {
  readonly pieces: number;
  /** Most bytes of host memory beyond those before, and beyond what lies on the device. */
  readonly worstBytes: number;
  /** Tokens that were asked for, and what the model answered. */
  readonly asked: readonly number[];
  readonly answered: readonly number[];
}

async function measure(dir: string): Promise<UploadReport> {
  // Each of these tokens answers itself; they lie on both sides of where parts and pieces end.
  const part = Math.floor(anyGpu.limits.maxStorageBufferBindingSize / 512 / 128) * 128;
  const tokens = [0, 4095, 4096, part - 1, part, 2 ** 17, 299_999]
    .filter((token) => token < LARGE.vocabSize);
  writeSparse(dir, LARGE, tokens.map((token, channel) => ({ token, channel, value: 1 })));

  // What the process and the driver need once is not the model's.
  await goldenModel(anyGpu, "gqa-bf16");
  using watch = new DeviceWatch(anyGpu);
  const before = Deno.memoryUsage().rss;
  let worstBytes = 0;
  let pieces = 0;
  const report = () => {
    // A software adapter's device memory is the host's as well; what the host writes counts here.
    const device = [...watch.alive]
      .filter(([{ usage }]) => (usage & GPUBufferUsage.MAP_WRITE) === 0)
      .reduce((sum, [, size]) => sum + size, 0);
    worstBytes = Math.max(worstBytes, Deno.memoryUsage().rss - before - device);
    pieces++;
  };
  using model = await loadModel(anyGpu, dir, { onProgress: report });
  const ids = Uint32Array.from(tokens);
  const [found] = await model.predict([
    { ids, positions: Uint32Array.from(ids.keys()), choice: GREEDY },
  ]);
  return { pieces, worstBytes, asked: tokens, answered: found.map(({ token }) => token) };
}

if (import.meta.main) {
  await withFolder(async (dir) => console.log(JSON.stringify(await measure(dir))));
  Deno.exit();
}
