/** The log's line about a request. It holds no text of a prompt or an answer, unless asked for. */
import type { LoggedRequest } from "./request_record.ts";

/** Formats of a line: words for a terminal, or a JSON object. */
export const LOG_FORMATS = ["text", "json"] as const;

/** One of {@linkcode LOG_FORMATS}. */
export type LogFormat = typeof LOG_FORMATS[number];

/**
 * The line of a request that ended just now.
 * @param withMessages whether its conversation is written too
 */
export function requestLine(
  request: LoggedRequest,
  format: LogFormat,
  withMessages = false,
): string {
  const time = new Date().toISOString();
  const { id, method, path, status, milliseconds, tokens, ignored, complete } = request;
  const messages = withMessages ? request.messages : undefined;
  const ms = milliseconds.toFixed(1);
  if (format === "json") {
    return JSON.stringify({
      time,
      id,
      method,
      path,
      key: request.key,
      status,
      ms: Number(ms),
      prompt_tokens: tokens?.prompt,
      completion_tokens: tokens?.completion,
      ignored: ignored.length > 0 ? ignored : undefined,
      complete: complete ? undefined : false,
      messages,
    });
  }
  const parts = [`${time} ${method} ${path} ${status} ${ms} ms`];
  if (request.key !== undefined) parts.push(`key ${request.key}`);
  if (tokens) parts.push(`${tokens.prompt} + ${tokens.completion} tokens`);
  if (ignored.length > 0) parts.push(`ignored ${ignored.join(" ")}`);
  if (!complete) parts.push("broken off");
  // As JSON, on one line: a line feed in a message could forge a line.
  if (messages) parts.push(JSON.stringify(messages));
  return parts.join(", ");
}
