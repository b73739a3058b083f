/** Turns tokens that are decided in any order into the text that may be shown so far. */

/** Why a text ended: `stop` at an end token or stop string, `length` at the token limit. */
export type FinishReason = "stop" | "length";

/** Options of what ends the text. */
export interface TextStreamOptions {
  /** Token ids that end the answer; the first one in it counts. */
  readonly endTokens: Iterable<number>;
  /**
   * Stop strings: the text is cut before the first one that is complete (of several, the longest).
   */
  readonly stop?: readonly string[];
  /** Whether the text keeps the stop string that ends it (default false). */
  readonly keepStop?: boolean;
  /** Limit of tokens to show; default: no limit. */
  readonly maxTokens?: number;
}

/** A token fixed at a position. */
export interface PlacedToken {
  /** Position in the generation, from 0. */
  readonly position: number;
  /** Its token id. */
  readonly token: number;
}

/** The part of a tokenizer that gives the bytes of tokens. */
export interface TokenBytes {
  /** UTF-8 bytes that a token adds to a text; none for a token that is not shown. */
  tokenBytes(id: number): Uint8Array<ArrayBuffer>;
}

/**
 * The text of the committed left prefix of one generation, in deltas. A delta holds whole
 * characters, no part of a stop string, and nothing after the end. All deltas in order make up
 * {@linkcode text}.
 */
export class TextStream {
  readonly #tokens: TokenBytes;
  readonly #endTokens: ReadonlySet<number>;
  readonly #stop: readonly string[];
  readonly #keepStop: boolean;
  readonly #maxTokens: number;
  readonly #committed = new Map<number, number>();
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #prefixLength = 0;
  #text = "";
  /** Decoded text that is held back, since it may be the start of a stop string. */
  #held = "";
  #finishReason: FinishReason | undefined;
  #stopText: string | undefined;
  #completionTokens = 0;

  /**
   * Starts a stream.
   * @throws {RangeError} for an empty stop string, or a limit that is not a positive integer
   */
  constructor(tokens: TokenBytes, options: TextStreamOptions) {
    const { endTokens, stop = [], keepStop = false, maxTokens = Infinity } = options;
    if (stop.includes("")) throw new RangeError("a stop string is empty: leave it out");
    if (!(maxTokens >= 1) || (maxTokens !== Infinity && !Number.isInteger(maxTokens))) {
      throw new RangeError(`maxTokens is ${maxTokens}, expected a positive integer`);
    }
    this.#tokens = tokens;
    this.#endTokens = new Set(endTokens);
    this.#stop = stop.map((text) => text.toWellFormed());
    this.#keepStop = keepStop;
    this.#maxTokens = maxTokens;
  }

  /** Text that may be shown so far. */
  get text(): string {
    return this.#text;
  }

  /** Length of the committed left prefix, in positions, including those after the end. */
  get prefixLength(): number {
    return this.#prefixLength;
  }

  /**
   * Why the text ended: `stop` or `length`; undefined while more text may come.
   */
  get finishReason(): FinishReason | undefined {
    return this.#finishReason;
  }

  /** The stop string that ended the text, if one did. */
  get stopText(): string | undefined {
    return this.#stopText;
  }

  /**
   * Number of tokens in the prefix, up to and including its first end token or the token that
   * completed a stop string, or up to the limit.
   */
  get completionTokens(): number {
    return this.#completionTokens;
  }

  /**
   * Adds commits in any order.
   * @returns the text that the prefix gained, often ""
   * @throws {RangeError} for a position that is not an integer from 0, or is committed as another
   * token
   */
  commit(commits: Iterable<PlacedToken>): string {
    for (const { position, token } of commits) {
      const known = this.#committed.get(position);
      if (!Number.isSafeInteger(position) || position < 0) {
        throw new RangeError(`position is ${position}, expected an integer from 0`);
      }
      if (known !== undefined && known !== token) {
        throw new RangeError(
          `position ${position} of the generation is committed as token ${known}, found ${token}`,
        );
      }
      this.#committed.set(position, token);
    }
    const shown = this.#text.length;
    while (this.#committed.has(this.#prefixLength)) {
      const token = this.#committed.get(this.#prefixLength++)!;
      if (this.#finishReason === undefined) this.#append(token);
    }
    return this.#text.slice(shown);
  }

  /**
   * Ends the text when no more commits come. Text that was held back is shown, and the reason is
   * `length` if nothing ended the text before.
   * @returns the text gained
   */
  finish(): string {
    const shown = this.#text.length;
    if (this.#finishReason === undefined) this.#end("length");
    return this.#text.slice(shown);
  }

  #append(token: number): void {
    this.#completionTokens++;
    if (this.#endTokens.has(token)) return this.#end("stop");
    this.#take(this.#decoder.decode(this.#tokens.tokenBytes(token), { stream: true }));
    if (this.#finishReason !== undefined) return;
    if (this.#completionTokens === this.#maxTokens) this.#end("length");
  }

  #end(reason: FinishReason): void {
    this.#finishReason = reason;
    this.#take(this.#decoder.decode());
    this.#text += this.#held;
    this.#held = "";
  }

  /** Shows decoded text up to a stop string, or up to a possible beginning of one. */
  #take(decoded: string): void {
    const text = this.#held + decoded;
    const cut = firstStop(text, this.#stop);
    if (cut !== undefined) {
      this.#finishReason = "stop";
      this.#stopText = cut.stop;
    }
    const kept = this.#keepStop && cut ? cut.stop.length : 0;
    const shown = cut ? cut.start + kept : text.length - openStop(text, this.#stop);
    this.#text += text.slice(0, shown);
    this.#held = cut === undefined ? text.slice(shown) : "";
  }
}

/** The first stop string that is complete (of several, the longest), and where it starts. */
function firstStop(
  text: string,
  stop: readonly string[],
): { readonly start: number; readonly stop: string } | undefined {
  let first: { start: number; end: number; stop: string } | undefined;
  for (const candidate of stop) {
    const start = text.indexOf(candidate);
    const end = start + candidate.length;
    if (start < 0 || (first && (end > first.end || (end === first.end && start > first.start)))) {
      continue;
    }
    first = { start, end, stop: candidate };
  }
  return first;
}

/** Length of the longest suffix of the text that is a beginning of a stop string. */
function openStop(text: string, stop: readonly string[]): number {
  let longest = 0;
  for (const candidate of stop) {
    for (let n = Math.min(candidate.length - 1, text.length); n > longest; n--) {
      if (candidate.startsWith(text.slice(text.length - n))) longest = n;
    }
  }
  return longest;
}
