/** Data and settings of the evaluations that keep their results. */

import { createHash } from "node:crypto";
import { join, resolve } from "node:path";
import { sampleEncoder } from "../compress/data/sample.ts";
import { readSamples } from "../compress/data/training_data.ts";
import type { AnsweredPrompt } from "../evaluate/draft_agreement.ts";

/** Examples, and what tells them from others. */
export interface EvaluationData {
  readonly examples: readonly AnsweredPrompt[];
  /** Their number, files and a digest. */
  readonly told: string;
}

/**
 * Reads the first examples of some files, file by file: jsonl of messages, of prompts with answers or of
 * texts, or a file laid out like models/eval-public.json. A text is an answer without a prompt.
 * @param dir folder of the model whose tokenizer and chat template are used
 * @param options.most examples in all
 * @param options.context tokens that an example may have
 * @throws {Error} naming file and line of what cannot be read or is too long
 */
export function readEvaluationData(
  files: readonly string[],
  dir: string,
  { most, context }: { readonly most: number; readonly context: number },
): EvaluationData {
  const encoder = sampleEncoder(dir);
  const examples: AnsweredPrompt[] = [];
  const digest = createHash("sha256");
  for (const file of files) {
    if (examples.length === most) break;
    for (const { ids, promptLength, where } of readSamples(file, encoder, most - examples.length)) {
      if (ids.length > context) {
        throw new Error(
          `${where}: the example has ${ids.length} tokens, expected up to ${context}`,
        );
      }
      examples.push({ prompt: ids.slice(0, promptLength), answer: ids.slice(promptLength) });
      digest.update(Uint32Array.of(promptLength, ids.length)).update(ids);
    }
  }
  const told = `${examples.length} of ${files.join(", ")}, ${digest.digest("hex").slice(0, 16)}`;
  return { examples, told };
}

/**
 * What tells a model folder from others: its path, and a digest of names, sizes and times of its files.
 * Reading all weights would take as long as loading them.
 */
export function toldModel(dir: string): string {
  const files = [...Deno.readDirSync(dir)]
    .filter(({ name }) => /\.(safetensors|json|jinja)$/.test(name))
    .map(({ name }) => {
      const { size, mtime } = Deno.statSync(join(dir, name));
      return `${name} ${size} ${mtime?.getTime()}`;
    }).sort();
  const digest = createHash("sha256").update(files.join("\n")).digest("hex");
  return `${resolve(dir)}, ${digest.slice(0, 16)}`;
}
