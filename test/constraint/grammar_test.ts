/** Grammars in GBNF: what is written is in the grammar, as an Earley parser of it judges. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { Automaton } from "../../src/constraint/automaton.ts";
import { GrammarError } from "../../src/constraint/grammar.ts";
import { grammarLanguage } from "../../src/constraint/grammar_language.ts";
import { SizeError } from "../../src/constraint/allowance.ts";
import { earley } from "./earley.ts";
import { ARITHMETIC, CHESS, JSON_VALUE, LISP, LIST } from "./grammar_cases.ts";
import { randomText, seeded, syntheticVocabulary } from "./random_text.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const automatonOf = (grammar: string) => new Automaton(grammarLanguage(grammar)!);

Deno.test("random texts of grammars are theirs, and JSON's parse", () => {
  const vocabulary = syntheticVocabulary();
  for (
    const [name, grammar] of Object.entries({ ARITHMETIC, CHESS, JSON_VALUE, LISP, LIST })
  ) {
    const recognises = earley(grammar);
    const random = seeded(5);
    const language = grammarLanguage(grammar)!;
    const made = new Set<string>();
    for (let i = 0; i < 6; i++) {
      const text = randomText(language, vocabulary, 30, random);
      assert(recognises(text), `${name}: ${JSON.stringify(text)}`);
      if (name === "JSON_VALUE") JSON.parse(text);
      made.add(text);
    }
    assert(made.size > 2, name);
  }
});

Deno.test("the recogniser and the automaton agree on texts that are and are not in a grammar", () => {
  for (
    const [grammar, inside, outside] of [
      [ARITHMETIC, ["1+2=3\n", "(a + 2) * b=4\n"], ["1+=3\n", "1+2", "(1=2\n", ")1(=2\n"]],
      [LIST, ["- a\n", "- a\n- b c\n"], ["", "- \n", "-a\n", "- a"]],
      [CHESS, ["1. e4 e5\n2. Nf3 Nc6\n", "1. exd5 O-O+\n2. e8=Q Rxa1#\n"], ["1. e4 e5\n", "e4"]],
      [JSON_VALUE, ['{"a": [1, true, {"b": null}]}', "[]"], ["{", '{"a"}', "[1,]", "01"]],
      ['root ::= "a"{2,3} [^b-y\\n]{2} . "\\x41\\u00e9\\U0001F600"?', ["aa-z!", "aaaz\nAé😀"], [
        "aabz!",
        "aaaaaz!Aé😀",
      ]],
      ['root ::= x\nx ::=\n  "a" |\n  "b" x # again\n  | "c"', ["a", "bbbbbbbba", "bc"], ["b", ""]],
      ['ws ::= ([ \\t] ws)?\nroot ::= "a" ws "b"', ["ab", "a \t \t  \tb"], ["a", "a\nb"]],
    ] as const
  ) {
    const [recognises, automaton] = [earley(grammar), automatonOf(grammar)];
    for (const text of inside) {
      assert(recognises(text), `recogniser, ${grammar}: ${JSON.stringify(text)}`);
      assert(automaton.matches(bytes(text)), `${grammar}: ${JSON.stringify(text)}`);
    }
    for (const text of outside) {
      assert(!recognises(text), `recogniser, ${grammar}: ${JSON.stringify(text)}`);
      assert(!automaton.matches(bytes(text)), `${grammar}: ${JSON.stringify(text)}`);
    }
  }
});

Deno.test("recursion that is no repetition ends after three rounds, or fewer where it is large", () => {
  const nested = automatonOf('root ::= "x" | "(" root ")"');
  assert(nested.matches(bytes("((x))")));
  assert(!nested.matches(bytes("(((x)))")));
  const wide = automatonOf(`root ::= item\nitem ::= [a-z]{900} | ${"item2 ".repeat(8)}
item2 ::= "(" item ")" | "-"`);
  assert(wide.matches(bytes("-".repeat(8))));
});

Deno.test("what is no grammar is refused with its line and what was expected", () => {
  for (
    const [grammar, message] of [
      ["", /line 1: expected a rule of the name root, found none/],
      ['root: "a"', /line 1: expected ::= behind the name root, found : "a"/],
      ['root ::= "a', /line 1: expected ", found the end of the grammar/],
      ['root ::= "a"\n\nb ::= [a', /line 3: expected \], found the end of the grammar/],
      ['root ::= ("a"\n"b"', /line 2: expected a part of a rule, \| or \), found the end/],
      ["root ::= a\n# b\nc ::= d", /line 1: expected the name of a rule, found a/],
      ['root ::= "a"{3,2}', /line 1: expected \{m,n\} with m no larger than n, found \{3,2\}/],
      ['root ::= "\\q"', /line 1: expected an escape/],
      ['root ::= "a" )', /line 1: expected a part of a rule, \| or the end of the line, found \)/],
      ['root ::= "a"\nroot ::= "b"', /line 2: expected another name than root, a rule of line 1/],
      ["root ::= <think>", /line 1: expected no token/],
      ['root ::= e\ne ::= e "+" "1" | "1"', /line 2: .* e may begin with itself/],
      ['root ::= a "x"\na ::= " "? b\nb ::= root | "y"', /root may begin with itself/],
      ['root ::= "a" root', /root has no text that ends/],
    ] as const
  ) {
    const error = assertThrows(() => grammarLanguage(grammar), GrammarError);
    assertMatch(error.message, message);
  }
  assertThrows(() => grammarLanguage('root ::= "abc"{90000}'), SizeError, "rule root takes");
  const chain = Array.from({ length: 500 }, (_, i) => `r${i} ::= r${i + 1}`).join("\n");
  assertThrows(() => grammarLanguage(`root ::= r0\n${chain}\nr500 ::= "a"`), SizeError, "others");
  const nested = Array.from(
    { length: 100 },
    (_, i) => `r${i} ::= ${'("a" '.repeat(20)}r${i + 1}${")".repeat(20)}`,
  ).join("\n");
  const deep = `root ::= r0\n${nested}\nr100 ::= "a"`;
  assertThrows(() => grammarLanguage(deep), SizeError, "parts within parts");
  assertEquals(automatonOf('root ::= ""').accepts(0), true);
});
