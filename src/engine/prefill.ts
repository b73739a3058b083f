/** A conversation that ends with the beginning of the answer. */

import type { GenerateRequest } from "./request.ts";

/**
 * The request in which a last message of the assistant is the beginning of its answer: the answer goes
 * on behind it, in the same turn. One without text changes nothing but its turn, which is left out.
 */
export function continued(request: GenerateRequest): GenerateRequest {
  const { messages, prefill } = request;
  const last = Array.isArray(messages) && messages.length > 1 ? messages.at(-1) : undefined;
  if (prefill !== undefined || last?.role !== "assistant") return request;
  return { ...request, messages: messages!.slice(0, -1), prefill: last.content };
}
