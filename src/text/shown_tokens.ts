/** Tells which tokens the text shown so far is made of. */

import type { TokenBytes } from "./text_stream.ts";

/** A token's place in the text, in UTF-16 units, with what is known of the token. */
interface PlacedText<T> {
  readonly value: T;
  readonly start: number;
  /** End of the character that its bytes complete or are part of. */
  end: number;
}

/**
 * The tokens of a generation's left prefix, in order, as the text shows them. A token that holds part
 * of a character is shown with the token that completes it; a token without text never is.
 */
export class ShownTokens<T> {
  readonly #tokens: TokenBytes;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  readonly #committed = new Map<number, { readonly token: number; readonly value: T }>();
  readonly #waiting: PlacedText<T>[] = [];
  #prefixLength = 0;
  #length = 0;
  /** Tokens at the end of `#waiting` whose character is not complete. */
  #open = 0;

  constructor(tokens: TokenBytes) {
    this.#tokens = tokens;
  }

  /** Adds the token of a position, in any order of positions. */
  commit(position: number, token: number, value: T): void {
    this.#committed.set(position, { token, value });
    for (let next = this.#committed.get(this.#prefixLength); next;) {
      this.#committed.delete(this.#prefixLength++);
      this.#append(next.token, next.value);
      next = this.#committed.get(this.#prefixLength);
    }
  }

  #append(token: number, value: T): void {
    const bytes = this.#tokens.tokenBytes(token);
    if (bytes.length === 0) return;
    const start = this.#length;
    this.#length += this.#decoder.decode(bytes, { stream: true }).length;
    this.#waiting.push({ value, start, end: Infinity });
    this.#open++;
    if (this.#length === start) return;
    for (const placed of this.#waiting.slice(-this.#open)) placed.end = this.#length;
    this.#open = 0;
  }

  /** Takes the next tokens, up to the last whose characters stand within the text's first `length`. */
  take(length: number): T[] {
    const after = this.#waiting.findIndex(({ end }) => end > length);
    const count = after < 0 ? this.#waiting.length : after;
    return this.#waiting.splice(0, count).map(({ value }) => value);
  }

  /** Takes the next tokens of a text that has ended: also one that the end cuts. */
  takeLast(length: number): T[] {
    return this.#waiting.splice(0).filter(({ start }) => start < length)
      .map(({ value }) => value);
  }
}
