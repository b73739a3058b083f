/** Whether two schemas can both hold for one value, for `oneOf`. */

import { canonical, isObject, type SchemaObject, typesOf } from "./schema_parts.ts";

/** Whether no value is valid under both, as far as types and constants show it. */
export function areDisjoint(a: SchemaObject, b: SchemaObject): boolean {
  const [valuesA, valuesB] = [constants(a), constants(b)];
  if (valuesA && valuesB) {
    const known = new Set(valuesA.map(canonical));
    return !valuesB.some((one) => known.has(canonical(one)));
  }
  const [typesA, typesB] = [a, b].map((schema) =>
    schema.type === undefined ? undefined : typesOf(schema, "")
  );
  if (!typesA || !typesB) return false;
  const isNumber = (type: string) => type === "integer" ? "number" : type;
  const common = typesA.map(isNumber).filter((type) => typesB.map(isNumber).includes(type));
  if (common.length === 0) return true;
  if (common.some((type) => type !== "object")) return false;
  return Object.keys(properties(a)).some((name) => {
    const [one, other] = [properties(a)[name], properties(b)[name]];
    const inBoth = [a, b].every(({ required }) =>
      Array.isArray(required) && required.includes(name)
    );
    return inBoth && isObject(one) && isObject(other) && constants(one) !== undefined &&
      constants(other) !== undefined && areDisjoint(one, other);
  });
}

function properties({ properties }: SchemaObject): SchemaObject {
  return isObject(properties) ? properties : {};
}

function constants(schema: SchemaObject): readonly unknown[] | undefined {
  if ("const" in schema) return [schema.const];
  return Array.isArray(schema.enum) ? schema.enum : undefined;
}
