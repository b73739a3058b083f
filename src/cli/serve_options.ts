/** Values of options that `unmask serve` alone has. */

import { InvalidArgumentError } from "commander";
import { keyDigest, keysOfFile } from "../server/api_keys.ts";

/** Values of `--api-key` and `--api-keys` as commander parses them. */
export interface KeyFlags {
  readonly apiKey?: readonly string[];
  readonly apiKeys?: string;
}

/** A model's name: it stands in headers, paths and logs. */
export function modelName(text: string): string {
  if (/^[!-~]{1,200}$/.test(text)) return text;
  throw new InvalidArgumentError("expected 1 to 200 visible ASCII characters without spaces");
}

/** A page's origin as browsers write it, or `*`. */
export function pageOrigin(text: string): string {
  const name = /[a-z\d]([a-z\d-]*[a-z\d])?(\.[a-z\d]([a-z\d-]*[a-z\d])?)*/.source;
  const known = `\\*|null|[a-z][a-z\\d+.-]*://[^/\\s,]+|${name}|\\[[\\da-f:]+\\]`;
  if (new RegExp(`^(${known})$`, "i").test(text)) return text;
  throw new InvalidArgumentError(
    "expected *, a host's name, such as localhost, for its pages at any port, or an origin " +
      "without a path, such as https://chat.example or app://obsidian.md",
  );
}

/**
 * Digests of the keys of `--api-key`, `--api-keys` and `UNMASK_API_KEYS`.
 * @throws {Error} when a key is empty, or the file cannot be read or holds none
 */
export function keysOf({ apiKey = [], apiKeys: file }: KeyFlags): readonly string[] {
  const fromEnvironment = Deno.env.get("UNMASK_API_KEYS") || undefined;
  const keys = [...apiKey, ...fromEnvironment?.split(",") ?? []].map((key) => key.trim());
  if (keys.includes("")) throw new Error("an API key is empty, in --api-key or UNMASK_API_KEYS");
  return [...keys, ...file === undefined ? [] : keysIn(file)].map(keyDigest);
}

function keysIn(file: string): readonly string[] {
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (cause) {
    throw new Error(`--api-keys: ${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  const keys = keysOfFile(text);
  // A file that was emptied by mistake must not open the server.
  if (keys.length === 0) throw new Error(`--api-keys: ${file} holds no key`);
  return keys;
}
