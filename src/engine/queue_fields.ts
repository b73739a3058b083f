/** Fields of a request about how it waits for its turn. */

import type { Turn } from "./batching/admission.ts";

/** An answer to a request that has several. */
export interface AnswerOf {
  /** A name of the request that no other one has. */
  readonly request: string;
  /**
   * From 0. Those after the first are asked for when the first has begun: they are refused in no case
   * for want of a place.
   */
  readonly index: number;
  /** Whether others come when it has begun. Until then its steps are run one by one, so that they join. */
  readonly hasOthers?: boolean;
}

/** How a request waits. */
export interface QueueFields {
  /** Whose turn comes first where requests wait: a small whole number, higher first; default 0. */
  readonly priority?: number;
  /**
   * If it is one of several answers to one request, which one. They share a place in the order of
   * turns: each that runs lets the requests of others go before the next one.
   */
  readonly answerOf?: AnswerOf;
  /**
   * Milliseconds since 1970 until which it may be refused for one of higher priority that finds the
   * queue full; default: until its turn comes.
   */
  readonly givesWayUntil?: number;
}

/**
 * How a request waits, on the clock of `performance`.
 * @param deadlineMs milliseconds from `called` until its best text is wanted
 */
export function turnOf(
  { priority, answerOf, givesWayUntil }: QueueFields,
  called: number,
  deadlineMs?: number,
): Turn {
  return {
    priority,
    request: answerOf?.request,
    hasBegun: answerOf !== undefined && answerOf.index > 0,
    hasOthers: answerOf?.hasOthers,
    due: deadlineMs === undefined ? undefined : called + deadlineMs,
    givesWayUntil: givesWayUntil === undefined
      ? undefined
      : performance.now() + givesWayUntil - Date.now(),
  };
}
