/** Random JSON schemas and regular expressions, and the independent judge of answers to them. */
import { Ajv2020 } from "npm:ajv@8.17.1/dist/2020.js";
import addFormats from "npm:ajv-formats@3.0.1";
import fc from "fast-check";

/** Whether a value is valid, as ajv sees it. */
export function isValid(schema: unknown, value: unknown): boolean {
  const ajv = new Ajv2020({ strict: false });
  (addFormats as unknown as (ajv: Ajv2020) => void)(ajv);
  return ajv.compile(schema as object)(value);
}

type Schema = Record<string, unknown>;

const small = fc.integer({ min: -200, max: 200 });
const text = fc.string({ maxLength: 6, unit: "grapheme" });
const name = fc.constantFrom("a", "name", "is it", 'quo"te', "é", "value_2", "x/y~z");

const integer = fc.tuple(small, fc.nat(300), fc.nat(3)).map(([low, width, bounds]): Schema => ({
  type: "integer",
  ...(bounds & 1 ? { minimum: low } : {}),
  ...(bounds & 2 ? { exclusiveMaximum: low + width + 1 } : {}),
}));
const number = fc.tuple(small, fc.nat(3000), fc.nat(3)).map(([low, width, bounds]): Schema => ({
  type: "number",
  ...(bounds & 1 ? { exclusiveMinimum: low / 8 } : {}),
  ...(bounds & 2 ? { maximum: (low + width) / 8 + 0.5 } : {}),
}));
const string = fc.oneof(
  fc.constant<Schema>({ type: "string" }),
  fc.tuple(fc.nat(3), fc.nat(4)).map(([least, more]): Schema => ({
    type: "string",
    minLength: least,
    maxLength: least + more,
  })),
  fc.constantFrom<Schema>(
    { type: "string", pattern: "^[A-Z]{2}-\\d{1,3}$" },
    { type: "string", pattern: "[aeiou]", maxLength: 5 },
    { type: "string", format: "date" },
    { type: "string", format: "ipv4" },
  ),
);
const constant = fc.oneof(small, text, fc.boolean(), fc.constant(null));
const leaf = fc.oneof(
  integer,
  number,
  string,
  fc.constantFrom<Schema>({ type: "boolean" }, { type: "null" }, { type: ["integer", "null"] }),
  fc.uniqueArray(constant, { minLength: 1, maxLength: 4 }).map((values): Schema => ({
    enum: values,
  })),
  constant.map((value): Schema => ({ const: value })),
  fc.constant<Schema>({ $ref: "#/$defs/pair" }),
  integer.map((inner): Schema => ({ type: "integer", multipleOf: 7, minimum: inner.minimum ?? 0 })),
);

function object(value: fc.Arbitrary<Schema>): fc.Arbitrary<Schema> {
  return fc.uniqueArray(fc.tuple(name, value, fc.boolean()), {
    minLength: 1,
    maxLength: 3,
    selector: ([own]) => own,
  }).map((members): Schema => ({
    type: "object",
    properties: Object.fromEntries(members.map(([own, schema]) => [own, schema])),
    required: members.filter(([, , required]) => required).map(([own]) => own),
    additionalProperties: false,
  }));
}

function inside(value: fc.Arbitrary<Schema>): fc.Arbitrary<Schema> {
  return fc.oneof(
    value,
    object(value),
    fc.tuple(value, fc.nat(2), fc.nat(2)).map(([items, least, more]): Schema => ({
      type: "array",
      items,
      minItems: least,
      maxItems: least + more,
    })),
    fc.tuple(value, value).map(([a, b]): Schema => ({ anyOf: [a, b] })),
  );
}

/** Random schemas: nested objects and arrays, references, one of which leads back into itself. */
export const schemas: fc.Arbitrary<Schema> = object(inside(inside(leaf))).map((root) => ({
  ...root,
  $defs: {
    pair: {
      type: "object",
      properties: { n: { type: "integer", minimum: 0 }, next: { $ref: "#/$defs/pair" } },
      required: ["n"],
      additionalProperties: false,
    },
  },
}));

const atom = fc.constantFrom(
  "a",
  "Z",
  "\\d",
  "[a-f]",
  "[^x]",
  "\\w",
  ".",
  "é",
  "\\.",
  "(?:ab|c)",
  " ",
);
const quantified = fc.tuple(atom, fc.constantFrom("", "?", "*", "+", "{2}", "{1,3}", "+?"))
  .map(([one, times]) => one + times);

/** Random regular expressions. */
export const patterns: fc.Arbitrary<string> = fc.array(
  fc.array(quantified, { minLength: 1, maxLength: 4 }),
  { minLength: 1, maxLength: 3 },
).map((options) => options.map((parts) => parts.join("")).join("|"));
