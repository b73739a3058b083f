/** Reading a streamed chat completion in tests. */
import type { ChatCompletionChunk } from "../../src/server/openai.ts";

/** One server-sent event. */
export interface SentEvent {
  readonly event?: string;
  readonly data: string;
}

/** The events of a whole `text/event-stream` body; comments are left out. */
export function parseEvents(body: string): SentEvent[] {
  const events: SentEvent[] = [];
  for (const block of body.split("\n\n").filter((one) => one !== "")) {
    const lines = block.split("\n").filter((line) => !line.startsWith(":"));
    if (lines.length === 0) continue;
    const value = (name: string) =>
      lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
    const event = value("event");
    events.push({ data: value("data") ?? "", ...(event === undefined ? {} : { event }) });
  }
  return events;
}

/** The chunks of a stream that ended well: everything before `[DONE]`, which must be there. */
export function parseChunks(body: string): ChatCompletionChunk[] {
  const events = parseEvents(body);
  const last = events.pop();
  if (last?.data !== "[DONE]") throw new Error(`expected [DONE] last, found ${last?.data}`);
  return events.map(({ data }) => JSON.parse(data));
}

/** The text of a stream's deltas. */
export function deltaText(chunks: readonly ChatCompletionChunk[]): string {
  return chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
}
