/** Whatever is committed, in whatever order, ends in a valid text. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import fc from "fast-check";
import { Automaton } from "../../src/constraint/automaton.ts";
import { schemaLanguage } from "../../src/constraint/json_schema.ts";
import { literal } from "../../src/constraint/language.ts";
import { patternLanguage } from "../../src/constraint/pattern.ts";
import { TokenAutomaton } from "../../src/constraint/token_automaton.ts";
import { Vocabulary } from "../../src/constraint/vocabulary.ts";
import { Window } from "../../src/constraint/window.ts";
import { END, randomText, seeded, syntheticVocabulary } from "./random_text.ts";
import { isValid, patterns, schemas } from "./schema_cases.ts";

const vocabulary = syntheticVocabulary();

Deno.test("random commits under random schemas give values that ajv finds valid", () => {
  let filled = 0;
  fc.assert(
    fc.property(schemas, fc.integer(), fc.nat(60), (schema, seed, more) => {
      const language = schemaLanguage(schema)!;
      const length = new Automaton(language).distance(0) + more;
      const written = randomText(language, vocabulary, length, seeded(seed));
      filled += Number(written.length > 20);
      assert(isValid(schema, JSON.parse(written)), `${JSON.stringify(schema)}: ${written}`);
    }),
    { numRuns: 40 },
  );
  assert(filled > 10, `${filled} of 40 texts say something`);
});

Deno.test("random commits under random regexes give texts that JavaScript matches", () => {
  fc.assert(
    fc.property(patterns, fc.integer(), fc.nat(20), (pattern, seed, more) => {
      const language = patternLanguage(pattern, { spelling: "raw", whole: true })!;
      const length = new Automaton(language).distance(0) + more;
      if (length === 0) return;
      const written = randomText(language, vocabulary, length, seeded(seed));
      assert(new RegExp(`^(?:${pattern})$`, "u").test(written), `${pattern}: ${written}`);
    }),
    { numRuns: 150 },
  );
});

Deno.test("two commits that are each allowed may clash: the second is refused", () => {
  const tokens = ["", "a", "b"].map((text) => new TextEncoder().encode(text));
  const ab = new Vocabulary({ tokenBytes: (id) => tokens[id] ?? new Uint8Array() }, 3);
  const language = patternLanguage("aa|bb", { spelling: "raw", whole: true })!;
  const automaton = new TokenAutomaton(new Automaton(language), ab, [END]);
  const window = new Window(automaton, automaton.start, 2, 0);
  assertEquals([window.allowed(0), window.allowed(1)], [[1, 2], [1, 2]]);
  window.commit(0, 1);
  assertEquals(window.allowed(1), [1]);
  assertThrows(() => window.commit(1, 2), RangeError, "not allowed");
});

Deno.test("a mask is exactly one token: what cannot be written in so many is refused", () => {
  const tokens = ["", "ab", "c"].map((text) => new TextEncoder().encode(text));
  const pairs = new Vocabulary({ tokenBytes: (id) => tokens[id] ?? new Uint8Array() }, 3);
  const automaton = new TokenAutomaton(new Automaton(literal("ababc")), pairs, [END]);
  // No token of one byte for each: lengths are counted in tokens.
  assertEquals(automaton.distance(automaton.start), 3);
  assertThrows(() => new Window(automaton, automaton.start, 1, 1), RangeError, "too few");
  const exact = new Window(automaton, automaton.start, 3, 0);
  assertEquals([0, 1, 2].map((i) => exact.allowed(i)), [[1], [1], [2]]);
  const longer = new Window(automaton, automaton.start, 4, 0);
  assertEquals(longer.allowed(3), [END]);
});
