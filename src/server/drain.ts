/** How a server ends: it tells that it leaves, takes no more work, and lets what is under way end. */
import type { ServerResponse } from "node:http";
import type { Context, MiddlewareHandler } from "hono";
import type { TextEngine } from "../engine/request.ts";
import { engineWith } from "./engine_with.ts";
import { ApiError } from "./errors.ts";
import { recordOf } from "./request_record.ts";

/** The headers of an answer behind which the connection is closed. */
const CLOSE = { Connection: "close" };

/**
 * Where a server stands on its way to its end. Each call of `leave`, `refuse` and `end` goes a step
 * further, and none goes back.
 */
export class Drain {
  #isLeaving = false;
  #refuses = false;
  readonly #ended = new AbortController();
  #work = 0;
  #onDone: (() => void) | undefined;

  /** Whether the server will end: whoever shares requests out should choose another one. */
  get isLeaving(): boolean {
    return this.#isLeaving;
  }

  /** Whether it takes no more work. */
  get refuses(): boolean {
    return this.#refuses;
  }

  /** Aborts when running answers are ended. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /** Requests under way, but for looks at how the server is. */
  get work(): number {
    return this.#work;
  }

  /** From now on it tells that it leaves. */
  leave(): void {
    this.#isLeaving = true;
  }

  /** From now on it takes no more work. @returns fulfilled when none is under way */
  refuse(): Promise<void> {
    this.leave();
    this.#refuses = true;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onDone = resolve;
    if (this.#work === 0) resolve();
    return promise;
  }

  /** Ends the answers under way with an error that says why. */
  end(): void {
    this.#ended.abort(
      new ApiError(
        503,
        "shutting_down",
        "The server is shutting down, and the answer was not done in the time that it gives " +
          "(--drain-seconds). Ask another one.",
        { headers: CLOSE },
      ),
    );
  }

  /** Counts a request as under way. @returns to be called when it is over; more calls change nothing */
  begin(): () => void {
    this.#work++;
    let over = false;
    return () => {
      if (over) return;
      over = true;
      if (--this.#work === 0) this.#onDone?.();
    };
  }
}

/** Methods of requests that only look. */
const LOOKS: readonly string[] = ["GET", "HEAD", "OPTIONS"];

/**
 * Refuses (503) work while the server ends, and counts what is under way; how the server is can be
 * asked until its process ends. From its leaving on, connections are closed behind their answers, so
 * that clients that keep them come to another server.
 */
export function drainGate(drain: Drain): MiddlewareHandler {
  return async (c, next) => {
    if (LOOKS.includes(c.req.method)) await next();
    else {
      if (drain.refuses) {
        throw new ApiError(503, "shutting_down", "The server is shutting down. Ask another one.", {
          headers: CLOSE,
        });
      }
      const over = drain.begin();
      const isSent = onSent(c, over);
      await next();
      if (!isSent) recordOf(c).whenOver(over);
    }
    if (drain.isLeaving) c.res.headers.set("Connection", "close");
  };
}

/**
 * Calls back when an answer has been sent, or its client has left.
 * @returns false where nothing is sent, because the request did not come over a connection
 */
function onSent(c: Context, callback: () => void): boolean {
  const { outgoing } = (c.env ?? {}) as { readonly outgoing?: ServerResponse };
  outgoing?.once("close", callback);
  return outgoing !== undefined;
}

/** The same engine, whose answers end when the server does. */
export function untilEnd(engine: TextEngine, { ended }: Drain): TextEngine {
  return engineWith(engine, async function* (request, signal) {
    ended.throwIfAborted();
    const own = new AbortController();
    const end = () => own.abort(ended.reason);
    ended.addEventListener("abort", end);
    try {
      const either = signal ? AbortSignal.any([signal, own.signal]) : own.signal;
      yield* engine.generate(request, either);
    } finally {
      ended.removeEventListener("abort", end);
    }
  });
}
