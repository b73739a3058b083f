/** Reads a JSON request body within limits of type, size and time. */
import { ApiError } from "./errors.ts";
import { gunzip, NotGzip } from "./gunzip.ts";
import { isTooDeep, MOST_LEVELS } from "./json_levels.ts";

/** Bounds on a body. */
export interface BodyLimits {
  /** Limit in bytes; of a compressed body, of what it expands to. */
  readonly maxBytes: number;
  /** Limit in seconds, from the first read to the last byte. */
  readonly seconds: number;
  /** Bytes from which a body is read but not looked at, and what is said of it then. */
  readonly useless?: { readonly bytes: number; readonly error: () => ApiError };
}

/**
 * A too long body is read and dropped up to this multiple: most clients listen only after sending.
 */
const DRAIN_FACTOR = 4;

/**
 * Reads the request's body, which may be compressed with gzip, as a JSON value. Bytes are counted as
 * they arrive, because Content-Length cannot be trusted.
 * @throws {ApiError} 415 not UTF-8 JSON, plain or gzip, 413 too long, 408 too slow, 400 broken off or
 * not JSON, or that of `limits.useless`
 */
export async function readJson(request: Request, limits: BodyLimits): Promise<unknown> {
  checkContentType(request.headers);
  const text = await readText(request, limits);
  if (text.trim() === "") {
    throw new ApiError(400, "invalid_json", "The request body is empty; send a JSON object.");
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message.slice(0, 200) : "malformed";
    throw new ApiError(400, "invalid_json", `The request body is not valid JSON: ${reason}`);
  }
  if (isTooDeep(text)) {
    const message =
      `The request body has more than ${MOST_LEVELS} arrays or objects in each other.`;
    throw new ApiError(400, "invalid_json", message);
  }
  return value;
}

function checkContentType(headers: Headers): void {
  const type = headers.get("content-type") ?? "";
  const [essence, ...parameters] = type.toLowerCase().split(";").map((part) => part.trim());
  const charset = parameters.find((part) => part.startsWith("charset="))?.slice(8);
  const isUtf8 = charset === undefined || /^"?utf-?8"?$/.test(charset);
  if (essence !== "application/json" || !isUtf8) {
    throw new ApiError(
      415,
      "unsupported_media_type",
      `Expected Content-Type: application/json in UTF-8, found ${type.slice(0, 100) || "none"}.`,
    );
  }
  const encoding = encodingOf(headers);
  if (!["identity", "gzip", "x-gzip"].includes(encoding)) {
    throw new ApiError(
      415,
      "unsupported_media_type",
      `Expected Content-Encoding: gzip or none, found ${encoding.slice(0, 100)}.`,
    );
  }
}

function encodingOf(headers: Headers): string {
  return (headers.get("content-encoding") ?? "identity").toLowerCase().trim();
}

/** Decodes each chunk as it comes, so that a long body is never whole in memory as bytes too. */
async function readText(request: Request, limits: BodyLimits): Promise<string> {
  if (request.body === null) return "";
  const body = encodingOf(request.headers) === "identity"
    ? request.body
    : gunzip(request.body, limits.maxBytes * DRAIN_FACTOR);
  const reader = body.getReader();
  const decoder = new TextDecoder("utf-8", { fatal: true });
  const parts: string[] = [];
  const { bytes: most, error: useless } = limits.useless ?? { bytes: limits.maxBytes };
  let size = 0;
  let isUtf8 = true;
  const decode = (chunk?: Uint8Array) => {
    try {
      if (isUtf8) parts.push(decoder.decode(chunk, { stream: chunk !== undefined }));
    } catch {
      isUtf8 = false;
    }
  };
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    reader.cancel().catch(() => {});
  }, limits.seconds * 1000);
  try {
    while (size <= limits.maxBytes * DRAIN_FACTOR) {
      const { done, value } = await reader.read();
      if (done) break;
      size += value.byteLength;
      if (size <= most) decode(value);
      else parts.length = 0;
    }
  } catch (error) {
    if (error instanceof NotGzip) {
      throw new ApiError(400, "invalid_body", "The request body is not gzip, or is cut off.");
    }
    throw new ApiError(400, "incomplete_body", "The request body broke off before its end.");
  } finally {
    clearTimeout(timer);
    reader.cancel().catch(() => {});
  }
  if (late) {
    throw new ApiError(
      408,
      "request_timeout",
      `The request body did not arrive within ${limits.seconds} seconds.`,
    );
  }
  if (size > limits.maxBytes) {
    throw new ApiError(
      413,
      "request_too_large",
      `The request body is longer than ${limits.maxBytes} bytes. Shorten the messages.`,
    );
  }
  if (size > most && useless) throw useless();
  decode();
  if (!isUtf8) throw new ApiError(400, "invalid_json", "The request body is not valid UTF-8.");
  return parts.join("");
}
