/** A runtime that holds the model which is compared, ours or another. */

import { QUANTISED, type QuantisedName } from "../../quant/scheme.ts";

/** How our weights may be stored. */
export const PEER_WEIGHTS = ["bf16", ...QUANTISED] as const;
/** How they are stored; peers get the same numbers, in f32 where they are bf16. */
export type PeerWeights = typeof PEER_WEIGHTS[number];

/** The scheme of weights that have codes and scales. */
export function quantisedName(weights: PeerWeights): QuantisedName | undefined {
  return QUANTISED.find((name) => name === weights);
}

/**
 * Largest distance of a peer's logits from ours, as a share of ours (Euclidean norms), by what it
 * computes in; with int8 products from ours with int8 products. Rounding to f16 is off by
 * 2^-11 = 4.9e-4 at most. Two ways to round activations to 8 bits part by about 0.008 over two layers, as
 * far as either is from floats; one matrix of another layer leads 0.2 and more away.
 */
export const LOGITS_TOLERANCE = { "f32": 1e-4, "attention in f16": 4.9e-4, "int8": 0.02 } as const;

/** In what a runtime computes; `attention in f16`: keys and values are rounded to it, all else is f32. */
export type Precision = keyof typeof LOGITS_TOLERANCE;

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
