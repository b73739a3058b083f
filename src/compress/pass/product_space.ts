/** What products of training are recorded with. */

import type { Recorder } from "../../gpu/recorder.ts";
import type { Scratch } from "../../gpu/scratch.ts";

/** What records products. */
export interface ProductSpace {
  readonly recorder: Recorder;
  readonly scratch: Scratch;
}

/** Rows of a product, and whether it joins what its result holds. */
export interface ProductRows {
  readonly rows: number;
  readonly add?: boolean;
}
