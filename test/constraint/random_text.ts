/** A vocabulary and a "model" that commits random allowed tokens at random positions. */
import { Automaton } from "../../src/constraint/automaton.ts";
import type { Language } from "../../src/constraint/language.ts";
import { DONE, TokenAutomaton } from "../../src/constraint/token_automaton.ts";
import { Vocabulary } from "../../src/constraint/vocabulary.ts";
import { Window } from "../../src/constraint/window.ts";

/** Tokens that cross the boundaries of JSON's parts, and halves of characters. */
const CROSSING = [
  '{"',
  '":',
  '": ',
  '",',
  '", "',
  '"}',
  '"}]',
  ' "',
  "\n\n",
  "}}",
  "[[",
  "1,",
  "12",
  "true",
  "null}",
  "ab",
  "é",
  "\\n",
  '\\"',
  ', "a": ',
  "-",
  "0.",
];

/** The id of the end token of {@linkcode syntheticVocabulary}. */
export const END = 0;

/** Every byte as a token, and tokens that cross boundaries. */
export function syntheticVocabulary(): Vocabulary {
  const texts = CROSSING.map((text) => new TextEncoder().encode(text));
  const bytes = Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte));
  const all = [new Uint8Array(), ...bytes, ...texts, ...texts.slice(0, 2)];
  return new Vocabulary({ tokenBytes: (id) => all[id] ?? new Uint8Array() }, all.length);
}

/** Writes a text of a language within `length` tokens, in blocks, by chance alone. */
export function randomText(
  language: Language,
  vocabulary: Vocabulary,
  length: number,
  random: () => number,
): string {
  const automaton = new TokenAutomaton(new Automaton(language), vocabulary, [END]);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];
  const bytes: number[] = [];
  let state = automaton.start;
  const blockLength = 8;
  for (let start = 0; start < length && state !== DONE; start += blockLength) {
    const block = Math.min(blockLength, length - start);
    const window = new Window(automaton, state, block, length - start - block);
    const tokens = new Array<number>(block);
    for (let masked = window.masked; masked.length > 0; masked = window.masked) {
      const position = pick(masked);
      // End tokens are rare among so many.
      const allowed = window.allowed(position);
      const token = allowed.includes(END) && random() < 0.3 ? END : pick(allowed);
      window.commit(position, token);
      tokens[position] = token;
    }
    for (const token of tokens) bytes.push(...vocabulary.bytesOf(token));
    [state] = window.statesAt(block);
  }
  return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(bytes));
}

/** Random numbers in [0, 1) of a seed (mulberry32). */
export function seeded(seed: number): () => number {
  return () => {
    seed = seed + 0x6d2b79f5 | 0;
    let t = Math.imul(seed ^ seed >>> 15, 1 | seed);
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t;
    return ((t ^ t >>> 14) >>> 0) / 2 ** 32;
  };
}
