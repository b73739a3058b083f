import { assertEquals } from "@std/assert";
import { addedRows } from "../../../src/cli/terminal/live_canvas.ts";

Deno.test("a frame takes more rows on a terminal that became narrower, whatever its colours", () => {
  const frame = `${"x".repeat(40)}\n\x1b[90m${"░".repeat(20)}\x1b[39m\n`;
  assertEquals([80, 40, 39, 20, 19, 10].map((columns) => addedRows(frame, columns)), [
    ...[0, 0, 1, 1, 3, 4],
  ]);
});
