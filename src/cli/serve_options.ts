/** Values of options that `unmask serve` alone has. */

import { InvalidArgumentError } from "commander";
import { type ApiKey, keyDigest } from "../server/api_keys.ts";
import { type KeyLine, keysOfFile } from "../server/key_file.ts";

/** Bits of a file's mode that let group and others in; ssh keys may have none of them either. */
const OTHERS = 0o077;

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
 * The keys of `--api-key`, `--api-keys` and `UNMASK_API_KEYS`. Of a key that is in several of them the
 * file's line holds.
 * @throws {Error} when a key is empty, or the file cannot be read, is wrong or holds none
 */
export function keysOf({ apiKey = [], apiKeys: file }: KeyFlags): readonly ApiKey[] {
  const fromEnvironment = Deno.env.get("UNMASK_API_KEYS") || undefined;
  const keys = [...apiKey, ...fromEnvironment?.split(",") ?? []].map((key) => key.trim());
  if (keys.includes("")) throw new Error("an API key is empty, in --api-key or UNMASK_API_KEYS");
  const plain = keys.map((key): ApiKey => ({ digest: keyDigest(key) }));
  return [...plain, ...file === undefined ? [] : keysIn(file)];
}

function keysIn(file: string): readonly ApiKey[] {
  let text: string;
  try {
    text = Deno.readTextFileSync(file);
  } catch (cause) {
    throw new Error(`--api-keys: ${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  const lines = linesOf(text, file);
  // A file that was emptied by mistake must not open the server.
  if (lines.length === 0) throw new Error(`--api-keys: ${file} holds no key`);
  if (lines.some(({ isPlain }) => isPlain)) warnOfReaders(file);
  return lines.map(({ key }) => key);
}

function linesOf(text: string, file: string): readonly KeyLine[] {
  try {
    return keysOfFile(text);
  } catch (error) {
    throw new Error(`--api-keys: ${file}, ${(error as Error).message}`, { cause: error });
  }
}

/** Warns of a file whose keys others may read; a digest would say nothing of its key. */
function warnOfReaders(file: string): void {
  const { mode, isFile } = Deno.statSync(file);
  const others = (mode ?? 0) & OTHERS;
  if (!isFile || others === 0) return;
  const octal = (mode! & 0o777).toString(8).padStart(4, "0");
  console.error(
    `Warning: other users may read the keys of ${file} (its mode is ${octal}): chmod 600 it.`,
  );
}
