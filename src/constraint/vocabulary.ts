/** The tokens of a model as byte strings, in a tree of their common beginnings. */

import { DEAD } from "./automaton.ts";

/** The part of a tokenizer that a vocabulary is made of. */
export interface TokenSource {
  /** UTF-8 bytes that a token adds to a text; none for a token that is not shown. */
  tokenBytes(id: number): Uint8Array<ArrayBuffer>;
}

/** Marks a node at which no token ends. */
const NONE = -1;

/**
 * All tokens that add to a text. Nodes of the tree lie in the order of a walk, each with the place
 * behind its branch, so that a branch is left out by one jump (llguidance does it so).
 */
export class Vocabulary {
  /** Number of ids, `[0, size)`. */
  readonly size: number;
  /** Ids of the tokens of one byte each, if every byte has one: then any text can be written. */
  readonly spellsAll: boolean;
  readonly #bytes: readonly Uint8Array[];
  readonly #byte: Uint8Array;
  readonly #depth: Uint16Array;
  /** The node behind a node's branch. */
  readonly #behind: Int32Array;
  readonly #token: Int32Array;
  /** Another token with the same bytes, or {@linkcode NONE}. */
  readonly #twin: Int32Array;

  /** @param size number of ids; the source has no bytes for those that it does not know */
  constructor(source: TokenSource, size: number, without: readonly number[] = []) {
    this.size = size;
    const left = new Set(without);
    this.#bytes = Array.from(
      { length: size },
      (_, id) => left.has(id) ? new Uint8Array() : source.tokenBytes(id),
    );
    this.#twin = new Int32Array(size).fill(NONE);
    const order = [...this.#bytes.keys()].filter((id) => this.#bytes[id].length > 0)
      .sort((a, b) => compare(this.#bytes[a], this.#bytes[b]) || a - b);
    const nodes = order.reduce((sum, id) => sum + this.#bytes[id].length, 0);
    const byte = new Uint8Array(nodes);
    const depth = new Uint16Array(nodes);
    const behind = new Int32Array(nodes);
    const token = new Int32Array(nodes).fill(NONE);
    const open: number[] = [];
    let count = 0;
    let before: Uint8Array = new Uint8Array();
    const close = (to: number) => {
      while (open.length > to) behind[open.pop()!] = count;
    };
    for (const id of order) {
      const bytes = this.#bytes[id];
      let shared = 0;
      while (shared < before.length && before[shared] === bytes[shared]) shared++;
      close(shared);
      for (let i = shared; i < bytes.length; i++) {
        byte[count] = bytes[i];
        depth[count] = i;
        open.push(count++);
      }
      const last = open.at(-1)!;
      if (token[last] !== NONE) this.#twin[id] = token[last];
      token[last] = id;
      before = bytes;
    }
    close(0);
    this.#byte = byte.slice(0, count);
    this.#depth = depth.slice(0, count);
    this.#behind = behind.slice(0, count);
    this.#token = token.slice(0, count);
    this.spellsAll = new Set(this.#bytes.filter(({ length }) => length === 1).map(([b]) => b))
      .size === 256;
  }

  /** Bytes of a token; none for one that no constraint may use. */
  bytesOf(token: number): Uint8Array {
    return this.#bytes[token] ?? new Uint8Array();
  }

  /**
   * Visits every token whose bytes lead on from a state, until `visit` returns true. Of tokens with
   * the same bytes one is visited; {@linkcode twinsOf} names the others.
   * @param next the state behind a byte, or {@linkcode DEAD}
   */
  walk(
    state: number,
    next: (state: number, byte: number) => number,
    visit: (token: number, state: number) => boolean | void,
  ): void {
    const states = [state];
    const end = this.#byte.length;
    for (let node = 0; node < end;) {
      const depth = this.#depth[node];
      const to = next(states[depth], this.#byte[node]);
      if (to === DEAD) {
        node = this.#behind[node];
        continue;
      }
      states[depth + 1] = to;
      if (this.#token[node] !== NONE && visit(this.#token[node], to)) return;
      node++;
    }
  }

  /** Other tokens with the bytes of one that {@linkcode walk} visited. */
  twinsOf(token: number): number[] {
    const twins: number[] = [];
    for (let twin = this.#twin[token]; twin !== NONE; twin = this.#twin[twin]) twins.push(twin);
    return twins;
  }
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}
