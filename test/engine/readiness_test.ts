import { assertEquals, assertRejects } from "@std/assert";
import { Readiness } from "../../src/engine/readiness.ts";

/** A signal, and how many listen to it. */
function listened() {
  const controller = new AbortController();
  const { signal } = controller;
  const count = { listeners: 0 };
  for (const [name, by] of [["addEventListener", 1], ["removeEventListener", -1]] as const) {
    const before = signal[name];
    signal[name] = (...given: Parameters<typeof before>) => {
      count.listeners += by;
      return before.apply(signal, given);
    };
  }
  return { controller, signal, count };
}

Deno.test("who waits until an engine is ready leaves nothing at a signal", async () => {
  const readiness = new Readiness();
  const { controller, signal, count } = listened();
  const waiting = readiness.wait(signal);
  assertEquals(count.listeners, 1);
  readiness.succeed();
  await waiting;
  await readiness.wait(signal);
  assertEquals(count.listeners, 0);
  readiness.again("lost");
  const other = assertRejects(() => readiness.wait(signal), Error, "enough");
  controller.abort(new Error("enough"));
  await other;
  await assertRejects(() => readiness.wait(signal), Error, "enough");
  assertEquals(count.listeners, 0);
  readiness.fail("no device");
  await assertRejects(() => readiness.wait(), Error, "no device");
});
