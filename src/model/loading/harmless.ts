/** What a folder holds otherwise than it should, or beyond it, and what changes nothing. */

import { basename, join } from "node:path";
import { openCheckpoint } from "../../weights/checkpoint.ts";
import { readJsonObject } from "../../weights/json_file.ts";
import { ConfigError, show } from "../../weights/model_file_error.ts";
import { MAX_CONFIG } from "./config.ts";
import type { ModelConfig } from "../model_config.ts";
import { generationNotes } from "./generation_defaults.ts";
import { unusedTensors } from "./tensors.ts";

/** Names that a line gives before it says how many more there are. */
const NAMED = 2;

/**
 * A line for each such thing, with the name of its file and no path: clients may read them.
 * @throws {CheckpointError} for weights that are not as the configuration says
 */
export function harmlessNotes(dir: string, config: ModelConfig): string[] {
  using checkpoint = openCheckpoint(dir);
  const { totalSize, byteLength } = checkpoint;
  const notes = [...paddingNotes(dir, config), ...generationNotes(dir)];
  if (totalSize !== undefined && totalSize !== byteLength) {
    notes.push(
      `${basename(checkpoint.file)}: metadata.total_size is ${show(totalSize)}, expected ` +
        `${byteLength}, the bytes of all tensors. Nothing depends on it.`,
    );
  }
  const unused = Map.groupBy(unusedTensors(config, checkpoint), ([, reason]) => reason);
  for (const [reason, tensors] of unused) {
    const names = tensors.slice(0, NAMED).map(([name]) => name).join(", ");
    const more = tensors.length > NAMED ? ` and ${tensors.length - NAMED} more` : "";
    notes.push(`${basename(checkpoint.file)}: ${names}${more} not used: ${reason}.`);
  }
  return notes;
}

function paddingNotes(dir: string, { embeddingSize }: ModelConfig): string[] {
  const json = readJsonObject(join(dir, "config.json"), MAX_CONFIG, ConfigError);
  const id = json.pad_token_id;
  if (Number.isInteger(id) && Number(id) >= 0 && Number(id) < embeddingSize) return [];
  const found = Object.hasOwn(json, "pad_token_id") ? show(id) : "missing";
  return [`config.json: pad_token_id is ${found}. Nothing is padded.`];
}
