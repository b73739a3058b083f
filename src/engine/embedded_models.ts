/** The trained pair that comes with the package; see models/MODEL_CARD.md. */

import { fileURLToPath } from "node:url";

/** Folder of the embedded target, the default of everything that runs a model. */
export const EMBEDDED_TARGET: string = fileURLToPath(
  new URL("../../models/tiny-target/", import.meta.url),
);

/** Folder of the embedded draft: not meant to be served alone. */
export const EMBEDDED_DRAFT: string = fileURLToPath(
  new URL("../../models/tiny-draft/", import.meta.url),
);

/** 100 prompts with known answers, for measuring the embedded pair. */
export const EVAL_PUBLIC: string = fileURLToPath(
  new URL("../../models/eval-public.json", import.meta.url),
);
