/** Errors in the shape that each API's clients read. Routes and checks throw OpenAI's. */
import type { MiddlewareHandler } from "hono";
import { anthropicError } from "./anthropic/errors.ts";

/** An API with errors of its own shape. */
interface Family {
  readonly paths: RegExp;
  readonly body: (status: number, message: string) => unknown;
}

const FAMILIES: readonly Family[] = [
  { paths: /^(\/v1)?\/messages(\/count_tokens)?\/?$/, body: anthropicError },
  { paths: /^\/api\//, body: (_, message) => ({ error: message }) },
];

/** Puts the errors below it into the shape of the API that the path belongs to. */
export const familyErrors: MiddlewareHandler = async (c, next) => {
  await next();
  if (c.res.status < 400) return;
  const { pathname } = new URL(c.req.url);
  const family = FAMILIES.find(({ paths }) => paths.test(pathname));
  if (!family || c.res.body === null) return;
  const { status, headers } = c.res;
  const text = await c.res.text();
  const kept = new Headers(headers);
  kept.delete("content-length");
  c.res = Response.json(family.body(status, messageOf(text)), { status, headers: kept });
};

function messageOf(body: string): string {
  try {
    return String(JSON.parse(body).error.message);
  } catch {
    return body;
  }
}
