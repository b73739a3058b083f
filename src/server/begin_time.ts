/** When a response begins at the latest, and what may become of its request before. */

/** The most seconds of silence before a response: proxies and clients give up after a minute. */
const MOST_SILENCE = 30;
/** Seconds behind a deadline in which the answer is made, or the error that it came too soon. */
const BEHIND_DEADLINE = 1;
/** The share of the time to its beginning in which a response may still become an error. */
const SURE = 0.9;

/**
 * Seconds within which a response begins. With a deadline all is known soon behind it: the answer, or
 * that its turn did not come, which then has its own status.
 */
export function beginsWithin(beginSeconds: number, deadlineMs?: number): number {
  if (deadlineMs === undefined) return beginSeconds;
  return Math.max(beginSeconds, Math.min(deadlineMs / 1000 + BEHIND_DEADLINE, MOST_SILENCE));
}

/**
 * Until when a request may be refused for another one (`GenerateRequest.givesWayUntil`), so that the
 * refusal surely comes before its response begins.
 */
export function givesWayUntil(beginSeconds: number): number {
  return Date.now() + 1000 * SURE * beginSeconds;
}
