/** What a loaded model's folder tells those who list models: size, identity, precision. */

import { createHash } from "node:crypto";
import { join } from "node:path";
import type { ModelConfig } from "../model/loading/config.ts";
import { expectedTensors } from "../model/loading/tensors.ts";
import { INDEX_FILE, storedAs } from "../model/loading/stored_as.ts";
import { isStored, type WeightChoice } from "../model/memory/plan_request.ts";

/** Facts of a model's folder. */
export interface FolderFacts {
  /** Bytes of its weights, tokenizer and configuration. */
  readonly bytes: number;
  /**
   * SHA-256, in hex digits, of config.json, of the weights' index if there is one, and of names and
   * sizes of the files: cheap to know, and another for another model, though not for other weights of
   * the same sizes.
   */
  readonly digest: string;
  /** Numbers that the model has, however they are stored. */
  readonly parameters: number;
  /** How most of the weights are kept on the GPU: a quantisation (`q4`) or a type (`bf16`). */
  readonly weights: string;
  /** The chat template's Jinja source. */
  readonly chatTemplate: string;
}

/** Files of a folder that make the model. */
const MODEL_FILES = /\.(safetensors|json|jinja|model|txt)$/;

/**
 * Reads the facts of a folder that was loaded.
 * @param choice how its weights were loaded
 */
export async function folderFacts(
  dir: string,
  config: ModelConfig,
  choice: WeightChoice | undefined,
  chatTemplate: string,
): Promise<FolderFacts> {
  const files: (readonly [name: string, size: number])[] = [];
  for await (const { name } of Deno.readDir(dir)) {
    if (!MODEL_FILES.test(name)) continue;
    // Links, as in a hub's cache, count as what they lead to; one that leads nowhere is no file.
    const file = await Deno.stat(join(dir, name)).catch(() => undefined);
    if (file?.isFile) files.push([name, file.size]);
  }
  files.sort(([a], [b]) => a < b ? -1 : 1);
  const digest = createHash("sha256").update(JSON.stringify(files));
  for (const [name] of files) {
    if (name !== "config.json" && name !== INDEX_FILE) continue;
    digest.update(await Deno.readFile(join(dir, name)));
  }
  const tensors = expectedTensors({ ...config, quantisation: undefined });
  return {
    bytes: files.reduce((sum, [, size]) => sum + size, 0),
    digest: digest.digest("hex"),
    parameters: tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    weights: choice && !isStored(choice) ? choice : storedAs(dir, config),
    chatTemplate,
  };
}
