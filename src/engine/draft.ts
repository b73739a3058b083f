/** Checks that a draft fits a target, and warns about a draft that is used alone. */

import { join } from "node:path";
import { ConfigError, readConfig } from "../model/loading/config.ts";
import { messageOf } from "../text/folder_file.ts";
import { readTokenizerFile } from "../text/tokenizer_file.ts";

/** Fields of config.json that must be the same in a draft and its target. */
const SHARED = {
  vocabSize: "vocab_size",
  embeddingSize: "embedding_size",
  maskTokenId: "mask_token_id",
  eosTokenId: "eos_token_id",
} as const;

/**
 * Checks that a draft fits a target. The draft proposes ids that the target verifies, so an id must
 * mean the same in both.
 * @throws {ConfigError} naming every field that differs
 */
export function checkDraft(targetDir: string, draftDir: string): void {
  const target = readConfig(targetDir);
  const draft = readConfig(draftDir);
  const differing = Object.entries(SHARED)
    .map(([name, field]) => [field, name as keyof typeof SHARED] as const)
    .filter(([, name]) => target[name] !== draft[name])
    .map(([field, name]) => `${field} (draft ${draft[name]}, target ${target[name]})`);
  const own = readTokenizerFile(targetDir, target.embeddingSize);
  try {
    const other = readTokenizerFile(draftDir, draft.embeddingSize);
    if (JSON.stringify(own) !== JSON.stringify(other)) differing.push("tokenizer.json");
  } catch (error) {
    differing.push(`tokenizer.json (${messageOf(error)})`);
  }
  if (draft.maxSequenceLength < target.maxSequenceLength) {
    differing.push(
      `max_sequence_length (draft ${draft.maxSequenceLength}, target ${target.maxSequenceLength})`,
    );
  }
  if (differing.length === 0) return;
  throw new ConfigError({
    file: draftDir,
    field: "the draft",
    found: `other than its target ${targetDir} in ${differing.join(", ")}`,
    expected: "a draft made for this target",
    remedy: "Give the draft's own target, or no draft.",
  });
}

/**
 * A warning for a folder whose config.json says that it was pruned: under `pruning` as
 * `unmask prune apply` writes it, or `kept_layers`.
 */
export function draftWarning(dir: string): string | undefined {
  const json = JSON.parse(Deno.readTextFileSync(join(dir, "config.json")));
  const field = ["pruning", "kept_layers"].find((name) => json[name] !== undefined);
  if (field === undefined) return undefined;
  return `${dir} is a pruned draft (config.json: ${field}). It is made to propose tokens that a ` +
    "target verifies and is not meant to be served alone: expect worse answers.";
}
