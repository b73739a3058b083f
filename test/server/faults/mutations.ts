/** Right bodies made wrong: types, depths, numbers, characters, fields, and text that is no JSON any more. */

import * as fc from "fast-check";

type Json = null | boolean | number | string | Json[] | { [name: string]: Json };
type JsonSchema = Readonly<Record<string, unknown>>;

/** A body as it is sent. */
export interface SentBody {
  readonly path: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
}

/** Values that programs do not expect. */
const HOSTILE: readonly Json[] = [
  ...[null, true, false, 0, -0, 1, -1, 0.5, 2 ** 31, 2 ** 32, 2 ** 53, -(2 ** 53), 1e21],
  ...[Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER],
  ...["", " ", "\0", "\ud800", "\udc00a", "\u202e", "\ufeff", "NaN", "null", "-1", "[]", "../.."],
  ...["__proto__", "constructor", "toString", "<|eot_id|>", "<|mdm_mask|>", "{{messages}}"],
  ...["💥".repeat(40), "e\u0301".repeat(400), "x".repeat(5000), "\n".repeat(300), "(a+)+$"],
  ...[[], {}, [[]], [null], [{}], [""], { "": "" }, [[[[[[[[]]]]]]]], { a: { a: { a: {} } } }],
  { constructor: { prototype: { polluted: true } } },
  { role: "user" },
  { type: "text" },
  Array<Json>(2000).fill(0),
  Array<Json>(200).fill({ role: "user", content: "hi" }),
];

/** What asks for an answer of a form, where work may explode. */
const FORMS: readonly Readonly<Record<string, Json>>[] = [
  { regex: "(a+)+$" },
  { regex: "((((a{1,50}){1,50}){1,50}){1,50}){1,50}" },
  { regex: "(?=a)b\\1" },
  { regex: "[" },
  { regex: "\\p{L}{1,400}(x|y)*z" },
  { grammar: 'root ::= root "a"' },
  { grammar: 'root ::= "a" root | "b"' },
  { grammar: "root ::= other" },
  { choice: ["a", "a", ""] },
  { choice: Array<Json>(300).fill("yes") },
  { guided_json: { $ref: "#" } },
  { guided_json: { type: "array", items: { $ref: "#" }, minItems: 1 } },
  { guided_json: { anyOf: [], type: "string", pattern: "(" } },
  { guided_json: { type: "string", minLength: 1e9 } },
  { guided_json: { type: "integer", minimum: 1e300, maximum: -1e300 } },
  { response_format: { type: "json_object" } },
  {
    response_format: {
      type: "json_schema",
      json_schema: { name: "a", schema: { type: "object", properties: { a: { enum: [] } } } },
    },
  },
  { tools: [{ type: "function", function: { name: "f", parameters: { $ref: "#/no" } } }] },
  {
    tools: [{ type: "function", function: { name: "f", parameters: { type: "object" } } }],
    tool_choice: "required",
  },
  { format: { type: "object", properties: { a: { const: "\0" } }, required: ["a", "b"] } },
  { text: { format: { type: "json_schema", name: "a", schema: { not: {} } } } },
];

/** Pieces of text that break JSON, or what reads it. */
const BROKEN = ["NaN", "-", "1e999", "01", '"\\u12"', "\\", ",", "}", "]", "//", "\0", "\u{1F4A5}"];
const CONTENT_TYPES = [
  "application/json; charset=utf-8",
  "application/json;charset=utf-16",
  "text/plain",
  "multipart/form-data; boundary=a",
  "",
];

const anything: fc.Arbitrary<Json> = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...HOSTILE) },
  { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<Json> },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 60 }) },
  { weight: 1, arbitrary: fc.array(fc.integer({ min: -2, max: 200_000 }), { maxLength: 20 }) },
  { weight: 1, arbitrary: fc.nat({ max: 300 }).map(nested) },
);

function nested(levels: number): Json {
  let value: Json = 1;
  for (let level = 0; level < levels; level++) value = level % 2 === 0 ? [value] : { a: value };
  return value;
}

/** A value that a schema takes, as far as it says so at a glance. */
function plausible(schema: JsonSchema, depth = 0): fc.Arbitrary<Json> {
  if (Array.isArray(schema.enum)) return fc.constantFrom(...schema.enum as Json[]);
  if ("const" in schema) return fc.constant(schema.const as Json);
  if (Array.isArray(schema.anyOf)) {
    return fc.oneof(...(schema.anyOf as JsonSchema[]).map((one) => plausible(one, depth)));
  }
  const { minimum = -1, maximum = 64 } = schema as { minimum?: number; maximum?: number };
  const low = Math.max(minimum, -2);
  const high = Math.max(low, Math.min(maximum, 64));
  if (schema.type === "boolean") return fc.boolean();
  if (schema.type === "integer") {
    return fc.integer({ min: Math.ceil(low), max: Math.ceil(high) });
  }
  if (schema.type === "number") return fc.double({ min: low, max: high, noNaN: true });
  if (schema.type === "string") {
    return fc.constantFrom("a", "What is 3 plus 4?", "\n", "tiny-target");
  }
  if (schema.type === "array" && depth < 3) {
    return fc.array(plausible((schema.items ?? {}) as JsonSchema, depth + 1), { maxLength: 3 });
  }
  if (schema.type === "object" && depth < 3 && schema.properties) {
    const members = Object.entries(schema.properties as Record<string, JsonSchema>)
      .map(([name, one]) => [name, plausible(one, depth + 1)] as const);
    return fc.record(Object.fromEntries(members), { requiredKeys: [] }) as fc.Arbitrary<Json>;
  }
  return anything;
}

