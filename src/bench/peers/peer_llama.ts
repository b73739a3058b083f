/** node-llama-cpp, llama.cpp's bindings, as a runtime of `unmask bench peers`. */

import { join } from "node:path";
import { GGUF_MODEL } from "./gguf_llada.ts";
import { type PeerWeights, quantisedName, type Runner } from "./runner.ts";

/** Backend of llama.cpp. */
export type LlamaBackend = "cpu" | "vulkan";

type Token = number;

/** The parts of the package that are used. */
interface NodeLlamaCpp {
  getLlama(options: Record<string, unknown>): Promise<Llama>;
}

interface Llama {
  getGpuDeviceNames(): Promise<readonly string[]>;
  loadModel(options: Record<string, unknown>): Promise<LlamaModel>;
  dispose(): Promise<void>;
}

interface LlamaModel {
  createContext(options: Record<string, unknown>): Promise<{ getSequence(): LlamaSequence }>;
}

interface LlamaSequence {
  clearHistory(): Promise<void>;
  controlledEvaluate(
    input: readonly (Token | readonly [Token, { readonly generateNext: Choice }])[],
  ): Promise<readonly (LlamaPrediction | undefined)[]>;
}

interface Choice {
  readonly token?: boolean;
  readonly probabilities?: boolean;
  readonly options: { readonly temperature: number };
}

interface LlamaPrediction {
  readonly next: { readonly token: Token; readonly probabilities: ReadonlyMap<Token, number> };
}

/** Environment variables for llama.cpp: use the first Vulkan device, and multiply in f32. */
const ENVIRONMENT = { GGML_VK_VISIBLE_DEVICES: "0", GGML_VK_DISABLE_F16: "1" };

/**
 * Loads llama.cpp and the model that `writeGguf` wrote into a folder.
 * @param specifier specifier of the package, not a literal, so that a plain import does not
 * download it
 * @param rows.ids ids of the one sequence; the last `asked` positions are predicted
 * @throws {Error} when the package cannot be downloaded or loaded, or finds no device
 */
export async function openLlama(
  specifier: string,
  backend: LlamaBackend,
  dir: string,
  rows: { readonly ids: Int32Array; readonly asked: number },
  weights: PeerWeights,
): Promise<Runner> {
  for (const [name, value] of Object.entries(ENVIRONMENT)) Deno.env.set(name, value);
  const { getLlama } = await import(specifier) as NodeLlamaCpp;
  const onGpu = backend === "vulkan";
  const llama = await getLlama({
    gpu: onGpu ? backend : false,
    maxThreads: 0,
    build: "never",
    skipDownload: true,
    progressLogs: false,
    logLevel: "error",
  });
  try {
    const model = await llama.loadModel({
      modelPath: join(dir, GGUF_MODEL),
      gpuLayers: onGpu ? "max" : 0,
      useMmap: false,
    });
    const { length } = rows.ids;
    const context = await model.createContext({
      contextSize: length,
      // All tokens in one batch, so that every token sees all others.
      batchSize: length,
      sequences: 1,
      flashAttention: false,
      threads: navigator.hardwareConcurrency,
    });
    const sequence = context.getSequence();
    const evaluate = async (generateNext: Choice) => {
      await sequence.clearHistory();
      const first = length - rows.asked;
      const input = Array.from(
        rows.ids,
        (id, i) => i < first ? id : [id, { generateNext }] as const,
      );
      const found = await sequence.controlledEvaluate(input);
      return found.slice(first).map((prediction) => prediction!.next);
    };
    const options = { temperature: 0 };
    const codes = quantisedName(weights);
    const [device] = onGpu ? await llama.getGpuDeviceNames() : ["CPU"];
    return {
      name: `${specifier.slice("npm:".length)}, ${codes ?? "f32"} weights`,
      device,
      // The Vulkan kernels only accept keys and values in f16. The CPU kernels round rows to 8 bits
      // before they multiply them by codes.
      precision: onGpu ? "attention in f16" : codes ? "int8" : "f32",
      async tokens() {
        return (await evaluate({ token: true, options })).map(({ token }) => token);
      },
      async logits() {
        const predictions = await evaluate({ probabilities: true, options });
        const ids = predictions[0].probabilities.size;
        const logits = new Float32Array(ids * predictions.length);
        for (const [row, { probabilities }] of predictions.entries()) {
          for (const [id, probability] of probabilities) {
            logits[row * ids + id] = Math.log(probability);
          }
        }
        return logits;
      },
      close: () => llama.dispose(),
    };
  } catch (error) {
    await llama.dispose();
    throw error;
  }
}
