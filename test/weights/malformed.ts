/**
 * Broken model folders, one mistake each. Used on the readers here and on the whole model loader,
 * which must refuse each and then load a good folder right.
 */
import { MALFORMED_CONFIGS } from "../model/loading/malformed_config.ts";
import type { Malformed } from "./broken_folder.ts";
import { MALFORMED_CHECKPOINTS } from "./malformed_checkpoint.ts";
import { MALFORMED_SAFETENSORS } from "./malformed_safetensors.ts";

export type { Malformed } from "./broken_folder.ts";

/** Every mistake. */
export const MALFORMED: readonly Malformed[] = [
  ...MALFORMED_SAFETENSORS,
  ...MALFORMED_CHECKPOINTS,
  ...MALFORMED_CONFIGS,
];
