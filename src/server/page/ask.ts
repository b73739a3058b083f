/** Asking for an answer whose every step can be seen. */
import type { Api, ApiRequest } from "./api.ts";
import { EMPTY_TRACE, type Trace, withChunk } from "./trace.ts";

/** Fields that make a stream tell all that a trace holds. */
const TOLD = {
  stream: true,
  stream_events: true,
  logprobs: true,
  top_logprobs: 5,
  include_diffusion: true,
} as const;

/** A chat request, with the fields that the page needs to show it. */
export function tracedRequest(body: Readonly<Record<string, unknown>>): ApiRequest {
  return { path: "/v1/chat/completions", body: { ...body, ...TOLD } };
}

/**
 * Asks, and tells of the record whenever it has grown. Where the signal aborts, the record ends as it
 * is then, with `finish` "stopped".
 * @returns the whole record
 * @throws {ApiError}
 */
export async function ask(
  api: Api,
  request: ApiRequest,
  onTrace: (trace: Trace) => void,
  signal: AbortSignal,
): Promise<Trace> {
  let trace = EMPTY_TRACE;
  try {
    for await (const chunk of api.stream(request, signal)) {
      trace = withChunk(trace, chunk);
      onTrace(trace);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
    trace = { ...trace, finish: "stopped" };
    onTrace(trace);
  }
  return trace;
}
