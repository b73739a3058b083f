import { assertEquals, assertThrows } from "@std/assert";
import { TimeLimitError, withinTime } from "../../src/text/time_limit.ts";

const ENDLESS = "a".repeat(40);

Deno.test("work that ends gives its result, or its own error", () => {
  assertEquals(withinTime("it", 1000, () => ENDLESS.length), 40);
  assertThrows(
    () =>
      withinTime("it", 1000, () => {
        throw new RangeError("mine");
      }),
    RangeError,
    "mine",
  );
});

Deno.test("a loop and a pattern without end are stopped, again and again", () => {
  for (let i = 0; i < 3; i++) {
    const pattern = () => /(a+)+b/.test(ENDLESS);
    const error = assertThrows(() => withinTime("the pattern", 50, pattern), TimeLimitError);
    assertEquals(error.message, "the pattern takes longer than 0.05 s");
    assertThrows(
      () =>
        withinTime("the loop", 50, () => {
          for (;;);
        }),
      TimeLimitError,
    );
  }
  assertEquals(withinTime("it", 1000, () => 7), 7);
});

Deno.test("of limits within one another the shorter counts", () => {
  const pattern = () => /(a+)+b/.test(ENDLESS);
  const inner = assertThrows(
    () => withinTime("outer", 60_000, () => withinTime("inner", 50, pattern)),
    TimeLimitError,
  );
  assertEquals(inner.limit, 50);
  assertThrows(
    () => withinTime("outer", 50, () => withinTime("inner", 60_000, pattern)),
    TimeLimitError,
  );
});

Deno.test("work within work goes on behind the inner one", () => {
  const result = withinTime("outer", 1000, () => {
    const inner = withinTime("inner", 1000, () => 1);
    return inner + withinTime("inner", 1000, () => 2);
  });
  assertEquals(result, 3);
});

Deno.test("a thread that hardly gets to compute has more time by the clock", () => {
  // Asleep, as behind many others that compute.
  const place = new Int32Array(new SharedArrayBuffer(4));
  assertEquals(withinTime("it", 50, () => Atomics.wait(place, 0, 0, 120)), "timed-out");
});
