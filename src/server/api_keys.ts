/** API keys: as digests, which is all that a server keeps of them, and what each may do. */
import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";

/** A key as `sha256:` and hex digits, as it may stand in place of the key, in a file or an option. */
const DIGEST = /^sha256:([0-9a-f]{64})$/i;

/** What is known of a key, and what it may do. */
export interface ApiKey {
  /** `sha256:` and 64 hex digits. */
  readonly digest: string;
  /** What logs and metrics call it; without a name they do not tell whose request it was. */
  readonly name?: string;
  /** Whose turn comes first where requests wait: higher first, default 0. */
  readonly priority?: number;
  /** Most requests for answers in any 60 seconds. */
  readonly requestsPerMinute?: number;
  /** Most tokens, of prompts and answers, in any 60 seconds; an answer that has begun is not ended. */
  readonly tokensPerMinute?: number;
  /** Most requests for answers at once, those that wait for their turn among them. */
  readonly concurrent?: number;
}

/** A key as `sha256:` and 64 hex digits; what is written so already stays. */
export function keyDigest(key: string): string {
  return DIGEST.test(key) ? key.toLowerCase() : `sha256:${digest(key).toString("hex")}`;
}

/**
 * Makes the function that tells which of the keys a text is; of equal ones the last. The time that it
 * takes reveals neither a key's length nor its characters.
 * @param keys keys, or their digests, or what is known of them
 * @throws {TypeError} when a key is empty
 */
export function keyRule(
  keys: readonly (string | ApiKey)[],
): (sent: string) => ApiKey | undefined {
  if (keys.some((key) => typeof key === "string" && key.trim() === "")) {
    throw new TypeError("apiKeys: expected non-empty keys, found an empty one");
  }
  const known = keys.map((key) => typeof key === "string" ? { digest: keyDigest(key) } : key)
    .map((key) => ({ key, bytes: Buffer.from(DIGEST.exec(key.digest)![1], "hex") }));
  return (sent) => {
    const own = digest(sent);
    let found: ApiKey | undefined;
    for (const { key, bytes } of known) found = timingSafeEqual(bytes, own) ? key : found;
    return found;
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
