import { assert, assertEquals, assertThrows } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";
import { evaluateAccuracy, parseAccuracyFile } from "../../src/evaluate/accuracy.ts";

const file = new URL("../../models/eval-public.json", import.meta.url);
const items = parseAccuracyFile(Deno.readTextFileSync(file), "eval-public.json");
const recorded = items.filter((item) => item.reference).slice(0, 3);

Deno.test("recorded answers are reproduced, and a changed record is noticed", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const results = await Array.fromAsync(evaluateAccuracy(engine, recorded));
  for (const result of results) {
    assertEquals(result.differences, []);
    assertEquals(result.references, 2);
  }
  const [{ reference, ...item }] = recorded;
  const wrong = reference!.map((entry) => ({
    ...entry,
    output_ids: entry.output_ids.with(5, (entry.output_ids[5] + 1) % 2048),
  }));
  const promptIds = item.prompt_ids!.with(0, 7);
  const [result] = await Array.fromAsync(
    evaluateAccuracy(engine, [{ ...item, prompt_ids: promptIds, reference: wrong }], { steps: 16 }),
  );
  assertEquals(result.differences.length, 3);
  assertEquals(result.correct, true);
  assertEquals(result.forwards, 16);
});

Deno.test("answers of a length that the model decides are no less exact, and cheaper", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const some = items.slice(0, 10).map(({ reference: _, ...item }) => item);
  const run = (length: "auto" | "fixed") =>
    Array.fromAsync(evaluateAccuracy(engine, some, { length, strategy: "plain" }));
  const [auto, fixed] = [await run("auto"), await run("fixed")];
  const right = (results: typeof auto) => results.filter(({ correct }) => correct).length;
  const spent = (results: typeof auto) => results.reduce((sum, { forwards }) => sum + forwards, 0);
  assert(right(auto) >= right(fixed), `${right(auto)} right, ${right(fixed)} of a fixed length`);
  assert(spent(auto) < spent(fixed) / 2);
});

const good = { id: "a", prompt: "p", expected: "e", check: { type: "exact", answer: "e" } };
const BAD: [string, string, string][] = [
  ["no JSON", "{", "not JSON"],
  ["no items", "{}", "items is missing or empty"],
  ["no id", JSON.stringify({ items: [{ ...good, id: 1 }] }), "items[0].id is 1, expected a string"],
  ["no check", JSON.stringify({ items: [good, { ...good, check: {} }] }), "items[1].check is {}"],
  [
    "bad reference",
    JSON.stringify({ items: [{ ...good, reference: [{ output_ids: [-1] }] }] }),
    "items[0].reference",
  ],
];
for (const [name, text, message] of BAD) {
  Deno.test(`a file with ${name} is refused by name`, () => {
    assertThrows(() => parseAccuracyFile(text, "data.json"), Error, message);
  });
}
