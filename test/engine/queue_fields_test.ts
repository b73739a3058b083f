import { assertEquals } from "@std/assert";
import { turnOf } from "../../src/engine/queue_fields.ts";

Deno.test("how an answer waits: its deadline from when it came, and what is told of its request", () => {
  const nothing = { priority: undefined, request: undefined, hasOthers: undefined };
  const never = { due: undefined, givesWayUntil: undefined };
  assertEquals(turnOf({}, 50), { ...nothing, ...never, hasBegun: false });
  const first = { request: "a", index: 0, hasOthers: true };
  assertEquals(turnOf({ priority: 2, answerOf: first }, 50, 1000), {
    priority: 2,
    request: "a",
    hasBegun: false,
    hasOthers: true,
    due: 1050,
    givesWayUntil: undefined,
  });
  const second = { request: "a", index: 1 };
  assertEquals(turnOf({ answerOf: second }, 50), {
    ...nothing,
    ...never,
    request: "a",
    hasBegun: true,
  });
});
