/** Anthropic's error body. */

const TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  403: "permission_error",
  404: "not_found_error",
  408: "timeout_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
};

/** The body of an error with this HTTP status. */
export function anthropicError(status: number, message: string) {
  const other = status >= 500 ? "api_error" : "invalid_request_error";
  return { type: "error", error: { type: TYPES[status] ?? other, message } };
}
