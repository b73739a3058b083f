/** OpenAI's error body, and how this server's and the engine's errors become one. */
import { BusyError, RequestError, UnavailableError } from "../engine/request.ts";

/** Seconds after which a client may look again while weights load. */
export const LOADING_RETRY_SECONDS = "2";

/** Says that the same request will fail again: OpenAI's clients repeat a 5xx unless they are told not to. */
export const NO_RETRY: Readonly<Record<string, string>> = { "X-Should-Retry": "false" };

/** What a client gets instead of an answer, with every status from 400 up. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    /** The request's field, in the API's name for it. */
    readonly param: string | null;
    /** Machine-readable kind. */
    readonly code: string | null;
  };
}

/** An error that is meant for the client, word for word. */
export class ApiError extends Error {
  /** HTTP status, 400 to 599. */
  readonly status: number;
  /** The request's field, where one is to blame. */
  readonly param: string | null;
  /** Machine-readable kind. */
  readonly code: string | null;
  /** Sent with the response. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string | null,
    message: string,
    options: { param?: string | null; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.param = options.param ?? null;
    this.headers = options.headers ?? {};
  }

  /** The body as OpenAI words it. */
  get body(): ErrorBody {
    const type = this.status >= 500
      ? "server_error"
      : this.status === 429
      ? "rate_limit_error"
      : "invalid_request_error";
    return { error: { message: this.message, type, param: this.param, code: this.code } };
  }

  /** The whole HTTP response. */
  toResponse(): Response {
    return Response.json(this.body, { status: this.status, headers: this.headers });
  }
}

/** `maxTokens` -> `max_tokens`. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Names in the engine's messages that the API writes in its own way. */
const ENGINE_FIELDS =
  /\b(?:maxTokens|genLength|blockLength|cfgScale|draftDepth|refreshInterval|suffixWindow|draftThreshold|targetThreshold)\b/g;

/**
 * What to tell the client of an error that came out of a route or the engine.
 *
 * An unexpected error's own message stays here: it may quote the prompt.
 * @param tokenLimit the name under which the request gave its token limit
 */
export function toApiError(error: unknown, tokenLimit = "max_tokens"): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof RequestError) {
    const apiName = (name: string) => name === "maxTokens" ? tokenLimit : snakeCase(name);
    return new ApiError(400, error.code, error.message.replace(ENGINE_FIELDS, apiName), {
      param: error.field.replace(/^\w+/, apiName),
    });
  }
  if (error instanceof BusyError) {
    const seconds = Math.max(1, Math.ceil(error.retryAfter));
    return new ApiError(429, "rate_limit_exceeded", error.message, {
      headers: { "Retry-After": String(Number.isFinite(seconds) ? seconds : 1) },
    });
  }
  if (error instanceof UnavailableError) {
    const { code, message } = error;
    const headers = code !== "out_of_memory" ? { "Retry-After": LOADING_RETRY_SECONDS } : NO_RETRY;
    return new ApiError(503, code, message, { headers });
  }
  return new ApiError(
    500,
    "internal_error",
    "The engine failed while answering. Send the request again; if it fails again, " +
      "GET /health tells whether the engine still works.",
  );
}
