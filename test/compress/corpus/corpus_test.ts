import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { createHash } from "node:crypto";
import { corpusSample, explain, FAMILIES, isHeldOut } from "../../../src/compress/corpus/corpus.ts";
import { familiesFor } from "../../../src/compress/corpus/families.ts";
import { alternatives, slotsOf } from "../../../src/compress/corpus/task.ts";
import { EVAL_PUBLIC } from "../../../src/engine/embedded_models.ts";

interface Item {
  readonly family: string;
  readonly prompt: string;
  readonly check: { readonly answer?: string; readonly answers?: readonly string[] };
}

const ALL = familiesFor({ dense: true, repeat: 0.1 });

Deno.test("every published prompt is one of the corpus, is held out, and has the answer expected", () => {
  const { items } = JSON.parse(Deno.readTextFileSync(EVAL_PUBLIC)) as { items: readonly Item[] };
  assertEquals(items.length, 100);
  const found = new Set<string>();
  for (const { family, prompt, check } of items) {
    const expected = check.answers ?? [check.answer];
    const readings = explain(FAMILIES, prompt);
    assert(readings.length > 0, `no wording makes: ${prompt}`);
    for (const reading of readings) {
      assertEquals(reading, { family, answers: reading.answers }, prompt);
      assertEquals(reading.answers.toSorted(), expected.toSorted(), prompt);
    }
    const { heldOutOneIn } = FAMILIES.find(({ name }) => name === family)!;
    assert(isHeldOut(prompt, heldOutOneIn), `not held out: ${prompt}`);
    found.add(family);
  }
  assertEquals(found.size, FAMILIES.length);
});

Deno.test("a sample is a function of seed, split and number; its prompt reads back to its answers", () => {
  const split = fc.constantFrom("train" as const, "heldout" as const);
  fc.assert(
    fc.property(fc.nat(), split, fc.nat(1e6), (seed, split, index) => {
      const sample = corpusSample(ALL, { seed, split, index });
      assertEquals(corpusSample(ALL, { seed, split, index }), sample);
      assert(sample.answers.includes(sample.answer));
      assert(!/[{}]|undefined|NaN/.test(sample.prompt), sample.prompt);
      const readings = explain(ALL, sample.prompt);
      assert(readings.some(({ family }) => family === sample.family), sample.prompt);
      // A text to copy may be any; nothing else can be read in two ways.
      for (const { answers } of readings) assertEquals(answers, sample.answers, sample.prompt);
      const { heldOutOneIn } = ALL.find(({ name }) => name === sample.family)!;
      const digits = createHash("sha256").update(sample.prompt).digest("hex").slice(0, 8);
      assertEquals(parseInt(digits, 16) % heldOutOneIn === 0, split === "heldout");
    }),
    { numRuns: 300 },
  );
});

Deno.test("families are as frequent as their weights say", () => {
  const count = 20_000;
  const counts: Record<string, number> = {};
  for (let index = 0; index < count; index++) {
    const { family } = corpusSample(FAMILIES, { seed: 5, split: "train", index });
    counts[family] = (counts[family] ?? 0) + 1;
  }
  const sum = FAMILIES.reduce((sum, { weight }) => sum + weight, 0);
  for (const { name, weight } of FAMILIES) {
    const share = weight / sum;
    const error = Math.abs(counts[name] / count - share) / Math.sqrt(share * (1 - share) / count);
    assert(error < 4.5, `${name}: ${counts[name]} of ${count}, expected a share of ${share}`);
  }
});

Deno.test("answers of the corpus, worked out another way", () => {
  for (let index = 0; index < 4000; index++) {
    const { family, prompt, answer } = corpusSample(ALL, { seed: 9, split: "train", index });
    // Every equation in a text about numbers holds.
    for (const [, left, right] of answer.matchAll(/(?<=^|[.:] |So )([\d +*/-]+) = (\d+)\./g)) {
      if (!/^\d+( [+*/-] \d+)+$/.test(left)) continue;
      const value = left.split(" + ").reduce((sum, part) => sum + product(part), 0);
      assertEquals(value, Number(right), `${prompt} => ${answer}`);
    }
    const numbers = prompt.match(/\d+/g)?.map(Number) ?? [];
    const asked = Number(/The answer is (\d+)\.$/.exec(answer)?.[1]);
    if (family === "math/add") assertEquals(asked, numbers[0] + numbers[1]);
    if (family === "math/sub") assertEquals(asked, Math.abs(numbers[0] - numbers[1]));
  }
});

/** A product, quotient or difference of numbers. */
function product(text: string): number {
  const [first, ...rest] = text.split(/ (?=[*/-])/);
  return rest.reduce((value, step) => {
    const [sign, number] = step.split(" ");
    return sign === "*"
      ? value * Number(number)
      : sign === "/"
      ? value / Number(number)
      : value - Number(number);
  }, Number(first));
}

Deno.test("prompts that no wording makes, or with slots that are never drawn, are not explained", () => {
  const unknown = [
    "What is 41 plus 97?",
    "Write a Python function dance that adds a and b.",
    "Write a Python function solve that adds a and a.",
    "Which is larger, 58 or 58?",
    "Mia has 5 coins. He sells 3. How many coins does he have?",
    "What is 100 * 9?",
  ];
  for (const prompt of unknown) assertEquals(explain(FAMILIES, prompt), [], prompt);
});

Deno.test("patterns and slots", () => {
  assertEquals(alternatives("a [b|c][| d]", "x[[0]]"), ["a b", "a b d", "a c", "a c d", "x[0]"]);
  assertEquals(slotsOf("3 + 3 = 6?", "{a} + {a} = {b}?"), { a: "3", b: "6" });
  assertEquals(slotsOf("3 + 4 = 6?", "{a} + {a} = {b}?"), undefined);
});

Deno.test("the share of copies, and how often a family is drawn", () => {
  assertEquals(familiesFor({ repeat: 1 }).map(({ name }) => name), ["text/repeat"]);
  const weights = Object.fromEntries(
    familiesFor({ repeat: 0.4, times: { "math/mul": 5, "text/story": 0 } })
      .map(({ name, weight }) => [name, weight]),
  );
  assertEquals(weights["text/repeat"], 0.4);
  assertEquals(weights["text/story"], undefined);
  assert(Math.abs(weights["math/mul"] / weights["math/add"] - 5 * 0.03 / 0.09) < 1e-9);
  assertThrows(() => familiesFor({ times: { "math/div": 2 } }), Error, "no family math/div");
});
