import { assertEquals, assertThrows } from "@std/assert";
import { checkDeadline, Deadline, tokensAtDeadline } from "../../src/engine/deadline.ts";
import { RequestError } from "../../src/engine/request.ts";

Deno.test("a deadline comes while two more passes fit, and stays; without one it never comes", () => {
  const far = new Deadline(60_000);
  far.start(1000);
  assertEquals([far.comes(), far.came], [false, false]);
  // A step of 31 s leaves no time for another one and the pass behind it.
  far.start(31_000);
  assertEquals([far.comes(), far.came], [true, true]);
  far.start(0);
  assertEquals(far.comes(), true);
  const unknown = new Deadline(60_000);
  unknown.start(Infinity);
  assertEquals(unknown.comes(), false);
  unknown.step();
  assertEquals(unknown.comes(), false);
  const none = new Deadline();
  none.start(1e9);
  assertEquals(none.comes(), false);
});

Deno.test("a deadline is a time above 0", () => {
  assertEquals([checkDeadline(undefined), checkDeadline(0.5)], [undefined, 0.5]);
  for (const wrong of [0, -1, NaN, Infinity]) {
    assertThrows(() => checkDeadline(wrong), RequestError, "deadlineMs");
  }
});

Deno.test("tokens at a deadline come in order, marked, and none behind the answer", () => {
  const token = (position: number) => ({
    position,
    token: position,
    text: String(position),
    confidence: 0.5,
    logProbability: Math.log(0.5),
  });
  const tokens = tokensAtDeadline([2, 0, 1, 3].map(token), 2, 3);
  assertEquals(tokens.map(({ position, provisional }) => [position, provisional]), [
    [0, false],
    [1, true],
    [2, false],
  ]);
});
