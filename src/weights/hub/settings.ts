/** What the environment says of the hub: the variables that its own tools read. */

import { join } from "node:path";

/** The value of a variable; undefined where it is not set or may not be read. */
export type Variables = (name: string) => string | undefined;

/** Where the hub is, if nothing else is said. */
export const HUGGING_FACE = "https://huggingface.co";

/** Variables that say where the cache is. */
export const HUB_FOLDER_VARIABLES: readonly string[] = ["HF_HOME", "HF_HUB_CACHE", "USERPROFILE"];

/** Variables that only a download needs. */
export const HUB_NETWORK_VARIABLES: readonly string[] = [
  "HF_ENDPOINT",
  "HF_HUB_OFFLINE",
  "HF_TOKEN",
  "HF_TOKEN_PATH",
];

/** A variable of this process. It never prompts for a permission. */
export function ownVariable(name: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  return state === "granted" ? Deno.env.get(name) : undefined;
}

/**
 * The hub's cache folder: `HF_HUB_CACHE`, else `hub` in `HF_HOME`, else in the `huggingface` folder of
 * the user's caches. Undefined where no readable variable names a folder.
 */
export function hubCache(valueOf: Variables = ownVariable): string | undefined {
  const own = expanded(valueOf("HF_HUB_CACHE"), valueOf);
  if (own) return own;
  const home = hubHome(valueOf);
  return home && join(home, "hub");
}

/**
 * The hub's address, without a slash at its end.
 * @throws {Error} when `HF_ENDPOINT` is no address
 */
export function hubEndpoint(valueOf: Variables = ownVariable): string {
  const text = valueOf("HF_ENDPOINT")?.trim() || HUGGING_FACE;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.search || url.hash) {
    throw new Error(
      `HF_ENDPOINT is ${JSON.stringify(text)}, expected an address such as ${HUGGING_FACE}`,
    );
  }
  return url.href.replace(/\/+$/, "");
}

/**
 * The user's token: `HF_TOKEN`, else what the hub's own login has written into a file.
 * @throws {Error} when it cannot be sent; the error does not tell it, as the error of a request would
 */
export function hubToken(valueOf: Variables = ownVariable): string | undefined {
  const given = valueOf("HF_TOKEN")?.trim();
  const file = given ? undefined : tokenFile(valueOf);
  const token = given || textOf(file);
  if (token && !/^[\x21-\x7e]+$/.test(token)) {
    throw new Error(
      `${file ?? "HF_TOKEN"} holds blanks or characters that no token has: set HF_TOKEN to a token`,
    );
  }
  return token || undefined;
}

function textOf(file: string | undefined): string | undefined {
  try {
    return file && Deno.readTextFileSync(file).trim();
  } catch {
    // There is none, or it may not be read: most repositories need none.
    return undefined;
  }
}

/** Where the hub's own login writes the token. */
export function tokenFile(valueOf: Variables = ownVariable): string | undefined {
  const own = expanded(valueOf("HF_TOKEN_PATH"), valueOf);
  if (own) return own;
  const home = hubHome(valueOf);
  return home && join(home, "token");
}

/** Whether the hub must not be asked. */
export function isOffline(valueOf: Variables = ownVariable): boolean {
  return /^(1|on|yes|true)$/i.test(valueOf("HF_HUB_OFFLINE")?.trim() ?? "");
}

function hubHome(valueOf: Variables): string | undefined {
  const own = expanded(valueOf("HF_HOME"), valueOf);
  if (own) return own;
  const caches = expanded(valueOf("XDG_CACHE_HOME"), valueOf);
  if (caches) return join(caches, "huggingface");
  const home = userFolder(valueOf);
  return home && join(home, ".cache", "huggingface");
}

function userFolder(valueOf: Variables): string | undefined {
  return (Deno.build.os === "windows" ? valueOf("USERPROFILE") : undefined) || valueOf("HOME") ||
    undefined;
}

/** A path in which `~` is the user's folder, as the hub's tools read it. */
function expanded(path: string | undefined, valueOf: Variables): string | undefined {
  if (!path || !/^~($|[/\\])/.test(path)) return path || undefined;
  const home = userFolder(valueOf);
  return home && join(home, path.slice(1));
}
