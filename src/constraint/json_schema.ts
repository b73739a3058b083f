/** JSON schemas as languages of the texts that are valid under them. */

import { Allowance } from "./allowance.ts";
import { type Maybe, MOST_STATES } from "./language.ts";
import { choice, literal, members, optional, sequence } from "./language.ts";
import {
  anyValue,
  arrayOf,
  BOOLEAN,
  COLON,
  COMMA,
  NULL,
  objectOf,
  STRING,
  written,
} from "./json_text.ts";
import { Automaton } from "./automaton.ts";
import { isNever, today } from "./dialects.ts";
import { areDisjoint } from "./disjoint.ts";
import { SchemaError, within } from "./schema_error.ts";
import {
  decoded,
  isObject,
  type JsonType,
  keywordsOf,
  sameValue,
  type SchemaObject,
  together,
  typeOf,
  TYPES,
  typesOf,
} from "./schema_parts.ts";
import { each, finish, type Work } from "./work.ts";
import { countOf, numberLanguage, stringLanguage } from "./scalars.ts";

/** How often a reference may lead back into itself. */
const MOST_RECURSION = 3;
/** Levels of objects and arrays where a schema says nothing. */
const FREE_LEVELS = 2;
/** Levels of `json_object`. */
const OBJECT_LEVELS = 4;
/** Schemas that are read for one, with those that are read several times. */
const MOST_SCHEMAS = 20_000;

/** Schemas within each other, through references too: each takes room on the stack. */
const MOST_LEVELS = 600;

/** Values of an enum of which an array holds each once at most. */
const MOST_UNIQUE = 50;

/** States of all parts together, those that are left out too. */
const MOST_READ = 4 * MOST_STATES;

/** Any object, with values four levels deep. */
export function anyObject(): Maybe {
  return objectOf(anyValue(OBJECT_LEVELS - 1));
}

/**
 * The texts of the values that are valid under a schema, or of some of them: members stand in the
 * schema's order, a closed or open object has only members that the schema names, numbers are
 * decimals, and recursion ends after three rounds.
 * @throws {SchemaError} naming a keyword that is not served and where it stands, or when nothing is
 * valid under the schema
 * @throws {SizeError} when it takes longer than allowed
 */
export function schemaLanguage(schema: unknown, allowance: Allowance = new Allowance()): Maybe {
  return finish(schemaWork(schema, allowance));
}

/** The same in pieces. */
export function* schemaWork(schema: unknown, allowance: Allowance): Work<Maybe> {
  const language = yield* new SchemaReader(schema, allowance).value(schema, "");
  if (language === undefined) throw new SchemaError("", "allows no value");
  return language;
}

class SchemaReader {
  readonly #root: unknown;
  /** References that are being followed. */
  readonly #open: string[] = [];
  readonly #allowance: Allowance;
  #count = 0;
  #levels = 0;
  /** States of the values of one type that were read. */
  #states = 0;

  constructor(root: unknown, allowance: Allowance) {
    this.#root = root;
    this.#allowance = allowance;
  }

  /** The values under a schema; undefined if there is none. */
  *value(schema: unknown, pointer: string): Work<Maybe> {
    if (++this.#count > MOST_SCHEMAS) {
      throw new SchemaError(pointer, "is one part too many: the schema is too large");
    }
    this.#levels++;
    const language = yield* this.#value(schema, pointer);
    this.#levels--;
    return language;
  }

