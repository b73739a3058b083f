/** API keys: where they come from, and as digests, which is all that a server keeps of them. */
import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";

/** A key's digest as it may stand in place of the key, in a file or an option. */
const DIGEST = /^sha256:([0-9a-f]{64})$/i;

/** A key as `sha256:` and 64 hex digits; what is written so already stays. */
export function keyDigest(key: string): string {
  return DIGEST.test(key) ? key.toLowerCase() : `sha256:${digest(key).toString("hex")}`;
}

/** The keys of a file: one a line, without the spaces around it; `#` begins a comment line. */
export function keysOfFile(text: string): readonly string[] {
  return text.split("\n").map((line) => line.trim()).filter((line) => !/^(#|$)/.test(line));
}

/**
 * Makes the function that tells whether a text is one of the keys. The time that it takes reveals
 * neither a key's length nor its characters.
 * @param keys keys, or their digests
 * @throws {TypeError} when a key is empty
 */
export function keyRule(keys: readonly string[]): (sent: string) => boolean {
  if (keys.some((key) => key.trim() === "")) {
    throw new TypeError("apiKeys: expected non-empty keys, found an empty one");
  }
  const digests = keys.map((key) => Buffer.from(DIGEST.exec(keyDigest(key))![1], "hex"));
  return (sent) => {
    const own = digest(sent);
    let known = false;
    for (const one of digests) known = timingSafeEqual(one, own) || known;
    return known;
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
