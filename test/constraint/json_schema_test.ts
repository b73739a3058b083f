/** What each keyword allows, and what is refused by name. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Ajv } from "npm:ajv@8.17.1";
import { Automaton } from "../../src/constraint/automaton.ts";
import { constraintLanguage } from "../../src/constraint/constraint.ts";
import { FORMATS } from "../../src/constraint/formats.ts";
import { schemaLanguage } from "../../src/constraint/json_schema.ts";
import { PatternError, patternLanguage } from "../../src/constraint/pattern.ts";
import { SchemaError } from "../../src/constraint/schema_error.ts";
import { randomText, seeded, syntheticVocabulary } from "./random_text.ts";
import { isValid } from "./schema_cases.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** Schemas, texts that they allow and texts that they do not. */
const CASES: readonly (readonly [unknown, readonly string[], readonly string[]])[] = [
  [{ type: "integer", minimum: -12, maximum: 105 }, ["-12", "0", "9", "99", "105"], [
    "-13",
    "106",
    "007",
    "1.5",
    "",
  ]],
  [{ type: "number", exclusiveMinimum: 0.25, maximum: 2 }, ["0.26", "1", "1.5", "2", "2.0"], [
    "0.25",
    "0.250",
    "2.1",
    "-1",
    "01",
    "1.",
  ]],
  [{ type: "number", minimum: -1.5, exclusiveMaximum: 0 }, ["-1.5", "-0.1", "-1"], [
    "0",
    "-1.6",
    "-0",
  ]],
  [{ minimum: 3, type: ["integer", "null"] }, ["3", "null"], ["2", '"3"']],
  [{ type: "string", minLength: 2, maxLength: 3 }, ['"ab"', '"\\"é"', '"😀😀😀"'], [
    '"a"',
    '"abcd"',
  ]],
  [{ type: "string", pattern: "^a+$", minLength: 2 }, ['"aa"'], ['"a"', '"ab"']],
  [{ type: "string", pattern: "b" }, ['"abc"', '"b"'], ['"ac"']],
  [{ type: "string", format: "date" }, ['"2024-02-28"', '"2024-12-31"'], ['"2024-13-01"']],
  [{
    type: "array",
    items: { enum: ["a", { b: 1, c: 2 }, "a", { c: 2, b: 1 }] },
    uniqueItems: true,
  }, [
    '["a", {"b": 1, "c": 2}]',
    "[]",
  ], ['["a", "a"]', '[{"b": 1, "c": 2}, {"c": 2, "b": 1}]']],
  [{ enum: ["a", 1, null, { b: [1, 2] }] }, ['"a"', "1", "null", '{"b": [1, 2]}'], ["2", "true"]],
  [{ enum: ["a", 1], type: "string" }, ['"a"'], ["1"]],
  [{ type: "array", items: { type: "boolean" }, minItems: 1, maxItems: 2 }, [
    "[true]",
    "[true, false]",
  ], ["[]", "[true, true, true]", "[true,false]"]],
  [{ prefixItems: [{ const: 1 }, { const: 2 }], items: false }, ["[1, 2]"], ["[1]", "[2, 1]"]],
  [
    {
      type: "object",
      properties: { a: { type: "integer" }, b: { type: "null" }, c: { type: "null" } },
      required: ["b"],
    },
    ['{"b": null}', '{"a": 1, "b": null}', '{"a": 1, "b": null, "c": null}'],
    ['{"a": 1}', '{"b": null, "a": 1}', '{"b": null,}', "{}"],
  ],
  [{ type: "object", additionalProperties: { type: "integer" } }, ["{}", '{"x": 1, "y": 2}'], [
    '{"x": "1"}',
  ]],
  [{ $ref: "#/$defs/a", $defs: { a: { const: 1 } } }, ["1"], ["2"]],
  [{ allOf: [{ type: "integer", minimum: 1 }, { maximum: 3 }] }, ["1", "3"], ["0", "4"]],
  [{ anyOf: [{ type: "null" }, { const: 5 }] }, ["null", "5"], ["6"]],
  [
    { oneOf: [{ type: "string" }, { type: "integer" }] },
    ['"a"', "1"],
    ["null"],
  ],
  [{ type: "integer", multipleOf: 5, minimum: 7, maximum: 20 }, ["10", "20"], ["5", "12", "25"]],
  [
    { type: "string", description: "no constraint", "x-own": 1, default: 3 },
    ['""'],
    ["3"],
  ],
];

Deno.test("keywords allow what is valid, and nothing else", () => {
  for (const [schema, valid, invalid] of CASES) {
    const automaton = new Automaton(schemaLanguage(schema)!);
    for (const text of valid) {
      assert(automaton.matches(bytes(text)), `${JSON.stringify(schema)}: ${text}`);
      assert(isValid(schema, JSON.parse(text)), `ajv, ${JSON.stringify(schema)}: ${text}`);
    }
    for (const text of invalid) {
      assert(!automaton.matches(bytes(text)), `${JSON.stringify(schema)}: ${text}`);
    }
  }
});

Deno.test("items may be a list, as in the drafts before prefixItems", () => {
  const schema = { items: [{ const: 1 }, { type: "string" }] };
  const automaton = new Automaton(schemaLanguage(schema)!);
  const judge = new Ajv({ strict: false }).compile(schema);
  assert(automaton.matches(bytes('[1, "a"]')) && judge([1, "a"]));
  for (const text of ["[]", "[1]", '["a", 1]', '[1, "a", 2]']) {
    assert(!automaton.matches(bytes(text)), text);
  }
  const both = { items: [true], prefixItems: [true] };
  const error = assertThrows(() => schemaLanguage(both), SchemaError);
  assertEquals(error.pointer, "/items");
});

