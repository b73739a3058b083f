/** OpenAI's error body, and how this server's and the engine's errors become one. */
import { BusyError, RequestError, UnavailableError } from "../engine/request.ts";

/** The Retry-After of responses while the model loads, in seconds. */
export const LOADING_RETRY_SECONDS = "2";

/** Tells OpenAI's clients, which repeat a 5xx, that the same request will fail again. */
export const NO_RETRY: Readonly<Record<string, string>> = { "X-Should-Retry": "false" };

/** The body of every response with a status from 400 up. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    /** The request's field, in the API's name for it. */
    readonly param: string | null;
    /** Machine-readable kind. */
    readonly code: string | null;
    /** Of a prompt that is too long, as llama-server has it: its tokens, or at least so many. */
    readonly n_prompt_tokens?: number;
    /** The context's length in tokens, beside `n_prompt_tokens`. */
    readonly n_ctx?: number;
  };
}

/** Members of an error's body about lengths. */
type Lengths = Pick<ErrorBody["error"], "n_prompt_tokens" | "n_ctx">;

/** An error whose message is sent to the client as it is. */
export class ApiError extends Error {
  /** HTTP status, 400 to 599. */
  readonly status: number;
  /** The request's field that is wrong, if there is one. */
  readonly param: string | null;
  /** Machine-readable kind. */
  readonly code: string | null;
  /** Headers of the response. */
  readonly headers: Readonly<Record<string, string>>;
  /** Lengths, of a prompt that is too long. */
  readonly lengths: Lengths;
  /** What metrics count it as: the code, where that does not say more. */
  readonly reason: string | null;

  constructor(
    status: number,
    code: string | null,
    message: string,
    options: {
      param?: string | null;
      headers?: Readonly<Record<string, string>>;
      lengths?: Lengths;
      reason?: string;
    } = {},
  ) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.param = options.param ?? null;
    this.headers = options.headers ?? {};
    this.lengths = options.lengths ?? {};
    this.reason = options.reason ?? code;
  }

  /** The body in OpenAI's format. */
  get body(): ErrorBody {
    const type = this.status >= 500
      ? "server_error"
      : this.status === 429
      ? "rate_limit_error"
      : "invalid_request_error";
    const { message, param, code } = this;
    return { error: { message, type, param, code, ...this.lengths } };
  }

  /** The whole HTTP response. */
  toResponse(): Response {
    return Response.json(this.body, { status: this.status, headers: this.headers });
  }
}

/**
 * The headers that tell when to ask again. Clients take the milliseconds first, where they know them.
 * @param seconds above 0
 */
export function retryHeaders(seconds: number): Readonly<Record<string, string>> {
  const known = Number.isFinite(seconds) ? seconds : 1;
  return {
    "Retry-After": String(Math.max(1, Math.ceil(known))),
    "Retry-After-Ms": String(Math.max(1, Math.ceil(1000 * known))),
  };
}

/**
 * An error, which says how long the context is if that was exceeded: in OpenAI's own words, because
 * libraries look for them in the message to shorten a conversation, and not at the code.
 * @param contextLength in tokens
 */
export function withContext(error: ApiError, contextLength: number): ApiError {
  if (error.code !== "context_length_exceeded") return error;
  const { status, code, message, param, headers } = error;
  // Counting stops where it is known that the prompt does not fit.
  const { n_prompt_tokens = contextLength + 1 } = error.lengths;
  const lengths = { n_prompt_tokens, n_ctx: contextLength };
  const told = `This model's maximum context length is ${contextLength} tokens`;
  const whole = message.includes(told) ? message : `${told}: ${message}`;
  return new ApiError(status, code, whole, { param, headers, lengths });
}

/** `maxTokens` -> `max_tokens`. */
function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Names of fields in the engine's messages, which the API writes differently. */
const ENGINE_FIELDS =
  /\b(?:maxTokens|genLength|blockLength|cfgScale|draftDepth|refreshInterval|suffixWindow|draftThreshold|targetThreshold|topP|topK|minP|presencePenalty|frequencyPenalty|repetitionPenalty|logitBias|topLogprobs|minTokens|stopTokenIds|promptLogprobs)\b/g;

/**
 * Turns an error of a route or the engine into one for the client.
 *
 * The message of an unexpected error is not sent, because it may quote the prompt.
 * @param tokenLimit the field that the request used for its token limit
 */
export function toApiError(error: unknown, tokenLimit = "max_tokens"): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof RequestError) {
    const apiName = (name: string) => name === "maxTokens" ? tokenLimit : snakeCase(name);
    return new ApiError(400, error.code, error.message.replace(ENGINE_FIELDS, apiName), {
      param: error.field.replace(/^\w+/, apiName),
      ...error.promptTokens !== undefined && { lengths: { n_prompt_tokens: error.promptTokens } },
    });
  }
  if (error instanceof BusyError) {
    return new ApiError(429, "rate_limit_exceeded", error.message, {
      headers: retryHeaders(error.retryAfter),
      reason: error.reason,
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
      "GET /health shows whether the engine still works.",
  );
}
