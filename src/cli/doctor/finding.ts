/** What `unmask doctor` finds out. */

/** Whether something works: `warning` where it does, but less well than it could. */
export type State = "ok" | "warning" | "problem";

/** One thing that was looked at. */
export interface Finding {
  readonly what: string;
  readonly state: State;
  /** What was found, in a few words. */
  readonly found: string;
  /** What to do, in a sentence; absent where there is nothing to do. */
  readonly advice?: string;
}

/** A finding that is as it should be. */
export function fine(what: string, found: string): Finding {
  return { what, state: "ok", found };
}

/** A finding that limits what works. */
export function warning(what: string, found: string, advice: string): Finding {
  return { what, state: "warning", found, advice };
}

/** A finding with which nothing works. */
export function problem(what: string, found: string, advice: string): Finding {
  return { what, state: "problem", found, advice };
}
