/** What each API key may ask for, and what its answers tell of that. */
import type { MiddlewareHandler } from "hono";
import type { TextEngine } from "../engine/request.ts";
import type { ApiKey } from "./api_keys.ts";
import { ApiError, retryHeaders } from "./errors.ts";
import { MinuteLimit } from "./minute_limit.ts";
import { recordOf } from "./request_record.ts";

/** Most milliseconds after which to ask again when too many answers of a key are under way. */
const LONGEST_WAIT = 60_000;
/** The same where nothing is known of answers yet. */
const UNKNOWN_WAIT = 1000;

/** A bound that a request would exceed. */
interface Exceeded {
  /** The field in the file of keys. */
  readonly field: "concurrent" | "requests_per_minute" | "tokens_per_minute";
  /** What the key may do. */
  readonly bound: string;
  /** Milliseconds. */
  readonly wait: number;
}

/** Told of each request for an answer that came with a key, when it is over. */
export type OnKeyRequest = (key: ApiKey, tokens: number) => void;

/** What a key used lately, and uses now. */
class KeyUse {
  readonly #requests: MinuteLimit | undefined;
  readonly #tokens: MinuteLimit | undefined;
  readonly #concurrent: number;
  #running = 0;

  constructor(
    { requestsPerMinute, tokensPerMinute, concurrent = Infinity }: ApiKey,
    now?: () => number,
  ) {
    this.#requests = requestsPerMinute ? new MinuteLimit(requestsPerMinute, now) : undefined;
    this.#tokens = tokensPerMinute ? new MinuteLimit(tokensPerMinute, now) : undefined;
    this.#concurrent = concurrent;
  }

  /** The bounds that one more request would exceed. @param answering milliseconds that an answer takes */
  exceeded(answering: number): readonly Exceeded[] {
    const [requests, tokens] = [this.#requests, this.#tokens];
    return [
      {
        field: "concurrent",
        bound: `have ${this.#concurrent} requests under way at once`,
        wait: this.#running < this.#concurrent ? 0 : Math.max(1, answering / this.#concurrent),
      } as const,
      {
        field: "requests_per_minute",
        bound: `send ${requests?.most} requests in 60 seconds`,
        wait: requests?.wait ?? 0,
      } as const,
      {
        field: "tokens_per_minute",
        bound: `use ${tokens?.most} tokens in 60 seconds`,
        wait: tokens?.wait ?? 0,
      } as const,
    ].filter(({ wait }) => wait > 0);
  }

  /** Counts a request. @returns to be called if it was refused, so that it does not count */
  begin(): () => void {
    this.#running++;
    const giveBack = this.#requests?.use(1);
    return () => {
      this.#running--;
      giveBack?.();
    };
  }

  end(tokens: number): void {
    this.#running--;
    this.#tokens?.use(tokens);
  }

  /** OpenAI's headers of the limits that there are. */
  get headers(): Readonly<Record<string, string>> {
    const headers: Record<string, string> = {};
    for (const [what, limit] of [["requests", this.#requests], ["tokens", this.#tokens]] as const) {
      if (!limit) continue;
      headers[`x-ratelimit-limit-${what}`] = String(limit.most);
      headers[`x-ratelimit-remaining-${what}`] = String(limit.left);
      headers[`x-ratelimit-reset-${what}`] = duration(limit.fullAfter);
    }
    return headers;
  }
}

/**
 * Holds requests to what their key may do, and refuses (429) those beyond it. A request that was
 * refused so does not count.
 * @param onRequest told of each request with a key, when it is over
 * @param now milliseconds of a clock that never goes back
 */
export function keyLimits(
  engine: TextEngine,
  onRequest: OnKeyRequest = () => {},
  now?: () => number,
): MiddlewareHandler {
  // A key's object lives as long as the server.
  const uses = new Map<ApiKey, KeyUse>();
  return async (c, next) => {
    const record = recordOf(c);
    const { key } = record;
    if (!key) return await next();
    const use = uses.get(key) ?? new KeyUse(key, now);
    uses.set(key, use);
    const worst = use.exceeded(answerTime(engine)).toSorted((a, b) => b.wait - a.wait)[0];
    if (worst) throw tooMuch(worst, use.headers);
    const refused = use.begin();
    await next();
    // There was no room for it.
    const isRefused = c.res.status === 429;
    if (isRefused) refused();
    // What a stream uses is known when it is over, and its header is sent before.
    for (const [name, value] of Object.entries(use.headers)) c.res.headers.set(name, value);
    if (isRefused) return;
    record.whenOver(() => {
      use.end(record.spent);
      onRequest(key, record.spent);
    });
  };
}

/**
 * Milliseconds that an answer takes now: as many run as begin in the time that one takes. Figures may be
 * older than the first request that runs.
 */
function answerTime({ load }: TextEngine): number {
  if (!load || load.answersPerSecond === 0) return UNKNOWN_WAIT;
  return 1000 * Math.max(1, load.running) / load.answersPerSecond;
}

function tooMuch(
  { field, bound, wait }: Exceeded,
  headers: Readonly<Record<string, string>>,
): ApiError {
  const retry = retryHeaders(Math.min(wait, LONGEST_WAIT) / 1000);
  const message = `This API key may ${bound}, no more (${field}). Try again in ${
    retry["Retry-After"]
  } s.`;
  return new ApiError(429, "rate_limit_exceeded", message, {
    reason: field,
    headers: { ...headers, ...retry },
  });
}

/** A time as OpenAI's headers have it: `350ms`, `12s`, `1m0s`. @param milliseconds 0 or above */
function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.ceil(milliseconds)}ms`;
  const seconds = Math.ceil(milliseconds / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
