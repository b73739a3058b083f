import { assertEquals } from "@std/assert";
import { eventStream, type StreamMessage } from "../../src/server/event_stream.ts";

Deno.test("messages are written as server-sent events", async () => {
  async function* two(): AsyncGenerator<StreamMessage> {
    yield { event: "unmask", data: "{}" };
    yield { data: "[DONE]" };
  }
  const response = eventStream(two(), 10, () => {});
  assertEquals(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  assertEquals(await response.text(), "event: unmask\ndata: {}\n\ndata: [DONE]\n\n");
});

Deno.test("silence is filled with comments", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  async function* slow(): AsyncGenerator<StreamMessage> {
    await promise;
    yield { data: "1" };
  }
  const reader = eventStream(slow(), 0.01, () => {}).body!.pipeThrough(new TextDecoderStream())
    .getReader();
  assertEquals((await reader.read()).value, ": ping\n\n");
  resolve();
  let last = "";
  for (let next = await reader.read(); !next.done; next = await reader.read()) last = next.value;
  assertEquals(last, "data: 1\n\n");
});