/** One change of a body. */
type Change = (body: Json) => Json;

/** Every place in a value: what holds it and its name there. */
function placesIn(value: Json): [holder: Record<string, Json>, name: string][] {
  if (value === null || typeof value !== "object") return [];
  const holder = value as Record<string, Json>;
  return Object.keys(holder).flatMap((name) => [
    [holder, name] as [Record<string, Json>, string],
    ...placesIn(holder[name]),
  ]);
}

/** Changes one place, wherever it is; the body itself where there is none. */
function changing(
  change: (holder: Record<string, Json>, name: string, value: Json) => void,
): fc.Arbitrary<Change> {
  return fc.tuple(fc.nat(), anything).map(([at, value]) => (body: Json) => {
    const places = placesIn(body);
    if (places.length === 0) return value;
    change(...places[at % places.length], value);
    return body;
  });
}

/** @param fields what the route's schema says of its fields */
function changes(fields: Readonly<Record<string, JsonSchema>>): fc.Arbitrary<Change> {
  const set = (more: Readonly<Record<string, Json>>): Change => (body) => {
    if (body === null || typeof body !== "object" || Array.isArray(body)) return body;
    return { ...body, ...structuredClone(more) };
  };
  const name = fc.constantFrom(...Object.keys(fields));
  return fc.oneof(
    { weight: 4, arbitrary: changing((holder, name, value) => holder[name] = value) },
    { weight: 1, arbitrary: changing((holder, name) => delete holder[name]) },
    { weight: 1, arbitrary: changing((holder, name) => holder[name] = [holder[name]]) },
    {
      weight: 1,
      arbitrary: changing((holder, name) => holder[`${name}_`] = structuredClone(holder[name])),
    },
    { weight: 2, arbitrary: fc.tuple(name, anything).map(([one, value]) => set({ [one]: value })) },
    {
      weight: 5,
      arbitrary: name.chain((one) => plausible(fields[one]).map((value) => set({ [one]: value }))),
    },
    { weight: 1, arbitrary: fc.constantFrom(...FORMS).map(set) },
    { weight: 1, arbitrary: fc.boolean().map((stream) => set({ stream })) },
  );
}

/** Text that was JSON, cut, doubled, or with something in it that does not belong there. */
const broken: fc.Arbitrary<(text: string) => string> = fc.oneof(
  fc.double({ min: 0, max: 1, noNaN: true }).map((at) => (text: string) =>
    text.slice(0, Math.floor(at * text.length))
  ),
  fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(...BROKEN))
    .map(([at, piece]) => (text: string) => {
      const place = Math.floor(at * text.length);
      return text.slice(0, place) + piece + text.slice(place);
    }),
  fc.constant((text: string) => text + text),
  fc.constant((text: string) => `\ufeff${text}`),
  fc.constant((text: string) => text.replace("{", '{"model":1,"model":"a",')),
  fc.constant((text: string) => text.replace(/\d+/, "1e999")),
);

/** One in so many times, and undefined otherwise. */
function sometimes<T>(times: number, value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  const never = { weight: times - 1, arbitrary: fc.constant(undefined) };
  return fc.oneof(never, { weight: 1, arbitrary: value });
}

/**
 * Bodies for one route, most of them wrong.
 * @param fields what the route's schema says of its fields
 */
export function mutated(
  path: string,
  right: Readonly<Record<string, unknown>>,
  fields: Readonly<Record<string, JsonSchema>>,
): fc.Arbitrary<SentBody> {
  return fc.record({
    made: fc.array(changes(fields), { minLength: 1, maxLength: 3 }),
    breaks: sometimes(6, broken),
    flipped: sometimes(20, fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }))),
    contentType: sometimes(20, fc.constantFrom(...CONTENT_TYPES)),
  }).map(({ made, breaks, flipped, contentType }) => {
    let body = structuredClone(right) as Json;
    for (const change of made) body = change(body);
    const text = JSON.stringify(body);
    const bytes = new TextEncoder().encode(breaks ? breaks(text) : text);
    if (flipped && bytes.length > 0) bytes[flipped[0] % bytes.length] = flipped[1];
    return { path, bytes, contentType: contentType ?? "application/json" };
  });
}