  *#value(schema: unknown, pointer: string): Work<Maybe> {
    if (schema === true) return anyValue(FREE_LEVELS);
    if (schema === false) return undefined;
    if (!isObject(schema)) throw new SchemaError(pointer, "is no schema: it must be an object");
    const opened = this.#open.length;
    const language = yield* this.#object(schema, pointer);
    this.#open.length = opened;
    if (language !== undefined && language.size > MOST_STATES) {
      throw new SchemaError(pointer, `is too large: it takes ${language.size} states`);
    }
    return language;
  }

  *#object(schema: SchemaObject, pointer: string): Work<Maybe> {
    const whole = yield* this.#flat(schema, pointer);
    if (whole === undefined) return undefined;
    const { anyOf, oneOf, ...rest } = whole;
    for (const [name, options] of Object.entries({ anyOf, oneOf })) {
      if (options === undefined) continue;
      const at = within(pointer, name);
      if (!Array.isArray(options) || options.length === 0) {
        throw new SchemaError(at, "must be a list of schemas");
      }
      const others = name === "anyOf" && oneOf !== undefined ? { ...rest, oneOf } : rest;
      if (name === "oneOf") yield* this.#checkDisjoint(options, at);
      const value = this.value.bind(this);
      return choice(
        ...yield* each(options, function* (option, i) {
          if (option === false) return undefined;
          const own = isObject(option) ? option : {};
          return yield* value({ allOf: [others, own] }, within(at, i));
        }),
      );
    }
    return yield* this.#typed(whole, pointer);
  }

  /** Follows references and joins `allOf`; undefined when recursion is too deep. */
  *#flat(schema: SchemaObject, pointer: string): Work<SchemaObject | undefined> {
    this.#allowance.check();
    yield;
    if (this.#levels + this.#open.length > MOST_LEVELS) {
      throw new SchemaError(pointer, "stands in too many others: make the schema smaller");
    }
    if (isNever(schema)) return undefined;
    const { $ref, allOf, ...rest } = keywordsOf(today(schema), pointer);
    let whole: SchemaObject = rest;
    const parts: [unknown, string][] = [];
    if ($ref !== undefined) {
      const target = this.#follow($ref, pointer);
      if (this.#open.filter((one) => one === $ref).length >= MOST_RECURSION) return undefined;
      this.#open.push(String($ref));
      parts.push([target, String($ref).slice(1)]);
    }
    if (allOf !== undefined) {
      if (!Array.isArray(allOf)) throw new SchemaError(within(pointer, "allOf"), "must be a list");
      allOf.forEach((part, i) => parts.push([part, within(pointer, "allOf", i)]));
    }
    for (const [part, at] of parts) {
      if (part === false) return undefined;
      if (part === true) continue;
      if (!isObject(part)) throw new SchemaError(at, "is no schema: it must be an object");
      const flat = yield* this.#flat(part, at);
      if (flat === undefined) return undefined;
      whole = together(whole, flat, pointer);
    }
    return whole;
  }

  #follow(ref: unknown, pointer: string): unknown {
    const at = within(pointer, "$ref");
    if (typeof ref !== "string" || !/^#(\/|$)/.test(ref)) {
      throw new SchemaError(at, "must be a reference within the schema, such as #/$defs/name");
    }
    let found = this.#root;
    for (const step of ref.slice(2).split("/").filter((_, i, all) => all[0] !== "" || i > 0)) {
      const name = decoded(step).replaceAll("~1", "/").replaceAll("~0", "~");
      const inside = typeof found === "object" && found !== null && Object.hasOwn(found, name);
      if (!inside) throw new SchemaError(at, `leads to nothing: ${ref.slice(0, 80)}`);
      found = (found as Record<string, unknown>)[name];
    }
    return found;
  }

  *#checkDisjoint(options: readonly unknown[], pointer: string): Work<void> {
    const flat: SchemaObject[] = [];
    for (const [i, option] of options.entries()) {
      if (!isObject(option)) throw new SchemaError(within(pointer, i), "must be an object");
      const opened = this.#open.length;
      const whole = yield* this.#flat(option, within(pointer, i));
      this.#open.length = opened;
      for (const [other, b] of flat.entries()) {
        this.#allowance.check();
        yield;
        if (areDisjoint(whole ?? {}, b)) continue;
        throw new SchemaError(
          pointer,
          `has options ${other} and ${i} that may hold for the same value: use anyOf, or give ` +
            "each object a required property with a constant of its own",
        );
      }
      flat.push(whole ?? {});
    }
  }

  *#typed(schema: SchemaObject, pointer: string): Work<Maybe> {
    const types = typesOf(schema, pointer);
    if ("const" in schema || "enum" in schema) return this.#constants(schema, types, pointer);
    if (types === undefined) return anyValue(FREE_LEVELS);
    // A number stands for integers too.
    const some = types.includes("number") ? types.filter((one) => one !== "integer") : types;
    const options: Maybe[] = [];
    for (const type of some) {
      const language = yield* this.#ofType(type, schema, pointer);
      const isScalar = type !== "array" && type !== "object";
      this.#states += isScalar && language?.size || 0;
      if (this.#states > MOST_READ) {
        throw new SchemaError(pointer, "is one part too many: the schema is too large");
      }
      options.push(language);
    }
    return choice(...options);
  }

  #constants(
    schema: SchemaObject,
    types: readonly JsonType[] | undefined,
    pointer: string,
  ): Maybe {
    for (const name of Object.keys(schema)) {
      if (["const", "enum", "type"].includes(name)) continue;
      throw new SchemaError(within(pointer, name), "is not supported beside enum or const");
    }
    const listed = schema.enum ?? [schema.const];
    if (!Array.isArray(listed)) throw new SchemaError(within(pointer, "enum"), "must be a list");
    if (listed.length > MOST_SCHEMAS) {
      throw new SchemaError(within(pointer, "enum"), `has more than ${MOST_SCHEMAS} values`);
    }
    const fits = (value: unknown) =>
      (types ?? TYPES).some((type) =>
        type === typeOf(value) ||
        (type === "number" && typeOf(value) === "integer")
      ) && (!("const" in schema) || written(value) === written(schema.const));
    return choice(...listed.filter(fits).map((value) => literal(written(value))));
  }

  *#ofType(type: JsonType, schema: SchemaObject, pointer: string): Work<Maybe> {
    switch (type) {
      case "null":
        return NULL;
      case "boolean":
        return BOOLEAN;
      case "string":
        return yield* stringLanguage(schema, pointer, this.#allowance);
      case "integer":
      case "number":
        return numberLanguage(type, schema, pointer);
      case "array":
        return yield* this.#array(schema, pointer);
      case "object":
        return yield* this.#members(schema, pointer);
    }
  }

  *#array(schema: SchemaObject, pointer: string): Work<Maybe> {
    const least = countOf(schema, "minItems", pointer) ?? 0;
    const most = countOf(schema, "maxItems", pointer) ?? Infinity;
    const { items = true } = schema;
    if (schema.uniqueItems === true && most > 1) {
      const isListed = schema.prefixItems !== undefined;
      return yield* this.#unique(isListed ? undefined : items, pointer, least, most);
    }
    // Older drafts, and programs that still write them, have the list under this name.
    const [listName, prefixItems] = Array.isArray(items)
      ? ["items", items]
      : ["prefixItems", schema.prefixItems];
    if (Array.isArray(items) && schema.prefixItems !== undefined) {
      throw new SchemaError(within(pointer, "items"), "is no schema: it must be an object");
    }
    if (prefixItems === undefined) {
      return arrayOf(
        most === 0 ? undefined : yield* this.value(items, within(pointer, "items")),
        least,
        most,
      );
    }
    const at = within(pointer, listName);
    if (!Array.isArray(prefixItems)) throw new SchemaError(at, "must be a list of schemas");
    if (least > prefixItems.length || most < prefixItems.length) {
      throw new SchemaError(at, "is only supported for arrays of just so many items");
    }
    const all = yield* each(prefixItems, (item, i) => this.value(item, within(at, i)));
    const listed = all.flatMap((item, i) => i === 0 ? [item] : [COMMA, item]);
    return sequence(literal("["), ...listed, literal("]"));
  }

  /** Arrays of different values of an enum, which stand in its order. */
  *#unique(items: unknown, pointer: string, least: number, most: number): Work<Maybe> {
    const at = within(pointer, "items");
    const opened = this.#open.length;
    const flat = isObject(items) ? yield* this.#flat(items, at) : undefined;
    this.#open.length = opened;
    const values = (Array.isArray(flat?.enum) ? flat.enum : [])
      .filter((value, i, all) => all.findIndex((one) => sameValue(one, value)) === i);
    const isServed = values.length > 0 && values.length <= MOST_UNIQUE && least <= 1 &&
      most >= values.length;
    if (!isServed) {
      throw new SchemaError(
        within(pointer, "uniqueItems"),
        `is only supported for items of an enum of up to ${MOST_UNIQUE} values, without other ` +
          "counts than minItems 1",
      );
    }
    const read = yield* each(values, (value) => this.value({ ...flat, enum: [value] }, at));
    const all = read.filter((one) => one !== undefined);
    const from = choice(
      ...all.map((one, i) =>
        sequence(one, ...all.slice(i + 1).map((next) => optional(sequence(COMMA, next))))
      ),
    );
    return sequence(literal("["), least === 0 ? optional(from) : from, literal("]"));
  }

  *#members(schema: SchemaObject, pointer: string): Work<Maybe> {
    const { properties = {}, required = [], additionalProperties = true, propertyNames } = schema;
    if (!isObject(properties)) {
      throw new SchemaError(within(pointer, "properties"), "must be an object of schemas");
    }
    if (!Array.isArray(required) || required.some((name) => typeof name !== "string")) {
      throw new SchemaError(within(pointer, "required"), "must be a list of names");
    }
    const least = countOf(schema, "minProperties", pointer) ?? 0;
    const most = countOf(schema, "maxProperties", pointer) ?? Infinity;
    const extra = required.filter((name) => !Object.hasOwn(properties, name));
    const names = [...Object.keys(properties), ...extra];
    if (names.length === 0 && additionalProperties !== false) {
      if (least > 1 || most < Infinity) {
        throw new SchemaError(
          within(pointer, most < Infinity ? "maxProperties" : "minProperties"),
          "is not supported for an object of any names",
        );
      }
      const name = propertyNames === undefined ? STRING : yield* this.value(
        { type: "string", allOf: [propertyNames] },
        within(pointer, "propertyNames"),
      );
      const value = yield* this.value(
        additionalProperties,
        within(pointer, "additionalProperties"),
      );
      return objectOf(name && value, name, least);
    }
    const mayBeCalled = yield* this.#names(propertyNames, pointer);
    if (least > required.length || most < names.length) {
      throw new SchemaError(
        within(pointer, least > required.length ? "minProperties" : "maxProperties"),
        "is not supported where optional properties decide it",
      );
    }
    const all = [];
    for (const name of names) {
      const known = Object.hasOwn(properties, name);
      if (!mayBeCalled(name)) {
        if (required.includes(name)) return undefined;
        continue;
      }
      if (name === "__proto__") {
        throw new SchemaError(within(pointer, "properties", name), "is a name that readers drop");
      }
      const at = known ? within(pointer, "properties", name) : within(pointer, "required");
      const value = yield* this.value(known ? properties[name] : additionalProperties, at);
      const isRequired = required.includes(name);
      const language = sequence(literal(JSON.stringify(name)), COLON, value);
      if (language !== undefined) all.push({ language, required: isRequired });
      else if (isRequired) return undefined;
    }
    return sequence(literal("{"), members(all), literal("}"));
  }

  /** Whether a member may have a name. */
  *#names(propertyNames: unknown, pointer: string): Work<(name: string) => boolean> {
    if (propertyNames === undefined) return () => true;
    const schema = { type: "string", allOf: [propertyNames] };
    const language = yield* this.value(schema, within(pointer, "propertyNames"));
    if (language === undefined) return () => false;
    const automaton = yield* Automaton.of(language, this.#allowance);
    return (name) => automaton.matches(new TextEncoder().encode(JSON.stringify(name)));
  }
}
