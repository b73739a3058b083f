/** Schemas as libraries write them: what is written under one is valid for the library itself. */
import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { z } from "zod";
import { Automaton } from "../../src/constraint/automaton.ts";
import { schemaLanguage } from "../../src/constraint/json_schema.ts";
import { SchemaError } from "../../src/constraint/schema_error.ts";
import { randomText, seeded, syntheticVocabulary } from "./random_text.ts";
import { isValid } from "./schema_cases.ts";

const vocabulary = syntheticVocabulary();

/** Values that chance writes under a schema, short ones. */
function values(schema: unknown, count: number): unknown[] {
  const language = schemaLanguage(schema)!;
  const least = new Automaton(language).distance(0);
  return Array.from(
    { length: count },
    (_, i) => JSON.parse(randomText(language, vocabulary, least + 8 * i, seeded(i))),
  );
}

interface Tree {
  readonly value: string;
  readonly children: readonly Tree[];
}
const tree: z.ZodType<Tree> = z.lazy(() =>
  z.object({ value: z.string(), children: z.array(tree) })
);

const ZOD: Readonly<Record<string, z.ZodType>> = {
  record: z.record(z.string(), z.number()),
  recordOfEnum: z.record(z.enum(["a", "b"]), z.number()),
  partialRecord: z.partialRecord(z.enum(["a", "b"]), z.number()),
  union: z.union([z.string(), z.number()]),
  discriminated: z.discriminatedUnion("kind", [
    z.object({ kind: z.literal("a"), x: z.string() }),
    z.object({ kind: z.literal("b"), y: z.number() }),
  ]),
  intersection: z.object({ a: z.string() }).and(z.object({ b: z.int() })),
  nullable: z.string().nullable(),
  nullish: z.object({ a: z.number().nullish() }),
  optional: z.object({ a: z.string().optional(), b: z.boolean() }),
  default: z.object({ a: z.string().default("x"), b: z.number().catch(3) }),
  never: z.object({ a: z.never().optional(), b: z.null() }),
  unknown: z.object({ a: z.unknown() }),
  date: z.iso.date(),
  datetime: z.iso.datetime(),
  offset: z.iso.datetime({ offset: true }),
  time: z.iso.time(),
  duration: z.iso.duration(),
  email: z.email(),
  url: z.url(),
  uuid: z.uuid(),
  ids: z.object({ a: z.nanoid(), b: z.cuid2(), c: z.ulid() }),
  addresses: z.object({ a: z.ipv4(), b: z.ipv6(), c: z.cidrv4(), d: z.hostname(), e: z.mac() }),
  encodings: z.object({ a: z.base64(), b: z.base64url(), c: z.hex(), d: z.e164() }),
  literals: z.literal([1, "a", null]),
  enum: z.enum(["red", "green"]),
  tuple: z.tuple([z.string(), z.number()]),
  rest: z.tuple([z.string()], z.number()),
  regex: z.string().regex(/^[A-Z]{3}-\d+$/),
  words: z.object({
    a: z.string().startsWith("ab"),
    b: z.string().endsWith("z"),
    c: z.string().lowercase(),
  }),
  trimmed: z.string().min(1).max(20),
  int: z.int(),
  int32: z.int32(),
  positive: z.number().positive(),
  bounded: z.number().gt(0).lt(1),
  halves: z.number().multipleOf(0.5),
  array: z.array(z.object({ x: z.boolean() })).min(1).max(3),
  strict: z.strictObject({ a: z.string() }),
  loose: z.looseObject({ a: z.string() }),
  catchall: z.object({ a: z.string() }).catchall(z.number()),
  recursive: tree,
  json: z.json(),
};

