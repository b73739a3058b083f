/** The interface of a runtime that is compared, ours or another. */

import { QUANTISED, type QuantisedName } from "../../quant/scheme.ts";

/** The ways in which our weights may be stored. */
export const PEER_WEIGHTS = ["bf16", ...QUANTISED] as const;
/** How our weights are stored; peers get the same numbers, with bf16 widened to f32. */
export type PeerWeights = typeof PEER_WEIGHTS[number];

/** The scheme of quantised weights; undefined for bf16. */
export function quantisedName(weights: PeerWeights): QuantisedName | undefined {
  return QUANTISED.find((name) => name === weights);
}

/**
 * Largest allowed distance of a peer's logits from ours, as a share of ours (Euclidean norms), by
 * the peer's precision. Peers with int8 products are compared with our int8 products. Rounding to
 * f16 has an error of at most 2^-11 = 4.9e-4. Two ways to round activations to 8 bits differ by
 * about 0.008 over two layers, as much as either differs from floats. A single wrong matrix would
 * give 0.2 or more.
 */
export const LOGITS_TOLERANCE = { "f32": 1e-4, "attention in f16": 4.9e-4, "int8": 0.02 } as const;

/** Precision of a runtime; `attention in f16`: f32, but with keys and values rounded to f16. */
export type Precision = keyof typeof LOGITS_TOLERANCE;

/** A runtime that holds the model. */
export interface Runner {
  readonly name: string;
  /** Name of the device that it computes on. */
  readonly device: string;
  readonly precision: Precision;
  /** Runs one forward pass. @returns the likeliest tokens at the asked positions */
  tokens(): Promise<ArrayLike<number | bigint>>;
  /** Runs one forward pass. @returns logits `[asked, ids]`, each row up to an added constant */
  logits(): Promise<Float32Array>;
  close(): Promise<void>;
}
