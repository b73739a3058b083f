/** Keywords of older drafts and of OpenAPI 3.0, which programs still write, as today's keywords. */

import { isObject, type SchemaObject } from "./schema_parts.ts";

/** Texts of encodings; a multiple of four characters needs no padding. */
const ENCODINGS: Readonly<Record<string, string>> = {
  base64: "^(?:[A-Za-z0-9+/]{4})*$",
  base64url: "^(?:[A-Za-z0-9_-]{4})*$",
};

/** How each such keyword is written today; what cannot be written stays as it is. */
const TODAY: Readonly<Record<string, (schema: SchemaObject) => SchemaObject>> = {
  // OpenAPI: only beside a type.
  nullable: ({ nullable, ...rest }) =>
    nullable === true && rest.type !== undefined
      ? { ...rest, type: [...[rest.type].flat(), "null"] }
      : rest,
  exclusiveMinimum: (schema) => withoutFlag(schema, "exclusiveMinimum", "minimum"),
  exclusiveMaximum: (schema) => withoutFlag(schema, "exclusiveMaximum", "maximum"),
  // A list of items is never written longer than it is.
  additionalItems: ({ additionalItems: _, ...rest }) => rest,
  patternProperties: (schema) => {
    const { patternProperties, ...rest } = schema;
    if (!isObject(patternProperties)) return schema;
    const [one, ...others] = Object.entries(patternProperties);
    const isPlain = !("properties" in rest) && !("propertyNames" in rest) && others.length === 0;
    if (!one || !isPlain) return schema;
    return { ...rest, propertyNames: { pattern: one[0] }, additionalProperties: one[1] };
  },
  contentEncoding: (schema) => {
    const { contentEncoding, ...rest } = schema;
    const known = Object.hasOwn(ENCODINGS, String(contentEncoding));
    if (!known) return schema;
    return { pattern: ENCODINGS[String(contentEncoding)], ...rest };
  },
};

/** Draft 4: a flag says whether the bound itself is left out. */
function withoutFlag(schema: SchemaObject, flag: string, bound: string): SchemaObject {
  if (typeof schema[flag] !== "boolean") return schema;
  const { [flag]: isExclusive, [bound]: value, ...rest } = schema;
  if (value === undefined) return rest;
  return { ...rest, [isExclusive ? flag : bound]: value };
}

/** A schema in today's keywords. */
export function today(schema: SchemaObject): SchemaObject {
  for (const [name, change] of Object.entries(TODAY)) {
    if (Object.hasOwn(schema, name)) schema = change(schema);
  }
  return schema;
}

/** Whether nothing is valid under a schema: `not` anything. Libraries write so of a type `never`. */
export function isNever({ not }: SchemaObject): boolean {
  return not === true || (isObject(not) && Object.keys(not).length === 0);
}
