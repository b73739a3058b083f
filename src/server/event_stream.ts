/** Server-sent events over HTTP. */
import { liveResponse } from "./live_response.ts";

/** One message: JSON text (or `[DONE]`) without line breaks, and optionally an event name. */
export interface StreamMessage {
  readonly data: string;
  readonly event?: string;
}

/**
 * A `text/event-stream` response that sends each message as it comes, and a comment (`: ping`) after
 * every `pingSeconds` of silence.
 * @param messages the messages; an error of theirs breaks off the connection
 * @param onCancel called when the client goes away before the last message
 */
export function eventStream(
  messages: AsyncIterable<StreamMessage>,
  pingSeconds: number,
  onCancel: (reason: unknown) => void,
): Response {
  return liveResponse(encode(messages), {
    contentType: "text/event-stream; charset=utf-8",
    filler: ": ping\n\n",
    seconds: pingSeconds,
    onCancel,
  });
}

async function* encode(messages: AsyncIterable<StreamMessage>): AsyncGenerator<string, void, void> {
  for await (const { data, event } of messages) {
    yield `${event === undefined ? "" : `event: ${event}\n`}data: ${data}\n\n`;
  }
}
