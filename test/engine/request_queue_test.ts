import { assertEquals, assertRejects } from "@std/assert";
import { BusyError } from "../../src/engine/request.ts";
import { RequestQueue } from "../../src/engine/request_queue.ts";

Deno.test("requests go one at a time, first come, first served", async () => {
  const queue = new RequestQueue(10);
  const order: string[] = [];
  const request = async (name: string) => {
    const leave = await queue.enter();
    order.push(`${name} in`);
    await new Promise((resolve) => setTimeout(resolve, 1));
    order.push(`${name} out`);
    leave();
  };
  await Promise.all(["a", "b", "c"].map(request));
  assertEquals(order, ["a in", "a out", "b in", "b out", "c in", "c out"]);
});

Deno.test("a full queue refuses and says when to come back; leaving makes room", async () => {
  const queue = new RequestQueue(1);
  const leave = await queue.enter();
  const waiting = queue.enter();
  const error = await assertRejects(() => queue.enter(), BusyError, "1 requests are waiting");
  assertEquals(error.retryAfter > 0, true);
  leave();
  (await waiting)();
  (await queue.enter())();
});

Deno.test("a request that is aborted while waiting loses its place and nothing else", async () => {
  const queue = new RequestQueue(4);
  const leave = await queue.enter();
  const abort = new AbortController();
  const gone = queue.enter(abort.signal);
  const next = queue.enter();
  abort.abort(new Error("changed my mind"));
  await assertRejects(() => gone, Error, "changed my mind");
  assertEquals(queue.length, 1);
  leave();
  (await next)();
});

Deno.test("an aborted signal does not enter", async () => {
  const queue = new RequestQueue(1);
  await assertRejects(() => queue.enter(AbortSignal.abort(new Error("late"))), Error, "late");
  (await queue.enter())();
});

Deno.test("leaving twice frees one place only", async () => {
  const queue = new RequestQueue(4);
  const leave = await queue.enter();
  const second = queue.enter();
  const third = queue.enter();
  leave();
  leave();
  const leaveSecond = await second;
  assertEquals(queue.length, 1);
  leaveSecond();
  (await third)();
});