Deno.test("every format gives texts that ajv finds valid", () => {
  const vocabulary = syntheticVocabulary();
  for (const format of Object.keys(FORMATS)) {
    const schema = { type: "string", format };
    const language = schemaLanguage(schema)!;
    const least = new Automaton(language).distance(0);
    for (let seed = 0; seed < 20; seed++) {
      const text = randomText(language, vocabulary, least + seed, seeded(seed));
      assert(isValid(schema, JSON.parse(text)), `${format}: ${text}`);
    }
  }
});

/** A schema whose parts lead into each other, one after another. */
function chain(part: (next: unknown) => unknown): unknown {
  const parts = Array.from(
    { length: 5000 },
    (_, i) => [`a${i}`, part({ $ref: `#/$defs/a${i + 1}` })],
  );
  return { $ref: "#/$defs/a0", $defs: { ...Object.fromEntries(parts), a5000: { type: "null" } } };
}

Deno.test("what cannot be served is refused with the keyword and its place", () => {
  const refused: readonly (readonly [unknown, string, string])[] = [
    [{ not: { const: 1 } }, "/not", "not supported"],
    [{ properties: { "a/b": { if: true } } }, "/properties/a~1b/if", "not supported"],
    [{ type: "array", items: { type: "string" }, contains: {} }, "/contains", "not supported"],
    [{ type: "array", uniqueItems: true }, "/uniqueItems", "of an enum"],
    [
      {
        type: "array",
        prefixItems: [{ type: "integer" }],
        items: { enum: [1] },
        uniqueItems: true,
      },
      "/uniqueItems",
      "of an enum",
    ],
    [{ type: "string", format: "iri" }, "/format", "date-time"],
    [{ type: "string", pattern: "(?=a)b" }, "/pattern", "look-around"],
    [{ type: "number", multipleOf: 1.5 }, "/multipleOf", "whole numbers"],
    [{ $ref: "https://example.com/schema" }, "/$ref", "within the schema"],
    [{ $ref: "#/$defs/none" }, "/$ref", "leads to nothing"],
    [{ oneOf: [{ type: "integer" }, { type: "number" }] }, "/oneOf", "may hold"],
    [{ type: "text" }, "/type", "no type"],
    [{ properties: { a: 1 } }, "/properties/a", "no schema"],
    [{ type: "integer", minimum: 2, maximum: 1 }, "", "no value"],
    [
      { type: "object", properties: {}, required: ["a"], additionalProperties: false },
      "",
      "no value",
    ],
    [
      {
        $ref: "#/$defs/a",
        $defs: { a: { properties: { b: { $ref: "#/$defs/a" } }, required: ["b"] } },
      },
      "",
      "no value",
    ],
    [{ properties: JSON.parse('{"__proto__": {}}') }, "/properties/__proto__", "drop"],
    [{ type: "string", minLength: -1 }, "/minLength", "whole number"],
    [{ type: "string", minLength: 100_000 }, "", "too large"],
  ];
  for (const [schema, pointer, reason] of refused) {
    const error = assertThrows(() => schemaLanguage(schema), SchemaError, reason);
    assertEquals(error.pointer, pointer, JSON.stringify(schema));
  }
  const deep = [
    (next: unknown) => next,
    (next: unknown) => ({ anyOf: [{ items: next, type: "array" }] }),
  ];
  for (const part of deep) {
    assertThrows(() => schemaLanguage(chain(part)), SchemaError, "in too many others");
  }
  const parameters = { properties: { a: { not: { const: 1 } } } };
  const call = { kind: "call", functions: [{ name: "f", parameters }], required: true } as const;
  const error = assertThrows(() => constraintLanguage(call), SchemaError);
  assertEquals(error.pointer, "/f/parameters/properties/a/not");
});

Deno.test("regular expressions: what is allowed, and what is refused by name", () => {
  const matches = (pattern: string, text: string) =>
    new Automaton(patternLanguage(pattern, { spelling: "raw", whole: true })!).matches(
      bytes(text),
    );
  for (
    const [pattern, text] of [
      ["^a|b$", "b"],
      ["(a|b)*c", "ababc"],
      ["[\\w-]+@x\\.y", "a-b@x.y"],
      ["[^a-c]", "é"],
      [".", "😀"],
      ["(?<year>\\d{4})", "1999"],
      ["\\u{1F600}\\x41", "😀A"],
      ["[\\]a-]{2,}", "]-a"],
      ["", ""],
    ]
  ) assert(matches(pattern, text), `${pattern}: ${text}`);
  for (const [pattern, text] of [["a", "ab"], [".", "\n"], ["[a-c]", "d"], ["a{2}", "a"]]) {
    assert(!matches(pattern, text), `${pattern}: ${text}`);
  }
  for (
    const [pattern, reason] of [
      ["(?!a)", "look-around"],
      ["(a)\\1", "\\1"],
      ["\\bword", "\\b"],
      ["\\p{L}", "\\p"],
      ["a**", "nothing to repeat"],
      ["(a", "without its )"],
      ["a)", "unmatched"],
      ["[a", "without its ]"],
      ["[b-a]", "out of order"],
      ["a{3,1}", "out of order"],
      ["a{100000}", "too many"],
      ["+", "without a backslash"],
    ]
  ) {
    assertThrows(
      () => patternLanguage(pattern, { spelling: "raw", whole: true }),
      PatternError,
      reason,
    );
  }
});
