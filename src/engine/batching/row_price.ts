/** What a request's rows would cost now, beside those of the requests that it shares passes with. */

import { chargedCost, type CostCurve } from "./cost_curve.ts";

/** Share by which each pass moves what is known of the others. */
const WEIGHT = 1 / 4;

/** What others have in a pass. */
export interface Others {
  readonly requests: number;
  readonly rows: number;
}

/**
 * Rows and requests that were lately in the same passes as one request. Others that come or go are
 * known for what they are, but for a tenth, after eight passes.
 */
export class RowPrice {
  readonly #expected: () => Others;
  #known: Others | undefined;

  /**
   * @param expected what others will have in its passes, as far as that is known before the first of
   * them: a short answer is chosen for before it has seen any
   */
  constructor(expected: () => Others = () => ({ requests: 0, rows: 0 })) {
    this.#expected = expected;
  }

  get #others(): Others {
    return this.#known ?? this.#expected();
  }

  /**
   * Records passes that the request had a part in.
   * @param own its rows in each
   * @param all all rows in each
   * @param requests that shared them, this one included
   */
  shared(own: number, all: number, requests: number, passes = 1): void {
    const weight = 1 - (1 - WEIGHT) ** passes;
    const before = this.#others;
    this.#known = {
      rows: before.rows + weight * (all - own - before.rows),
      requests: before.requests + weight * (requests - 1 - before.requests),
    };
  }

  /** Milliseconds that a pass over `rows` rows of the request would be charged. */
  of(curve: CostCurve, rows: number): number {
    const { rows: others, requests } = this.#others;
    return chargedCost(curve, rows, rows + others, 1 + requests);
  }
}

/** Rows that a request has in a pass, as passes went lately. */
export class RowsOfRequests {
  #each = 0;

  /** Records a pass of some rows. */
  ran(rows: number, requests: number): void {
    const each = rows / requests;
    this.#each += (this.#each === 0 ? 1 : WEIGHT) * (each - this.#each);
  }

  /** What so many requests would have in a pass. */
  of(requests: number): Others {
    return { requests, rows: requests * this.#each };
  }
}
