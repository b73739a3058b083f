/** Bodies of translated routes: how they are read, and the pieces of their schemas. */
import type { Context } from "hono";
import { z } from "zod";
import { ApiError } from "../errors.ts";
import { type BodyLimits, readJson } from "../json_body.ts";
import { issueError } from "../request_issue.ts";

// The `error` of every rule says what is expected; request_issue.ts puts it into a sentence.

/** Any text. */
export const text = z.string({ error: "text" });
/** True or false. */
export const flag = z.boolean({ error: "true or false" });
/** A number. */
export const amount = z.number({ error: "a number" });
/** A whole number, also a negative one. */
export const whole = z.int({ error: "a whole number" });
/** Any object. */
export const object = z.looseObject({}, { error: "an object" });

/** One of several names. */
export function oneOf<const T extends readonly string[]>(...names: T) {
  return z.enum(names, { error: names.map((name) => JSON.stringify(name)).join(" or ") });
}

/** A list. @param of what it holds, in words */
export function listOf<T extends z.ZodType>(item: T, of: string) {
  return z.array(item, { error: `a list of ${of}` });
}

/** An object with at least these fields. Others are kept. */
export function fields<S extends z.ZodRawShape>(shape: S) {
  return z.looseObject(shape, { error: "an object" });
}

/** Fields by name. */
export type Fields = Readonly<Record<string, unknown>>;

/**
 * Reads a body and checks it. Fields that are null count as absent, at the top.
 * @param anyType whether the body is JSON whatever its Content-Type says: curl names a form
 * @throws {ApiError} naming the field that is wrong, and as {@linkcode readJson}
 */
export async function readBody<S extends z.ZodType>(
  c: Context,
  schema: S,
  limits: BodyLimits,
  { anyType = false }: { readonly anyType?: boolean } = {},
): Promise<z.output<S>> {
  const body = withoutNulls(await readJson(anyType ? asJson(c.req.raw) : c.req.raw, limits));
  const parsed = schema.safeParse(body);
  if (!parsed.success) throw issueError(parsed.error.issues[0], body, []);
  return parsed.data;
}

function asJson(request: Request): Request {
  const headers = new Headers(request.headers);
  headers.set("content-type", "application/json");
  return new Request(request.url, { method: "POST", headers, body: request.body });
}

/** A body whose fields that are null are absent, at the top. */
export function withoutNulls(body: unknown): unknown {
  if (typeof body !== "object" || body === null || Array.isArray(body)) return body;
  return Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null));
}

/** All fields but those named. */
export function without(fields: Fields, ...names: readonly string[]): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => !names.includes(name)));
}

/** Those of some names that a request has as fields. */
export function present(fields: Fields, names: readonly string[]): readonly string[] {
  return names.filter((name) => fields[name] !== undefined);
}

/** Refuses a field by name, with the reason. */
export function refuse(param: string, reason: string): ApiError {
  return new ApiError(
    400,
    "unsupported_parameter",
    `Unsupported parameter: '${param}'. ${reason}`,
    {
      param,
    },
  );
}

/** 32 random hex digits behind a prefix. */
export function newId(prefix: string): string {
  return prefix + crypto.randomUUID().replaceAll("-", "");
}
