/** Who may talk to the server: hosts, origins and API keys. */
import { isIP } from "node:net";
import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { ApiError } from "./errors.ts";

/** Names under which a browser reaches a server that is bound to loopback. */
export const LOOPBACK_HOSTS: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];

/**
 * Refuses (403) a Host that is not in `allowedHosts`, and an Origin that is neither this server's
 * own nor on one of those hosts. Without this check any web page could use a local server: by DNS
 * rebinding (its own name, resolved to 127.0.0.1) or by a plain cross-site request.
 * @param allowedHosts host names without port, IPv6 in brackets
 * @param anyAddress whether every IP address is answered to as well: no name can be rebound to it
 */
export function hostGate(allowedHosts: readonly string[], anyAddress: boolean): MiddlewareHandler {
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
    if (origin !== undefined) {
      const from = parseUrl(origin);
      if (from === undefined || (from.host !== host?.host && !allowed(from.hostname))) {
        throw new ApiError(
          403,
          "origin_not_allowed",
          `Requests from web pages of ${quote(origin)} are not allowed.`,
        );
      }
    }
    await next();
  };
}

/** Refuses (401) every request without `Authorization: Bearer <one of apiKeys>`. */
export function keyGate(apiKeys: readonly string[]): MiddlewareHandler {
  if (apiKeys.some((key) => key.trim() === "")) {
    throw new TypeError("apiKeys: expected non-empty keys, found an empty one");
  }
  // Digests have equal lengths, so the time taken reveals neither a key's length nor its
  // characters.
  const digests = apiKeys.map(digest);
  return async (c, next) => {
    const header = c.req.header("authorization") ?? "";
    const sent = digest(/^bearer +(.+)$/i.exec(header)?.[1] ?? "");
    let known = false;
    for (const key of digests) known = timingSafeEqual(key, sent) || known;
    if (!known) {
      const message = header === ""
        ? "No API key: send it as 'Authorization: Bearer KEY'."
        : "Incorrect API key: send a key of this server as 'Authorization: Bearer KEY'.";
      throw new ApiError(401, "invalid_api_key", message, {
        headers: { "WWW-Authenticate": "Bearer" },
      });
    }
    await next();
  };
}

function digest(text: string): Uint8Array {
  return createHash("sha256").update(text).digest();
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
