/** What a request's rows would cost now, beside those of the requests that it shares passes with. */

import { chargedCost, type CostCurve } from "./cost_curve.ts";

/** Share by which each pass moves what is known of the others. */
const WEIGHT = 1 / 4;

/**
 * Rows and requests that were lately in the same passes as one request. Others that come or go are
 * known for what they are, but for a tenth, after eight passes.
 */
export class RowPrice {
  #rows = 0;
  #requests = 0;

  /**
   * Records passes that the request had a part in.
   * @param own its rows in each
   * @param all all rows in each
   * @param requests that shared them, this one included
   */
  shared(own: number, all: number, requests: number, passes = 1): void {
    const weight = 1 - (1 - WEIGHT) ** passes;
    this.#rows += weight * (all - own - this.#rows);
    this.#requests += weight * (requests - 1 - this.#requests);
  }

  /** Milliseconds that a pass over `rows` rows of the request would be charged. */
  of(curve: CostCurve, rows: number): number {
    return chargedCost(curve, rows, rows + this.#rows, 1 + this.#requests);
  }
}
