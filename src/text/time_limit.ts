/**
 * Bounds how long untrusted patterns and templates may run. A regular expression cannot be stopped
 * from JavaScript, nor can a Worker that runs one: Deno's `terminate` lets it run on. V8's own limit
 * of a script, which node:vm hands on, stops both, in the thread that asked.
 */
import process from "node:process";
import { Script } from "node:vm";

/** The error of work that took too long and was stopped. */
export class TimeLimitError extends Error {
  /** Milliseconds that it had. */
  readonly limit: number;

  /**
   * @param what the work
   * @param limit milliseconds that it had
   */
  constructor(what: string, limit: number) {
    super(`${what} takes longer than ${limit / 1000} s`);
    this.name = "TimeLimitError";
    this.limit = limit;
  }
}

/** Where the script finds what to call. It is a symbol, so that no other code meets it. */
const CALLED = Symbol.for("unmask: called within a time limit");
const script = new Script(`globalThis[Symbol.for(${JSON.stringify(CALLED.description)})]()`);
const place = globalThis as { [CALLED]?: () => void };

/** A machine that is busy elsewhere may give this thread nothing for seconds: then it is tried again. */
const TRIES = 5;

/**
 * Runs `body` and stops it when the time is over; that costs 12 microseconds. Where this thread could
 * compute for less than half of that time, `body` runs anew, with twice the time by the clock: it must
 * be neither async nor change anything. Of limits within one another the shorter counts.
 * @param what the work, for the error: "encoding the text"
 * @param limit milliseconds
 * @throws {TimeLimitError} when the time was over
 */
export function withinTime<T>(what: string, limit: number, body: () => T): T {
  for (let tries = 1, timeout = limit;; tries++, timeout *= 2) {
    const before = process.threadCpuUsage();
    try {
      return once(() => new TimeLimitError(what, limit), timeout, body);
    } catch (error) {
      const { user, system } = process.threadCpuUsage(before);
      const computed = (user + system) / 1000;
      if (!(error instanceof TimeLimitError) || tries === TRIES || computed > limit / 2) {
        throw error;
      }
    }
  }
}

function once<T>(late: () => TimeLimitError, timeout: number, body: () => T): T {
  const outer = place[CALLED];
  let result: { readonly value: T } | undefined;
  place[CALLED] = () => {
    result = { value: body() };
  };
  try {
    script.runInThisContext({ timeout });
  } catch (error) {
    const { code } = error as { readonly code?: string };
    if (code === "ERR_SCRIPT_EXECUTION_TIMEOUT") throw late();
    throw error;
  } finally {
    place[CALLED] = outer;
  }
  return result!.value;
}
