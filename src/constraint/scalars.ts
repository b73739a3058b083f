/** Strings and numbers of JSON schemas. */

import { type Allowance, SizeError } from "./allowance.ts";
import { FORMATS, FREE_FORMATS, WITHOUT_LOOKAHEAD } from "./formats.ts";
import { intersection } from "./intersection.ts";
import { contentOf, quoted, STRING } from "./json_text.ts";
import { choice, literal, type Maybe } from "./language.ts";
import { type Bound, decimals, integers } from "./numbers.ts";
import { PatternError, patternLanguage } from "./pattern.ts";
import { SchemaError, within } from "./schema_error.ts";
import type { SchemaObject } from "./schema_parts.ts";
import type { Work } from "./work.ts";

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
  const known = typeof format === "string" && Object.hasOwn(FORMATS, format)
    ? FORMATS[format]
    : undefined;
  // Of a format that is not known, the pattern that a library writes beside it says all.
  if (format !== undefined && !FREE_FORMATS.has(format) && (known || pattern === undefined)) {
    if (known === undefined) {
      const names = Object.keys(FORMATS).join(", ");
      throw new SchemaError(
        within(pointer, "format"),
        `is ${JSON.stringify(format)}, which is not supported; there are ${names}`,
      );
    }
    parts.push([
      "format",
      () => patternLanguage(known, { spelling: "json", whole: true }),
    ]);
  }
  const replaced = WITHOUT_LOOKAHEAD.get(pattern);
  if (pattern !== undefined && (replaced === undefined || replaced !== known)) {
    if (typeof pattern !== "string") {
      throw new SchemaError(within(pointer, "pattern"), "must be text");
    }
    if (pattern.length > MOST_PATTERN) {
      throw new SchemaError(
        within(pointer, "pattern"),
        `is longer than ${MOST_PATTERN} characters`,
      );
    }
    const whole = replaced !== undefined;
    parts.push([
      "pattern",
      () => patternLanguage(replaced ?? pattern, { spelling: "json", whole }),
    ]);
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
    const step = multipleOf as number;
    const isFraction = type === "number" && step > 1e-7 && step < 1;
    if (!(Number.isSafeInteger(step) && step >= 1) && !isFraction) {
      throw new SchemaError(
        within(pointer, "multipleOf"),
        "is only supported for whole numbers and, of numbers, for fractions from 0.0000001 to 1",
      );
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

/**
 * Multiples of `step` within the bounds: the first ones, from the bound or around 0. Of a fraction
 * only those are written which are multiples in a computer's arithmetic too: not 0.07 of 0.01.
 */
function multiples(step: number, low: Bound | undefined, high: Bound | undefined): Maybe {
  const inside = (value: number) =>
    (!low || value > low.value || (!low.strict && value === low.value)) &&
    (!high || value < high.value || (!high.strict && value === high.value)) &&
    Number.isSafeInteger(value / step) && Math.abs(value) <= Number.MAX_SAFE_INTEGER;
  const first = low && low.value > 0
    ? Math.ceil(low.value / step)
    : high && high.value < 0
    ? Math.floor(high.value / step) - MOST_MULTIPLES
    : -MOST_MULTIPLES;
  const written = (times: number) =>
    step >= 1 ? times * step : Number((times * step).toPrecision(12));
  const all = Array.from({ length: 2 * MOST_MULTIPLES + 1 }, (_, i) => written(first + i));
  return choice(
    ...all.filter(inside).map((value) => value === 0 ? "0" : String(value))
      .filter((text) => !text.includes("e")).map(literal),
  );
}
