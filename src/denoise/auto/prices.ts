/**
 * What rows cost now. Where requests share passes, a pass over several states costs about as much as
 * one over one state while few rows are in it, and as much as several passes while many are. Measured
 * costs are kept per unit of the price at which they were measured, and compared at the prices of
 * now, so that they hold whatever the load.
 */

import type { Predictor } from "../predictor.ts";

/** Prices of the passes that a request may ask for, in milliseconds; or all alike, if not known. */
export interface Prices {
  /** Rows of one state of its sequence. */
  readonly rows: number;
  /** A forward pass of the target over `states` states of the sequence. */
  verify(states: number): number;
  /** A forward pass of the draft over one. */
  readonly draft: number;
}

/**
 * The prices, each of the time at which it is asked for. A predictor that knows none gives the number of a sequence's rows, whatever the
 * pass; costs per unit of it are milliseconds per row.
 * @param rows of one state of the sequence
 */
export function pricesOf(
  rows: number,
  { target, draft }: { readonly target: Predictor; readonly draft?: Predictor },
): Prices {
  return {
    rows,
    verify: (states) => priceOf(target, states * rows, rows),
    draft: draft === undefined ? rows : priceOf(draft, rows, rows),
  };
}

/** The price of a pass over `rows` rows, or `unknown` if the predictor knows none. */
export function priceOf(predictor: Predictor, rows: number, unknown: number): number {
  return predictor.price?.(rows) ?? unknown;
}

/** Prices that are all alike. */
export const UNPRICED: Prices = { rows: 1, verify: () => 1, draft: 1 };

/** Number of states at which two loads are compared. */
const COMPARED = 4;
/** Change of a pass's price beside one over one state that makes another load. */
const OTHER_LOAD = 1.1;

/** What rows cost beside each other at some time: prices of passes as shares of one over a state. */
export type Load = readonly number[];

/** The load of now. */
export function loadAt({ verify, draft }: Prices): Load {
  return [verify(COMPARED), draft].map((price) => price / verify(1));
}

/** Whether passes cost so much more or less at one time than at another that it may matter. */
export function isOtherLoad(before: Load, now: Load): boolean {
  return before.some((share, i) => Math.max(share / now[i], now[i] / share) > OTHER_LOAD);
}