Deno.test("zod's schemas: zod takes what is written under them, in each dialect", () => {
  for (const [name, schema] of Object.entries(ZOD)) {
    for (const target of ["draft-2020-12", "draft-7", "openapi-3.0"] as const) {
      // For names, and for a place's own item, OpenAPI 3.0 has no keyword: it allows more than zod.
      const isWider = ["partialRecord", "tuple", "rest"].includes(name);
      if (isWider && target === "openapi-3.0") continue;
      // Values that chance writes beside a default are input.
      for (const value of values(z.toJSONSchema(schema, { target, io: "input" }), 2)) {
        const { success } = schema.safeParse(value);
        assert(success, `${name}, ${target}: ${JSON.stringify(value)}`);
      }
    }
  }
  for (const refused of [z.jwt(), z.emoji()]) {
    const error = assertThrows(() => schemaLanguage(z.toJSONSchema(refused)), SchemaError);
    assertMatch(error.message, /\/(format|pattern)/);
  }
});

/** A model as pydantic writes it, with most of what its fields come as. */
const PYDANTIC = {
  $defs: {
    Color: { enum: ["red", "green", "blue"], title: "Color", type: "string" },
    Cat: {
      properties: { kind: { const: "cat", title: "Kind", type: "string" } },
      required: ["kind"],
      title: "Cat",
      type: "object",
    },
    Dog: {
      properties: {
        kind: { const: "dog", default: "dog", title: "Kind", type: "string" },
        age: { exclusiveMinimum: 0, maximum: 30, title: "Age", type: "integer" },
      },
      required: ["kind", "age"],
      title: "Dog",
      type: "object",
    },
  },
  properties: {
    name: { anyOf: [{ type: "string" }, { type: "null" }], default: null, title: "Name" },
    at: { format: "date-time", title: "At", type: "string" },
    took: { format: "duration", title: "Took", type: "string" },
    site: { format: "uri", maxLength: 2083, minLength: 1, title: "Site", type: "string" },
    secret: { format: "password", title: "Secret", type: "string", writeOnly: true },
    data: { format: "binary", title: "Data", type: "string" },
    colors: { items: { $ref: "#/$defs/Color" }, title: "Colors", type: "array", uniqueItems: true },
    color: { allOf: [{ $ref: "#/$defs/Color" }], default: "red" },
    ratio: { exclusiveMinimum: 0.0, exclusiveMaximum: 1.0, title: "Ratio", type: "number" },
    pet: {
      discriminator: {
        mapping: { cat: "#/$defs/Cat", dog: "#/$defs/Dog" },
        propertyName: "kind",
      },
      oneOf: [{ $ref: "#/$defs/Cat" }, { $ref: "#/$defs/Dog" }],
      title: "Pet",
    },
    price: {
      anyOf: [
        { type: "number" },
        { pattern: "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$", type: "string" },
      ],
      title: "Price",
    },
    pair: {
      maxItems: 2,
      minItems: 2,
      prefixItems: [{ type: "integer" }, { type: "string" }],
      title: "Pair",
      type: "array",
    },
    counts: { additionalProperties: { type: "integer" }, title: "Counts", type: "object" },
    named: { patternProperties: { "^[a-z]+$": { type: "number" } }, title: "N", type: "object" },
  },
  required: ["at", "site", "colors", "pet", "price", "pair", "counts", "named", "ratio"],
  title: "Model",
  type: "object",
};

Deno.test("pydantic's schemas: ajv takes what is written under them", () => {
  const required = Object.keys(PYDANTIC.properties);
  for (const schema of [PYDANTIC, { ...PYDANTIC, required }]) {
    for (const value of values(schema, 4)) {
      assert(isValid(schema, value), JSON.stringify(value));
    }
  }
  const { colors } = PYDANTIC.properties;
  const some = { ...colors, items: PYDANTIC.$defs.Color, minItems: 1 };
  const automaton = new Automaton(schemaLanguage(some)!);
  const matches = (text: string) => automaton.matches(new TextEncoder().encode(text));
  assertEquals(
    ['["red"]', '["red", "blue"]', '["red", "red"]', "[]"].map(matches),
    [true, true, false, false],
  );
});
