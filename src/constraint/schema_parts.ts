/** JSON schemas as values: which keywords there are, references, and schemas that hold together. */

import { SchemaError, within } from "./schema_error.ts";

/** A schema that is an object. */
export type SchemaObject = Readonly<Record<string, unknown>>;

/** The types of JSON. `integer` is a part of `number`. */
export const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"] as const;
/** One of them. */
export type JsonType = typeof TYPES[number];

/** Keywords that are served, by the type whose values they are about. */
export const KEYWORDS_OF: Readonly<Record<string, readonly JsonType[]>> = {
  properties: ["object"],
  required: ["object"],
  additionalProperties: ["object"],
  propertyNames: ["object"],
  minProperties: ["object"],
  maxProperties: ["object"],
  items: ["array"],
  prefixItems: ["array"],
  minItems: ["array"],
  maxItems: ["array"],
  uniqueItems: ["array"],
  minLength: ["string"],
  maxLength: ["string"],
  pattern: ["string"],
  format: ["string"],
  minimum: ["number", "integer"],
  maximum: ["number", "integer"],
  exclusiveMinimum: ["number", "integer"],
  exclusiveMaximum: ["number", "integer"],
  multipleOf: ["number", "integer"],
};

/** Keywords that are served, about values of any type. */
const GENERAL = ["type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"];
/** Keywords that say nothing about which values are valid. */
const ANNOTATIONS = new Set([
  "title",
  "description",
  "default",
  "examples",
  "example",
  "deprecated",
  "readOnly",
  "writeOnly",
  "$comment",
  "$schema",
  "$id",
  "$defs",
  "definitions",
  "discriminator",
  "id",
  "markdownDescription",
  "errorMessage",
  "externalDocs",
  "xml",
]);
const SERVED = new Set([...GENERAL, ...Object.keys(KEYWORDS_OF)]);

/** Whether a value is a JSON object. */
export function isObject(value: unknown): value is SchemaObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * The keywords of a schema that say something.
 * @throws {SchemaError} naming one that is not served
 */
export function keywordsOf(schema: SchemaObject, pointer: string): SchemaObject {
  const kept: [string, unknown][] = [];
  for (const [name, value] of Object.entries(schema)) {
    if (ANNOTATIONS.has(name) || name.startsWith("x-")) continue;
    if (!SERVED.has(name)) {
      throw new SchemaError(within(pointer, name), "is a keyword that is not supported");
    }
    kept.push([name, value]);
  }
  return Object.fromEntries(kept);
}

/** Whether two JSON values are equal. */
export function sameValue(a: unknown, b: unknown): boolean {
  return a === b || canonical(a) === canonical(b);
}

/** A text that is the same for equal JSON values, and for no others. */
export function canonical(value: unknown): string {
  return JSON.stringify(sorted(value));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.keys(value).sort().map((name) => [name, sorted(value[name])]));
}

/** The types that a schema allows; those of its keywords, if it names none; undefined: all. */
export function typesOf(schema: SchemaObject, pointer: string): readonly JsonType[] | undefined {
  const { type } = schema;
  if (type !== undefined) {
    const types = Array.isArray(type) ? type : [type];
    for (const one of types) {
      if (!TYPES.includes(one)) {
        throw new SchemaError(
          within(pointer, "type"),
          `is ${JSON.stringify(one)}: no type of JSON`,
        );
      }
    }
    return [...new Set(types)];
  }
  const implied = Object.keys(schema).flatMap((name) => KEYWORDS_OF[name] ?? []);
  // A number with bounds of no type: an integer is one too.
  return implied.length === 0
    ? undefined
    : [...new Set(implied)].filter((one) => one !== "integer");
}

/**
 * One schema with the keywords of two, that holds where both hold.
 * @throws {SchemaError} for a keyword that both have and that cannot be put together
 */
export function together(a: SchemaObject, b: SchemaObject, pointer: string): SchemaObject {
  const merged: Record<string, unknown> = { ...a };
  checkClosed(a, b, pointer);
  checkClosed(b, a, pointer);
  for (const [name, value] of Object.entries(b)) {
    const known = merged[name];
    merged[name] = known === undefined || sameValue(known, value)
      ? value
      : JOINING[name]?.(known, value) ?? conflict(within(pointer, name));
  }
  return merged;
}

/** A closed object has no members but its own: those of the other schema would break it. */
function checkClosed(closed: SchemaObject, other: SchemaObject, pointer: string): void {
  const { additionalProperties } = closed;
  if (additionalProperties === undefined || additionalProperties === true) return;
  const own = isObject(closed.properties) ? closed.properties : {};
  const others = isObject(other.properties) ? Object.keys(other.properties) : [];
  if (others.every((name) => Object.hasOwn(own, name))) return;
  conflict(within(pointer, "additionalProperties"));
}

function conflict(pointer: string): never {
  throw new SchemaError(pointer, "cannot be put together with the same keyword beside it");
}

type Join = (a: unknown, b: unknown) => unknown;
const largest: Join = (a, b) => Math.max(a as number, b as number);
const smallest: Join = (a, b) => Math.min(a as number, b as number);
const inBoth: Join = (a, b) => {
  const [one, other] = [a, b].map((list) => Array.isArray(list) ? list : [list]);
  const known = new Set(other.map(canonical));
  return one.filter((value) => known.has(canonical(value)));
};

/** How two values of a keyword become one that means both. */
const JOINING: Readonly<Record<string, Join>> = {
  type: inBoth,
  enum: inBoth,
  required: (a, b) => Array.isArray(a) && Array.isArray(b) ? [...new Set([...a, ...b])] : undefined,
  minimum: largest,
  exclusiveMinimum: largest,
  minLength: largest,
  minItems: largest,
  minProperties: largest,
  maximum: smallest,
  exclusiveMaximum: smallest,
  maxLength: smallest,
  maxItems: smallest,
  maxProperties: smallest,
  properties: (a, b) => {
    const merged: Record<string, unknown> = { ...a as SchemaObject };
    for (const [name, schema] of Object.entries(b as SchemaObject)) {
      merged[name] = Object.hasOwn(merged, name) && !sameValue(merged[name], schema)
        ? { allOf: [merged[name], schema] }
        : schema;
    }
    return merged;
  },
};

/** A step of a reference, which is part of an address; as it stands if it is none. */
export function decoded(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

/** The type of a JSON value; a whole number is an integer. */
export function typeOf(value: unknown): JsonType {
  if (value === null) return "null";
  if (Array.isArray(value)) return "array";
  if (typeof value === "number") return Number.isInteger(value) ? "integer" : "number";
  return typeof value as "string" | "boolean" | "object";
}
