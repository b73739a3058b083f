/** Regular expressions, in JavaScript's syntax, as languages. */

import { ANY, character, type CodeRange, complement, type Spelling } from "./characters.ts";
import { choice, EMPTY, list, type Maybe, MOST_STATES, sequence } from "./language.ts";

/** The error of a pattern that cannot be served; the message says what in it. */
export class PatternError extends Error {
  override readonly name = "PatternError";
}

/** How a pattern is read. */
export interface PatternOptions {
  readonly spelling: Spelling;
  /** Whether it is for the whole text (`regex`), or may be found in it (a schema's `pattern`). */
  readonly whole: boolean;
}

/**
 * Reads a pattern: characters, classes (`[a-z]`, `\d`, `\w`, `\s` and their opposites, `.`), groups,
 * alternatives, quantifiers (lazy or not), and `^` and `$` at the ends of an alternative. Without the
 * `u` flag's meaning a regular expression of JavaScript sees halves of surrogate pairs; this one sees
 * code points.
 * @throws {PatternError} naming what is not supported: look-around, references, `\b`, `\p`
 */
export function patternLanguage(pattern: string, options: PatternOptions): Maybe {
  return new PatternReader(pattern, options).read();
}

const DIGITS: readonly CodeRange[] = [[0x30, 0x39]];
const WORDS: readonly CodeRange[] = [...DIGITS, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
const SPACES: readonly CodeRange[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_ENDS: readonly CodeRange[] = [[0x0a, 0x0a], [0x0d, 0x0d], [0x2028, 0x2029]];
const CLASSES: Readonly<Record<string, readonly CodeRange[]>> = {
  d: DIGITS,
  w: WORDS,
  s: SPACES,
  D: complement(DIGITS),
  W: complement(WORDS),
  S: complement(SPACES),
};
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13, 0: 0 };
/** Groups in groups, at most. */
const MOST_DEPTH = 50;

/** A part of a pattern, and whether it says where the text begins and ends. */
interface Anchored {
  readonly language: Maybe;
  readonly begins: boolean;
  readonly ends: boolean;
}

class PatternReader {
  readonly #characters: readonly string[];
  readonly #options: PatternOptions;
  #at = 0;
  #depth = 0;

  constructor(pattern: string, options: PatternOptions) {
    this.#characters = [...pattern];
    this.#options = options;
  }

  read(): Maybe {
    const options = this.#alternatives(true).map(({ language, begins, ends }) => {
      const around = this.#options.whole ? EMPTY : list(this.#character(ANY), 0, Infinity);
      return sequence(begins ? EMPTY : around, language, ends ? EMPTY : around);
    });
    if (this.#at < this.#characters.length) throw this.#error("an unmatched )");
    return this.#checked(choice(...options));
  }

  #error(what: string): PatternError {
    return new PatternError(`${what} at character ${this.#at + 1}`);
  }

  #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #take(expected: string): boolean {
    const found = this.#characters.slice(this.#at, this.#at + expected.length).join("");
    if (found !== expected) return false;
    this.#at += expected.length;
    return true;
  }

  #checked(language: Maybe): Maybe {
    if (language !== undefined && language.size > MOST_STATES) {
      throw this.#error(`too many repetitions (${language.size} states)`);
    }
    return language;
  }

  #character(ranges: readonly CodeRange[]): Maybe {
    return character(ranges, this.#options.spelling);
  }

  #alternatives(outermost: boolean): Anchored[] {
    const options = [this.#alternative(outermost)];
    while (this.#take("|")) options.push(this.#alternative(outermost));
    return options;
  }

  #alternative(outermost: boolean): Anchored {
    const begins = outermost && this.#take("^");
    const parts: Maybe[] = [];
    for (let next = this.#peek(); next !== undefined && next !== "|" && next !== ")";) {
      if (next === "$" && outermost) {
        this.#at++;
        if (this.#peek() !== undefined && this.#peek() !== "|") throw this.#error("text behind $");
        return { language: sequence(...parts), begins, ends: true };
      }
      parts.push(this.#quantified());
      next = this.#peek();
    }
    return { language: this.#checked(sequence(...parts)), begins, ends: false };
  }

  #quantified(): Maybe {
    const atom = this.#atom();
    const [least, most] = this.#quantifier();
    if (least === 1 && most === 1) return atom;
    if (most < least) throw this.#error(`{${least},${most}} out of order`);
    return this.#checked(list(atom, least, most));
  }

  #quantifier(): readonly [least: number, most: number] {
    const bounds = this.#bounds();
    // Lazy or not makes no difference to what matches.
    if (bounds) this.#take("?");
    if (bounds && /^[*+?]$/.test(this.#peek() ?? "")) throw this.#error("nothing to repeat");
    return bounds ?? [1, 1];
  }

  #bounds(): readonly [least: number, most: number] | undefined {
    if (this.#take("*")) return [0, Infinity];
    if (this.#take("+")) return [1, Infinity];
    if (this.#take("?")) return [0, 1];
    const rest = this.#characters.slice(this.#at, this.#at + 24).join("");
    const braces = /^\{(\d{1,9})(,(\d{1,9})?)?\}/.exec(rest);
    if (!braces) return undefined;
    this.#at += braces[0].length;
    const least = Number(braces[1]);
    if (braces[2] === undefined) return [least, least];
    return [least, braces[3] === undefined ? Infinity : Number(braces[3])];
  }

  #atom(): Maybe {
    const next = this.#peek()!;
    if (next === "(") return this.#group();
    if (next === "[") return this.#character(this.#class());
    if (next === "\\") return this.#character(this.#escape(false));
    if (next === "^" || next === "$") throw this.#error(`${next} inside the pattern`);
    if ("*+?{}]".includes(next)) throw this.#error(`a ${next} without a backslash`);
    this.#at++;
    if (next === ".") return this.#character(complement(LINE_ENDS));
    const code = next.codePointAt(0)!;
    return this.#character([[code, code]]);
  }

  #group(): Maybe {
    if (++this.#depth > MOST_DEPTH) throw this.#error("groups nested too deep");
    this.#at++;
    if (this.#take("?")) {
      const named = this.#peek() === "<" && !["=", "!"].includes(this.#characters[this.#at + 1]);
      if (named) {
        while (this.#peek() !== undefined && this.#peek() !== ">") this.#at++;
        this.#at++;
      } else if (!this.#take(":")) throw this.#error("(? of look-around or flags");
    }
    const options = this.#alternatives(false);
    if (!this.#take(")")) throw this.#error("a group without its )");
    this.#depth--;
    return choice(...options.map(({ language }) => language));
  }

  #class(): CodeRange[] {
    this.#at++;
    const negated = this.#take("^");
    const ranges: CodeRange[] = [];
    while (!this.#take("]")) {
      const low = this.#classItem();
      const single = low.length === 1 && low[0][0] === low[0][1];
      const isRange = this.#peek() === "-" && this.#characters[this.#at + 1] !== "]";
      if (!isRange) {
        ranges.push(...low);
        continue;
      }
      this.#at++;
      const high = this.#classItem();
      if (!single || high.length !== 1 || high[0][0] !== high[0][1]) {
        throw this.#error("a range between classes");
      }
      if (high[0][0] < low[0][0]) throw this.#error("a range out of order");
      ranges.push([low[0][0], high[0][0]]);
    }
    return negated ? complement(ranges) : ranges;
  }

  #classItem(): readonly CodeRange[] {
    const next = this.#peek();
    if (next === undefined) throw this.#error("a class without its ]");
    if (next === "\\") return this.#escape(true);
    this.#at++;
    const code = next.codePointAt(0)!;
    return [[code, code]];
  }

  #escape(inClass: boolean): readonly CodeRange[] {
    this.#at++;
    const next = this.#peek();
    if (next === undefined) throw this.#error("a backslash at the end");
    const rest = this.#characters.slice(this.#at, this.#at + 10).join("");
    if (next in CLASSES) {
      this.#at++;
      return CLASSES[next];
    }
    const hex = /^(?:x([\da-f]{2})|u([\da-f]{4})|u\{([\da-f]{1,6})\})/i.exec(rest);
    if (hex) {
      this.#at += hex[0].length;
      const code = parseInt(hex[1] ?? hex[2] ?? hex[3], 16);
      const isHalf = code >= 0xd800 && code <= 0xdfff;
      if (isHalf || code > 0x10ffff) throw this.#error(`\\${hex[0]}, which is no character,`);
      return [[code, code]];
    }
    if (inClass && next === "b") return this.#one(8);
    if (next in CONTROLS && !/^0\d/.test(rest)) return this.#one(CONTROLS[next]);
    if (/^[\p{L}\p{N}]$/u.test(next)) throw this.#error(`\\${next}`);
    return this.#one(next.codePointAt(0)!);
  }

  #one(code: number): CodeRange[] {
    this.#at++;
    return [[code, code]];
  }
}
