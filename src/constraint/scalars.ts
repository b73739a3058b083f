/** Strings and numbers of JSON schemas. */

import { type Allowance, SizeError } from "./allowance.ts";
import { FORMATS } from "./formats.ts";
import { intersection } from "./intersection.ts";
import { contentOf, quoted, STRING } from "./json_text.ts";
import { choice, literal, type Maybe } from "./language.ts";
import { type Bound, decimals, integers } from "./numbers.ts";
import { PatternError, patternLanguage } from "./pattern.ts";
import { SchemaError, within } from "./schema_error.ts";
import type { SchemaObject } from "./schema_parts.ts";
import type { Work } from "./work.ts";

/**
 * Patterns with look-ahead that a library writes beside a format: every text of that format here
 * matches them (zod 4, `z.email()`).
 */
const IMPLIED: ReadonlyMap<unknown, string> = new Map([[
  "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$",
  "email",
]]);

/** Characters of a pattern. */
const MOST_PATTERN = 10_000;
/** Multiples that are tried one by one. */
const MOST_MULTIPLES = 1000;

/** A keyword whose value is a number of items, characters or members. */
export function countOf(schema: SchemaObject, name: string, pointer: string): number | undefined {
  const value = schema[name];
  if (value === undefined) return undefined;
  if (Number.isSafeInteger(value) && value as number >= 0) return value as number;
  throw new SchemaError(within(pointer, name), "must be a whole number, 0 or above");
}

/** Strings under `minLength`, `maxLength`, `pattern` and `format`, all of which must hold. */
export function* stringLanguage(
  schema: SchemaObject,
  pointer: string,
  allowance: Allowance,
): Work<Maybe> {
  const { pattern, format } = schema;
  const parts: (readonly [name: string, language: () => Maybe])[] = [];
  if (format !== undefined) {
    const known = typeof format === "string" && Object.hasOwn(FORMATS, format);
    if (!known) {
      const names = Object.keys(FORMATS).join(", ");
      throw new SchemaError(
        within(pointer, "format"),
        `is ${JSON.stringify(format)}, which is not supported; there are ${names}`,
      );
    }
    parts.push([
      "format",
      () => patternLanguage(FORMATS[format], { spelling: "json", whole: true }),
    ]);
  }
  if (pattern !== undefined && (format === undefined || IMPLIED.get(pattern) !== format)) {
    if (typeof pattern !== "string") {
      throw new SchemaError(within(pointer, "pattern"), "must be text");
    }
    if (pattern.length > MOST_PATTERN) {
      throw new SchemaError(
        within(pointer, "pattern"),
        `is longer than ${MOST_PATTERN} characters`,
      );
    }
    parts.push(["pattern", () => patternLanguage(pattern, { spelling: "json", whole: false })]);
  }
  const least = countOf(schema, "minLength", pointer);
  const most = countOf(schema, "maxLength", pointer);
  if (least !== undefined || most !== undefined) {
    parts.push([most === undefined ? "minLength" : "maxLength", () => contentOf(least, most)]);
  }
  if (parts.length === 0) return STRING;
  let content: Maybe;
  for (const [i, [name, language]] of parts.entries()) {
    try {
      content = i === 0 ? language() : yield* intersection(content, language(), allowance);
    } catch (error) {
      const isOurs = error instanceof PatternError || error instanceof SizeError;
      if (!isOurs) throw error;
      throw new SchemaError(within(pointer, name), `is not supported: ${error.message}`);
    }
  }
  return quoted(content);
}

/** Numbers within bounds, or multiples of a whole number. */
export function numberLanguage(
  type: "integer" | "number",
  schema: SchemaObject,
  pointer: string,
): Maybe {
  const low = tighter(
    bound(schema, "minimum", pointer),
    bound(schema, "exclusiveMinimum", pointer),
    1,
  );
  const high = tighter(
    bound(schema, "maximum", pointer),
    bound(schema, "exclusiveMaximum", pointer),
    -1,
  );
  const { multipleOf } = schema;
  if (multipleOf !== undefined) {
    if (!Number.isSafeInteger(multipleOf) || (multipleOf as number) < 1) {
      throw new SchemaError(within(pointer, "multipleOf"), "is only supported for whole numbers");
    }
    return multipleOf === 1 ? integers(low, high) : multiples(multipleOf as number, low, high);
  }
  return type === "integer" ? integers(low, high) : decimals(low, high);
}

function bound(schema: SchemaObject, name: string, pointer: string): Bound | undefined {
  const value = schema[name];
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !Number.isFinite(value)) {
    throw new SchemaError(within(pointer, name), "must be a number");
  }
  return { value, strict: name.startsWith("exclusive") };
}

/** The bound that leaves less: `sign` 1 for a lower one. */
function tighter(a: Bound | undefined, b: Bound | undefined, sign: number): Bound | undefined {
  if (!a || !b) return a ?? b;
  return sign * b.value >= sign * a.value ? b : a;
}

/** Multiples of `step` within the bounds: the first ones, from the bound or around 0. */
function multiples(step: number, low: Bound | undefined, high: Bound | undefined): Maybe {
  const inside = (value: number) =>
    (!low || value > low.value || (!low.strict && value === low.value)) &&
    (!high || value < high.value || (!high.strict && value === high.value)) &&
    Number.isSafeInteger(value);
  const first = low && low.value > 0
    ? Math.ceil(low.value / step)
    : high && high.value < 0
    ? Math.floor(high.value / step) - MOST_MULTIPLES
    : -MOST_MULTIPLES;
  const all = Array.from({ length: 2 * MOST_MULTIPLES + 1 }, (_, i) => (first + i) * step);
  return choice(...all.filter(inside).map((value) => literal(String(value === 0 ? 0 : value))));
}
