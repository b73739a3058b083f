/** Errors of requests to an engine. */

/** The error of a request that cannot be served; `field` names what is wrong. */
export class RequestError extends Error {
  /** The request's field, in this API's name for it. */
  readonly field: string;
  /** Machine-readable kind. */
  readonly code: "invalid_value" | "context_length_exceeded";
  /** Tokens of a prompt that is too long, where they were counted. */
  readonly promptTokens?: number;
  /** The message names the field and says what was expected and found. */
  constructor(
    field: string,
    message: string,
    code: RequestError["code"] = "invalid_value",
    promptTokens?: number,
  ) {
    super(message);
    this.promptTokens = promptTokens;
    this.name = "RequestError";
    this.field = field;
    this.code = code;
  }
}

/** The error of a request for which there is no place, or none in time. It has not begun. */
export class BusyError extends Error {
  /** Seconds after which to try again. */
  readonly retryAfter: number;
  /**
   * Whether the queue was full when it came, one of higher priority came to a full queue, or its
   * deadline came while it waited.
   */
  readonly reason: "queue_full" | "gave_way" | "deadline";
  /** The message says why there is no place and when to try again. */
  constructor(message: string, retryAfter: number, reason: BusyError["reason"] = "queue_full") {
    super(message);
    this.name = "BusyError";
    this.retryAfter = retryAfter;
    this.reason = reason;
  }
}

/** The error of an answer that the GPU or the engine could not finish; a later one may succeed. */
export class UnavailableError extends Error {
  /** What happened. */
  readonly code: "device_lost" | "out_of_memory" | "engine_restarted";
  /** What the GPU said, or how the engine stopped. */
  readonly reason: string;
  /** Neither the message nor the reason may quote the request. */
  constructor(message: string, code: UnavailableError["code"], reason: string) {
    super(message);
    this.name = "UnavailableError";
    this.code = code;
    this.reason = reason;
  }
}
