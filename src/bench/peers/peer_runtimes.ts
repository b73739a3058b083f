/** Opens the runtimes of `unmask bench peers`, this one and the others, behind one interface. */

import { join } from "node:path";
import { GREEDY } from "../../denoise/predictor.ts";
import type { Arithmetic } from "../../gpu/kernel.ts";
import type { Model } from "../../model/model.ts";
import { ONNX_GRAPH, ONNX_WEIGHTS } from "./onnx_llada.ts";
import { openLlama } from "./peer_llama.ts";
import { type PeerWeights, type Precision, quantisedName, type Runner } from "./runner.ts";

/**
 * Packages of the other runtimes. They are neither literals in `import()` nor entries in deno.json,
 * because then every user would download them (0.7 GB). .lock/peers.lock holds their checksums.
 */
const PACKAGES = {
  "onnxruntime-web": "npm:onnxruntime-web@1.30.0/webgpu",
  "onnxruntime-node": "npm:onnxruntime-node@1.30.0",
  "node-llama-cpp-vulkan": "npm:node-llama-cpp@3.21.1",
  "node-llama-cpp": "npm:node-llama-cpp@3.21.1",
} as const;

/** Name of another runtime: its package; it runs on the CPU unless the name says otherwise. */
export type PeerName = keyof typeof PACKAGES;
/** Names of the other runtimes. */
export const PEERS = Object.keys(PACKAGES) as readonly PeerName[];

/**
 * Checks that this is the task for the other runtimes, which are native libraries and large
 * downloads.
 * @throws {Error} naming the task, when this is another one
 */
export function requirePeers(): void {
  if (Deno.permissions.querySync({ name: "ffi" }).state === "granted") return;
  throw new Error(
    "the other runtimes are native libraries from npm, which this program is not permitted to " +
      "load. Run `deno task peers`: it downloads them (0.7 GB) at its first start.",
  );
}

/** Makes the runner of this runtime, for these ids and the last `asked` positions. */
export function ourRunner(
  model: Model,
  ids: Int32Array,
  asked: number,
  { weights, precision }: {
    readonly weights: PeerWeights;
    readonly precision: Extract<Precision, Arithmetic>;
  },
): Runner {
  const first = ids.length - asked;
  const positions = Uint32Array.from({ length: asked }, (_, i) => first + i);
  const input = Uint32Array.from(ids);
  return {
    name: `unmask, ${weights} weights` + (precision === "f32" ? "" : `, ${precision} products`),
    device: model.gpu.name,
    precision,
    async tokens() {
      const [predictions] = await model.predict([{ ids: input, positions, choice: GREEDY }]);
      return predictions.map(({ token }) => token);
    },
    async logits() {
      const { logits } = await model.forward(input);
      return logits.slice(first * model.config.embeddingSize);
    },
    close: () => Promise.resolve(),
  };
}

/** The used part of onnxruntime-common's interface, which both packages have. */
interface OnnxRuntime {
  readonly env: { readonly webgpu: { readonly device?: GPUDevice | Promise<GPUDevice> } };
  readonly InferenceSession: {
    create(model: string | Uint8Array, options: Record<string, unknown>): Promise<OnnxSession>;
  };
  readonly Tensor: new (type: string, data: Int32Array, dims: readonly number[]) => unknown;
}

interface OnnxSession {
  run(
    feeds: Readonly<Record<string, unknown>>,
    fetches: readonly string[],
  ): Promise<Readonly<Record<string, { readonly data: Float32Array | BigInt64Array }>>>;
  release(): Promise<void>;
}

/**
 * Loads a peer and the model that `writeOnnx` and `writeGguf` wrote into a folder.
 * @throws {Error} when the package cannot be downloaded or loaded, or finds no device
 */
export async function openPeer(
  name: PeerName,
  dir: string,
  rows: { readonly ids: Int32Array; readonly asked: number },
  weights: PeerWeights,
): Promise<Runner> {
  if (name === "node-llama-cpp" || name === "node-llama-cpp-vulkan") {
    const backend = name === "node-llama-cpp" ? "cpu" : "vulkan";
    return await openLlama(PACKAGES[name], backend, dir, rows, weights);
  }
  const { ids } = rows;
  const ort = await import(PACKAGES[name]) as OnnxRuntime;
  const graph = join(dir, ONNX_GRAPH);
  const onGpu = name === "onnxruntime-web";
  const session = onGpu
    ? await ort.InferenceSession.create(await Deno.readFile(graph), {
      executionProviders: ["webgpu"],
      externalData: [{ path: ONNX_WEIGHTS, data: await Deno.readFile(join(dir, ONNX_WEIGHTS)) }],
    })
    : await ort.InferenceSession.create(graph, { executionProviders: ["cpu"] });
  const feeds = { ids: new ort.Tensor("int32", ids, [ids.length]) };
  const fetch = async (output: string) => (await session.run(feeds, [output]))[output].data;
  return {
    name: `${PACKAGES[name].slice("npm:".length)}, ${quantisedName(weights) ?? "f32"} weights`,
    device: onGpu ? gpuDevice(await ort.env.webgpu.device) : "CPU",
    precision: "f32",
    tokens: async () => await fetch("tokens") as BigInt64Array,
    logits: async () => await fetch("logits") as Float32Array,
    close: () => session.release(),
  };
}

function gpuDevice(device: GPUDevice | undefined): string {
  const { vendor, device: model, description } = device?.adapterInfo ?? {};
  return description || [vendor, model].filter(Boolean).join(" ") || "WebGPU";
}
