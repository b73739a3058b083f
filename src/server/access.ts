/** Who may talk to the server: hosts, origins and API keys. */
import { isIP } from "node:net";
import type { MiddlewareHandler } from "hono";
import { type ApiKey, keyRule } from "./api_keys.ts";
import { originRule } from "./cors.ts";
import { ApiError } from "./errors.ts";
import { isPagePath } from "./page_route.ts";
import { recordOf } from "./request_record.ts";

/** Names under which a browser reaches a server that is bound to loopback. */
export const LOOPBACK_HOSTS: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Refuses (403) a Host that is not in `allowedHosts`, and an Origin that is neither this server's
 * own nor on one of those hosts. Without this check any web page could use a local server: by DNS
 * rebinding (its own name, resolved to 127.0.0.1) or by a plain cross-site request.
 * @param allowedHosts host names without port, IPv6 in brackets
 * @param anyAddress whether every IP address is answered to as well: no name can be rebound to it
 * @param origins of pages that may ask although they are on no such host
 */
export function hostGate(
  allowedHosts: readonly string[],
  anyAddress: boolean,
  origins: readonly string[] = [],
): MiddlewareHandler {
  const letIn = originRule(origins);
  const names = new Set(allowedHosts.map((name) => name.toLowerCase()));
  const allowed = (name: string) => names.has(name);
  const isAddress = (name: string) => isIP(name.replace(/^\[(.*)\]$/, "$1")) !== 0;
  return async (c, next) => {
    const written = c.req.header("host") ?? new URL(c.req.url).host;
    const host = parseUrl(`http://${written}`);
    if (
      host === undefined || !(allowed(host.hostname) || (anyAddress && isAddress(host.hostname)))
    ) {
      throw new ApiError(
        403,
        "host_not_allowed",
        `Host ${quote(written)} is not one that this server answers to (--allow-host names more).`,
      );
    }
    const origin = c.req.header("origin");
    if (origin !== undefined && !letIn(origin)) {
      const from = parseUrl(origin);
      if (from === undefined || (from.host !== host?.host && !allowed(from.hostname))) {
        throw new ApiError(
          403,
          "origin_not_allowed",
          `Requests from web pages of ${quote(origin)} are not allowed (--cors allows them).`,
        );
      }
    }
    await next();
  };
}

/** Whether a path is open without a key: whoever watches over a server has none, and the page asks for it. */
function isOpen(path: string): boolean {
  return path === "/health" || path === "/ready" || isPagePath(path);
}

/**
 * Refuses (401) every request without a key, but for how the server is, and for its page. A key comes as
 * `Authorization: Bearer KEY` or as `X-Api-Key: KEY`.
 * @param apiKeys the keys, or their digests, or what is known of them
 * @throws {TypeError} when a key is empty
 */
export function keyGate(apiKeys: readonly (string | ApiKey)[]): MiddlewareHandler {
  const known = keyRule(apiKeys);
  return async (c, next) => {
    if (isOpen(c.req.path)) return await next();
    const header = c.req.header("authorization") ?? "";
    const own = c.req.header("x-api-key") ?? "";
    const bearer = /^bearer +(.+)$/i.exec(header)?.[1] ?? "";
    // Both are compared, whichever fits: clients send a made-up key in the one they are not told of.
    const [byBearer, byOwn] = [known(bearer), known(own)];
    const key = byBearer ?? byOwn;
    if (!key) {
      const how = "as 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'.";
      const message = header === "" && own === ""
        ? `No API key: send it ${how}`
        : `Incorrect API key: send a key of this server ${how}`;
      throw new ApiError(401, "invalid_api_key", message, {
        headers: { "WWW-Authenticate": "Bearer" },
      });
    }
    recordOf(c).key = key;
    await next();
  };
}

function parseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch {
    return undefined;
  }
}

function quote(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}
