/** Which pages of other origins may read this server's answers. */
import type { MiddlewareHandler } from "hono";
import { IGNORED_HEADER } from "./ignored_fields.ts";
import { SCHEMA_HEADER } from "./messages_schema.ts";

/** Seconds for which a browser may keep the answer to a preflight. */
const PREFLIGHT_SECONDS = "600";
/** Headers of an answer that a page may read besides the usual ones. */
const READABLE = [
  "X-Request-Id",
  IGNORED_HEADER,
  SCHEMA_HEADER,
  "Retry-After",
  "Retry-After-Ms",
  ...["requests", "tokens"].flatMap((what) =>
    ["limit", "remaining", "reset"].map((part) => `X-RateLimit-${part}-${what}`)
  ),
].join(", ");

/**
 * Whether pages of an origin are let in. An origin is compared as the browser writes it, because a
 * desktop app's (`app://obsidian.md`) is no web address.
 * @param origins of pages that may ask and read; `*` is any, and a host's name without a scheme its
 * pages over http and https at any port
 */
export function originRule(origins: readonly string[]): (origin: string) => boolean {
  const known = new Set(origins.map((origin) => origin.toLowerCase()));
  if (known.has("*")) return () => true;
  return (origin) => {
    const written = origin.toLowerCase();
    const host = /^https?:\/\/(\[[^\]]*\]|[^/:]+)(:\d+)?$/.exec(written)?.[1];
    return known.has(written) || (host !== undefined && known.has(host));
  };
}

/**
 * Answers preflights of pages from the origins, and lets those pages read every answer, errors too. A
 * preflight carries no key, so this comes before keys are asked for. A page of a named origin may send
 * the cookies that a proxy before the server asks for; where any page may ask, none may.
 * @param origins as in {@linkcode originRule}
 */
export function cors(origins: readonly string[]): MiddlewareHandler {
  const allowed = originRule(origins);
  const any = origins.includes("*");
  return async (c, next) => {
    const origin = c.req.header("origin");
    if (origin === undefined || !allowed(origin)) {
      await next();
      // What a cache keeps of an answer without an origin is no answer to one that has an origin.
      if (!any) c.res.headers.append("Vary", "Origin");
      return;
    }
    const preflight = c.req.method === "OPTIONS" &&
      c.req.header("access-control-request-method") !== undefined;
    if (preflight) c.res = new Response(null);
    else await next();
    const { headers } = c.res;
    headers.set("Access-Control-Allow-Origin", any ? "*" : origin);
    if (!any) {
      headers.set("Access-Control-Allow-Credentials", "true");
      headers.append("Vary", "Origin");
    }
    if (!preflight) {
      headers.set("Access-Control-Expose-Headers", READABLE);
      return;
    }
    headers.set("Access-Control-Allow-Methods", "GET, POST");
    const asked = c.req.header("access-control-request-headers");
    if (asked !== undefined) headers.set("Access-Control-Allow-Headers", asked);
    // Chrome asks so before a page from the net may reach a server on the user's own machine.
    if (c.req.header("access-control-request-private-network") === "true") {
      headers.set("Access-Control-Allow-Private-Network", "true");
    }
    headers.set("Access-Control-Max-Age", PREFLIGHT_SECONDS);
    headers.append("Vary", "Access-Control-Request-Headers");
  };
}
