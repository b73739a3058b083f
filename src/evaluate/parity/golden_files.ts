/**
 * Reads golden data for `unmask parity` and the tests; test/golden/README.md describes its layout.
 */

import { join } from "node:path";
import type { CachePolicy } from "../../denoise/cache_plan.ts";
import type { Remasking } from "../../denoise/selection.ts";
import { toF32 } from "../../gpu/dtype.ts";
import { SafetensorsFile } from "../../weights/safetensors.ts";

/** forward/<checkpoint>.json */
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
  readonly batch?: {
    readonly ids: readonly (readonly number[])[];
    readonly attention_mask: readonly (readonly number[])[];
  };
}

/** One case of sampling/llada.json */
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
  readonly remasking: Remasking;
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

/** One case of sampling/fast.json */
export interface FastCase {
  readonly name: string;
  readonly checkpoint: string;
  readonly prompt: readonly (readonly number[])[];
  readonly gen_length: number;
  readonly block_length: number;
  readonly steps: number;
  readonly cache: CachePolicy;
  readonly threshold: number | null;
  readonly factor: number | null;
  readonly nfe: number;
  readonly final: readonly (readonly number[])[];
  readonly log: SamplingCase["log"];
}

/** One case of speculative/step-verify.json */
export interface SpeculativeCase {
  readonly name: string;
  readonly target: string;
  readonly draft: string;
  readonly prompt: readonly (readonly number[])[];
  readonly gen_length: number;
  readonly block_length: number;
  readonly steps: number;
  readonly k: number;
  readonly accepted_per_round: readonly number[];
  readonly drafted_per_round: readonly number[];
  readonly target_batched_forwards: number;
  readonly target_rows: number;
  readonly draft_forwards: number;
  readonly final: readonly (readonly number[])[];
  readonly target_only_log: SamplingCase["log"];
}

/** Lengths and steps of a generation in sampling/schedule.json */
export interface ScheduleShape {
  readonly gen_length: number;
  readonly block_length: number;
  readonly steps: number;
}

/** sampling/schedule.json */
export interface ScheduleFile {
  readonly masked_and_steps: readonly {
    readonly masked: number;
    readonly steps: number;
    readonly num_transfer_tokens: readonly number[];
  }[];
  readonly runs: readonly (ScheduleShape & {
    readonly blocks: number;
    readonly steps_per_block: number;
    readonly num_transfer_tokens_of_every_block: readonly number[];
  })[];
  readonly rejected: readonly (ScheduleShape & { readonly why: string })[];
}

/** One case of sampling/temperature.json */
export interface TemperatureCase {
  readonly temperature: number;
  readonly logits: readonly (readonly number[])[];
  readonly uniform: readonly (readonly number[])[];
  readonly tokens: readonly number[];
  readonly confidence: readonly number[];
  readonly greedy_tokens: readonly number[];
}

/** The result of one case. */
export interface ParityResult {
  readonly name: string;
  readonly passed: boolean;
  /** The largest differences, or what is wrong. */
  readonly detail: string;
}

/** Reads a JSON file of the folder; undefined if it does not exist. */
export function readGolden<T>(dir: string, ...path: string[]): T | undefined {
  const file = join(dir, ...path);
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${file}: not JSON: ${(error as Error).message}`);
  }
}

/** Names of the folder's `forward/*.json` without the ending, sorted. */
export function forwardNames(dir: string): string[] {
  try {
    return [...Deno.readDirSync(join(dir, "forward"))]
      .filter((entry) => entry.name.endsWith(".json"))
      .map((entry) => entry.name.slice(0, -".json".length))
      .sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return [];
    throw error;
  }
}

/** Reads a tensor, widened to f32. */
export function readGoldenTensor(file: SafetensorsFile, name: string): Float32Array {
  const slice = file.tensors.get(name);
  if (!slice) throw new Error(`${file.file}: tensor ${name} is missing`);
  const bytes = new Uint8Array(slice.byteLength);
  file.readInto(slice, bytes);
  if (slice.dtype === "I32") return Float32Array.from(new Int32Array(bytes.buffer));
  return toF32(bytes, slice.dtype);
}
