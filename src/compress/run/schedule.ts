/** The learning rate over a run. */

/** How the rate falls after the warm-up. */
export const DECAYS = ["cosine", "linear", "constant"] as const;
/** One of {@linkcode DECAYS}. */
export type Decay = typeof DECAYS[number];

/** A schedule of rates. */
export interface Schedule {
  /** The highest rate. */
  readonly rate: number;
  /** Share of the run in which the rate rises from 0, linearly. */
  readonly warmUp: number;
  /** How it falls to 0 afterwards, if it does. */
  readonly decay: Decay;
}

/**
 * The rate at a place of a run. A step takes the rate of its middle, so that neither the first nor
 * the last has a rate of 0.
 * @param progress share of the run that is done, in [0, 1]
 */
export function rateAt(progress: number, { rate, warmUp, decay }: Schedule): number {
  if (progress < warmUp) return rate * progress / warmUp;
  if (decay === "constant" || warmUp >= 1) return rate;
  const fallen = Math.min(1, (progress - warmUp) / (1 - warmUp));
  return decay === "linear" ? rate * (1 - fallen) : rate * (1 + Math.cos(Math.PI * fallen)) / 2;
}

/** How long a run is: in steps, or in tokens that have gone through the model, padding included. */
export type Length = { readonly steps: number } | { readonly tokens: number };

/** Where a run is. */
export interface Place {
  /** Steps that are done. */
  readonly step: number;
  /** Tokens of those steps. */
  readonly tokens: number;
}

/** Share of the run that is done in the middle of the next step, which takes `tokens` tokens. */
export function progressOf(length: Length, place: Place, tokens: number): number {
  const share = "steps" in length
    ? (place.step + 0.5) / length.steps
    : (place.tokens + tokens / 2) / length.tokens;
  return Math.min(1, share);
}

/** Whether a run is over. */
export function isOver(length: Length, { step, tokens }: Place): boolean {
  return "steps" in length ? step >= length.steps : tokens >= length.tokens;
}
