import { assertEquals, assertRejects } from "@std/assert";
import { liveResponse, settles } from "../../src/server/live_response.ts";

function live(
  parts: AsyncIterable<string>,
  seconds: number,
  onCancel: (reason: unknown) => void = () => {},
): Response {
  return liveResponse(parts, { contentType: "text/plain", filler: " ", seconds, onCancel });
}

Deno.test("silence is filled, and only silence", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  async function* slow(): AsyncGenerator<string> {
    yield "1";
    await promise;
    yield "2";
  }
  const reader = live(slow(), 0.01).body!.pipeThrough(new TextDecoderStream())
    .getReader();
  assertEquals((await reader.read()).value, "1");
  assertEquals((await reader.read()).value, " ");
  assertEquals((await reader.read()).value, " ");
  resolve();
  let last = "";
  for (let next = await reader.read(); !next.done; next = await reader.read()) last = next.value;
  assertEquals(last, "2");
});

Deno.test("messages are taken though nobody reads", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  async function* counted(): AsyncGenerator<string> {
    for (let i = 0; i < 1000; i++) yield String(i);
    resolve();
  }
  const response = live(counted(), 10);
  await promise;
  const expected = Array.from({ length: 1000 }, (_, i) => i).join("");
  assertEquals(await response.text(), expected);
});

Deno.test("a client that leaves is told once, and nothing is written after", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const reasons: unknown[] = [];
  const drained = Promise.withResolvers<void>();
  async function* long(): AsyncGenerator<string> {
    yield "1";
    await promise;
    yield "2";
    drained.resolve();
  }
  const reader = live(long(), 0.01, (reason) => reasons.push(reason)).body!.getReader();
  await reader.read();
  await reader.cancel("gone");
  assertEquals(reasons, ["gone"]);
  resolve();
  await drained.promise;
  assertEquals(reasons, ["gone"]);
});

Deno.test("an error in the messages breaks the body off", async () => {
  async function* broken(): AsyncGenerator<string> {
    yield "1";
    throw new Error("broken");
  }
  const response = live(broken(), 10);
  await assertRejects(() => response.text(), Error, "broken");
});

Deno.test("settles tells in time from late, and passes an error on", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  assertEquals(await settles(promise, 0.01), false);
  resolve(1);
  assertEquals(await settles(promise, 10), true);
  await assertRejects(() => settles(Promise.reject(new Error("no")), 10), Error, "no");
});
