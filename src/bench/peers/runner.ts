/** A runtime that holds the model which is compared, ours or another. */

import type { QuantisedName } from "../../quant/scheme.ts";

/** How our weights are stored; peers get the same numbers, in f32 where they are bf16. */
export type PeerWeights = "bf16" | QuantisedName;

/** In what a runtime computes; `attention in f16`: keys and values are rounded to it, all else is f32. */
export type Precision = "f32" | "attention in f16" | "int8";

/** A runtime that holds the model. */
export interface Runner {
  readonly name: string;
  /** What it computes on. */
  readonly device: string;
  readonly precision: Precision;
  /** One forward pass. @returns the likeliest tokens at the asked positions */
  tokens(): Promise<ArrayLike<number | bigint>>;
  /** One forward pass. @returns `[asked, ids]`, each row up to a constant */
  logits(): Promise<Float32Array>;
  close(): Promise<void>;
}
