/**
 * JSON as it is written in answers: `{"a": 1, "b": [2, 3]}`, one space behind a comma or a colon and
 * no other, as most texts that models learned from have it.
 */

import { ANY, character } from "./characters.ts";
import { choice, type Language, list, literal, type Maybe, sequence } from "./language.ts";
import { decimals } from "./numbers.ts";

/** Between items and between members. */
export const COMMA = literal(", ");
/** Between a member's name and its value. */
export const COLON = literal(": ");
const QUOTE = literal('"');

/** A JSON value as text, in the style of answers. */
export function written(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(written).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const all = Object.entries(value).map(([name, own]) =>
      `${JSON.stringify(name)}: ${written(own)}`
    );
    return `{${all.join(", ")}}`;
  }
  return JSON.stringify(value);
}

/** A string with a content of this language, which is spelled for JSON already. */
export function quoted(content: Maybe): Maybe {
  return sequence(QUOTE, content, QUOTE);
}

/** A content of so many characters. */
export function contentOf(least = 0, most = Infinity): Maybe {
  return list(character(ANY, "json"), least, most);
}

/** Any string. */
export const STRING: Language = quoted(contentOf())!;
/** Any number. */
export const NUMBER: Language = decimals()!;
/** true or false. */
export const BOOLEAN: Language = choice(literal("true"), literal("false"))!;
/** null. */
export const NULL: Language = literal("null");

/** An object with any members whose values are `value`. */
export function objectOf(value: Maybe, name: Maybe = STRING, least = 0): Maybe {
  const member = sequence(name, COLON, value);
  return sequence(literal("{"), list(member, least, Infinity, COMMA), literal("}"));
}

/** An array of `least` to `most` items. */
export function arrayOf(item: Maybe, least = 0, most = Infinity): Maybe {
  return sequence(literal("["), list(item, least, most, COMMA), literal("]"));
}

/** Any value, with so many levels of objects and arrays. */
export function anyValue(levels: number): Language {
  const scalars = [STRING, NUMBER, BOOLEAN, NULL];
  if (levels === 0) return choice(...scalars)!;
  const inner = anyValue(levels - 1);
  return choice(...scalars, objectOf(inner), arrayOf(inner))!;
}
