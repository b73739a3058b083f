import { assert, assertEquals } from "@std/assert";
import stringWidth from "string-width";
import { FittedTable, wrapText } from "../../src/bench/fitted_table.ts";

const linesOf = (table: FittedTable, columns: number) => table.toString(columns).split("\n");

Deno.test("a table is as wide as it is where there is room", () => {
  const table = new FittedTable({ head: ["name", "value"], rules: "head" });
  table.push(["a", 1], ["two words", "x"]);
  assertEquals(linesOf(table, Infinity), [
    "┌───────────┬───────┐",
    "│ name      │ value │",
    "├───────────┼───────┤",
    "│ a         │ 1     │",
    "│ two words │ x     │",
    "└───────────┴───────┘",
  ]);
  assertEquals(table.toString(21), table.toString(Infinity));
});

Deno.test("a table that is too wide wraps its widest cells, and loses no word", () => {
  const table = new FittedTable({ rules: "none" });
  const sentence = "a sentence that is longer than the terminal is wide, and then some";
  table.push(["adapter", sentence], [
    "path",
    "/an/extremely/long/path/without/any/space/in/it.json",
  ]);
  for (const columns of [60, 40, 30]) {
    const lines = linesOf(table, columns);
    assert(lines.every((line) => stringWidth(line) <= columns), lines.join("\n"));
    const words = lines.map((line) => line.split("│")[2]?.trim()).join(" ").trim();
    assert(words.startsWith(sentence), words);
    assert(
      words.replaceAll(" ", "").endsWith("/an/extremely/long/path/without/any/space/in/it.json"),
    );
  }
});

Deno.test("rows become lists where not even wrapping helps", () => {
  const head = Array.from({ length: 9 }, (_, i) => `figure ${i}`);
  const table = new FittedTable({ head });
  table.push(head.map((_, i) => 1234567 * (i + 1)), head.map(() => "a text of some words"));
  const lines = linesOf(table, 60);
  assert(lines.every((line) => stringWidth(line) <= 60), lines.join("\n"));
  assertEquals(lines.slice(0, 2), ["figure 0  1234567", "  figure 1  2469134"]);
  assertEquals(lines.length, 2 * head.length);
});

Deno.test("text wraps at spaces by the width that it is drawn with; a longer word is broken", () => {
  assertEquals(wrapText("one two three", 8), ["one two", "three"]);
  assertEquals(wrapText("one\ntwo three", 80), ["one", "two three"]);
  assertEquals(wrapText("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
  assertEquals(wrapText("漢字漢字", 4), ["漢字", "漢字"]);
  assertEquals(wrapText("漢字", 1), ["漢", "字"]);
  assertEquals(wrapText("", 5), [""]);
});
