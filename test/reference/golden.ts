/** Where the golden data lies and what its sampling and forward files hold, for tests. */

import { fileURLToPath } from "node:url";

/** Path of a file or folder under test/golden. */
export function goldenPath(path: string): string {
  return fileURLToPath(new URL(`../golden/${path}`, import.meta.url));
}

/** A JSON file under test/golden. */
export function readGolden<T>(path: string): T {
  return JSON.parse(Deno.readTextFileSync(goldenPath(path)));
}

/** `forward/<checkpoint>.json`. */
export interface ForwardFile {
  readonly checkpoint: string;
  readonly logit_columns: number;
  readonly tolerance: {
    readonly logits_abs: number;
    readonly confidence_abs: number;
    readonly hidden_mean_abs: number;
    readonly hidden_rms_rel: number;
  };
  readonly cases: readonly {
    readonly name: string;
    readonly length: number;
    readonly ids: readonly number[];
    readonly has_trace: boolean;
    readonly hidden: readonly {
      readonly name: string;
      readonly mean: number;
      readonly rms: number;
    }[];
  }[];
  readonly batch: {
    readonly ids: readonly (readonly number[])[];
    readonly attention_mask: readonly (readonly number[])[];
  };
}

/** One case of `sampling/llada.json`. */
export interface SamplingCase {
  readonly name: string;
  readonly checkpoint: string;
  readonly prompt: readonly (readonly number[])[];
  readonly attention_mask: readonly (readonly number[])[] | null;
  readonly gen_length: number;
  readonly block_length: number;
  readonly steps: number;
  readonly cfg_scale: number;
  readonly temperature: number;
  readonly remasking: "low_confidence" | "random";
  readonly logits_eos_inf?: boolean;
  readonly confidence_eos_eot_inf?: boolean;
  readonly eos_id_for_this_case?: number;
  readonly eot_id_for_this_case?: number;
  readonly final_without_this_option?: readonly (readonly number[])[];
  readonly nfe: number;
  readonly final: readonly (readonly number[])[];
  readonly log: readonly {
    readonly block: number;
    readonly step: number;
    readonly rows: readonly {
      readonly positions: readonly number[];
      readonly tokens: readonly number[];
      readonly confidence: readonly number[];
    }[];
  }[];
}
