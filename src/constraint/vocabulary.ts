/** The tokens of a model as byte strings, in a tree of their common beginnings. */

import { DEAD } from "./automaton.ts";
import { finish, type Work } from "./work.ts";

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
  constructor(
    source: TokenSource,
    size: number,
    without: readonly number[] = [],
    tree: Tree = finish(treeOf(source, size, without)),
  ) {
    this.size = size;
    this.#bytes = tree.bytes;
    this.#byte = tree.byte;
    this.#depth = tree.depth;
    this.#behind = tree.behind;
    this.#token = tree.token;
    this.#twin = tree.twin;
    this.spellsAll = new Set(tree.bytes.filter(({ length }) => length === 1).map(([b]) => b))
      .size === 256;
  }

  /** Makes one in pieces. */
  static *of(source: TokenSource, size: number, without: readonly number[]): Work<Vocabulary> {
    return new Vocabulary(source, size, without, yield* treeOf(source, size, without));
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

/** What {@linkcode Vocabulary} keeps. */
interface Tree {
  readonly bytes: readonly Uint8Array[];
  readonly byte: Uint8Array;
  readonly depth: Uint16Array;
  readonly behind: Int32Array;
  readonly token: Int32Array;
  readonly twin: Int32Array;
}

function* treeOf(source: TokenSource, size: number, without: readonly number[]): Work<Tree> {
  const left = new Set(without);
  const bytes: Uint8Array[] = [];
  for (let id = 0; id < size; id++) {
    bytes.push(left.has(id) ? new Uint8Array() : source.tokenBytes(id));
    yield;
  }
  const twin = new Int32Array(size).fill(NONE);
  const nodes = bytes.reduce((sum, { length }) => sum + length, 0);
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
  for (const ids of byBeginning(bytes)) {
    ids.sort((a, b) => compare(bytes[a], bytes[b]) || a - b);
    for (const id of ids) {
      const own = bytes[id];
      let shared = 0;
      while (shared < before.length && before[shared] === own[shared]) shared++;
      close(shared);
      for (let i = shared; i < own.length; i++) {
        byte[count] = own[i];
        depth[count] = i;
        open.push(count++);
      }
      const last = open.at(-1)!;
      if (token[last] !== NONE) twin[id] = token[last];
      token[last] = id;
      before = own;
    }
    yield;
  }
  close(0);
  return {
    bytes,
    byte: byte.slice(0, count),
    depth: depth.slice(0, count),
    behind: behind.slice(0, count),
    token: token.slice(0, count),
    twin,
  };
}

/** Ids of tokens with the same two first bytes, ascending by these: all of them at once sort long. */
function byBeginning(bytes: readonly Uint8Array[]): number[][] {
  const groups: number[][] = [];
  for (const [id, [first, second = -1]] of bytes.entries()) {
    if (first !== undefined) (groups[257 * first + second + 1] ??= []).push(id);
  }
  return groups.filter((group) => group !== undefined);
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return a[i] - b[i];
  return a.length - b.length;
}
