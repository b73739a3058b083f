/**
 * Reads grammars in llama.cpp's notation, GBNF (grammars/README.md there), whose rules are literals,
 * classes of characters, names of other rules, groups, alternatives and repetitions.
 */

import { ANY, type CodeRange, complement } from "./characters.ts";

/** The error of a grammar that cannot be served; the message says the line, and what was expected. */
export class GrammarError extends Error {
  override readonly name = "GrammarError";
}

/** A part of a rule. */
export type GrammarPart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "set"; readonly ranges: readonly CodeRange[] }
  | { readonly kind: "rule"; readonly name: string; readonly line: number }
  | { readonly kind: "sequence"; readonly parts: readonly GrammarPart[] }
  | { readonly kind: "choice"; readonly options: readonly GrammarPart[] }
  | {
    readonly kind: "repeat";
    readonly part: GrammarPart;
    readonly least: number;
    /** May be Infinity. */
    readonly most: number;
  };

/** A rule, and the line that it begins in, from 1. */
export interface GrammarRule {
  readonly body: GrammarPart;
  readonly line: number;
}

/** Rules of one grammar, at most. */
const MOST_RULES = 2000;
/** Groups in groups, at most. */
const MOST_DEPTH = 50;
const NAME = /[a-zA-Z0-9_-]/;
const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };
/** Digits of an escape of a code point. */
const DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/**
 * The rules of a grammar by their names. Names that no rule has are refused; `root` is one.
 * @throws {GrammarError} naming the line, and what was expected there
 */
export function readGrammar(text: string): ReadonlyMap<string, GrammarRule> {
  return new GrammarReader(text).rules();
}

class GrammarReader {
  readonly #characters: readonly string[];
  #at = 0;
  #line = 1;
  #depth = 0;

  constructor(text: string) {
    this.#characters = [...text.replaceAll("\r\n", "\n")];
  }

  rules(): ReadonlyMap<string, GrammarRule> {
    const rules = new Map<string, GrammarRule>();
    const used: { name: string; line: number }[] = [];
    for (this.#space(true); this.#peek() !== undefined; this.#space(true)) {
      const line = this.#line;
      const name = this.#name();
      if (name === "") throw this.#expected("the name of a rule");
      this.#space(false);
      if (!this.#take("::=")) throw this.#expected(`::= behind the name ${name}`);
      this.#space(true);
      const body = this.#alternatives(false, used);
      if (this.#peek() !== undefined && this.#peek() !== "\n") {
        throw this.#expected("a part of a rule, | or the end of the line");
      }
      const known = rules.get(name);
      if (known) {
        throw new GrammarError(
          `line ${line}: expected another name than ${name}, a rule of line ${known.line}`,
        );
      }
      rules.set(name, { body, line });
      if (rules.size > MOST_RULES) throw this.#expected(`at most ${MOST_RULES} rules`);
    }
    for (const { name, line } of used) {
      if (rules.has(name)) continue;
      throw new GrammarError(`line ${line}: expected the name of a rule, found ${cut(name)}`);
    }
    if (!rules.has("root")) {
      throw new GrammarError(`line ${this.#line}: expected a rule of the name root, found none`);
    }
    return rules;
  }

  #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #take(expected: string): boolean {
    for (let i = 0; i < expected.length; i++) {
      if (this.#characters[this.#at + i] !== expected[i]) return false;
    }
    this.#at += expected.length;
    return true;
  }

  #expected(what: string): GrammarError {
    const next = this.#peek();
    const rest = this.#characters.slice(this.#at, this.#at + 20).join("").split("\n")[0];
    const found = next === undefined
      ? "the end of the grammar"
      : next === "\n"
      ? "the end of the line"
      : rest;
    return new GrammarError(`line ${this.#line}: expected ${what}, found ${found}`);
  }

  /** Passes over blanks and comments; over ends of lines too, where a rule may go on behind them. */
  #space(lines: boolean): void {
    for (let next = this.#peek(); next !== undefined; next = this.#peek()) {
      if (next === "#") {
        while (this.#peek() !== undefined && this.#peek() !== "\n") this.#at++;
      } else if (next === " " || next === "\t" || (lines && next === "\n")) {
        if (next === "\n") this.#line++;
        this.#at++;
      } else return;
    }
  }

  #name(): string {
    const start = this.#at;
    while (NAME.test(this.#peek() ?? "")) this.#at++;
    return this.#characters.slice(start, this.#at).join("");
  }

  #alternatives(nested: boolean, used: { name: string; line: number }[]): GrammarPart {
    const options = [this.#sequence(nested, used)];
    while (this.#isNextOption()) {
      this.#space(true);
      this.#at++;
      this.#space(true);
      options.push(this.#sequence(nested, used));
    }
    return options.length === 1 ? options[0] : { kind: "choice", options };
  }

  /** Whether a | follows, be it at the beginning of a line. */
  #isNextOption(): boolean {
    const [at, line] = [this.#at, this.#line];
    this.#space(true);
    const found = this.#peek() === "|";
    [this.#at, this.#line] = [at, line];
    return found;
  }

  #sequence(nested: boolean, used: { name: string; line: number }[]): GrammarPart {
    const parts: GrammarPart[] = [];
    while (true) {
      this.#space(nested);
      const atom = this.#atom(used);
      if (atom === undefined) break;
      this.#space(nested);
      const bounds = this.#bounds();
      parts.push(bounds ? { kind: "repeat", part: atom, ...bounds } : atom);
    }
    return parts.length === 1 ? parts[0] : { kind: "sequence", parts };
  }

  #atom(used: { name: string; line: number }[]): GrammarPart | undefined {
    const next = this.#peek();
    if (next === undefined) return undefined;
    if (next === '"') return this.#text();
    if (next === "[") return this.#class();
    if (next === ".") {
      this.#at++;
      return { kind: "set", ranges: ANY };
    }
    if (next === "(") {
      if (++this.#depth > MOST_DEPTH) throw this.#expected("no more groups in groups");
      this.#at++;
      const group = this.#alternatives(true, used);
      this.#space(true);
      if (!this.#take(")")) throw this.#expected("a part of a rule, | or )");
      this.#depth--;
      return group;
    }
    if (next === "<" || next === "!") {
      throw this.#expected("no token (tokens are not supported, write their text)");
    }
    if (!NAME.test(next)) return undefined;
    const line = this.#line;
    const name = this.#name();
    used.push({ name, line });
    return { kind: "rule", name, line };
  }

  #bounds(): { readonly least: number; readonly most: number } | undefined {
    if (this.#take("*")) return { least: 0, most: Infinity };
    if (this.#take("+")) return { least: 1, most: Infinity };
    if (this.#take("?")) return { least: 0, most: 1 };
    if (this.#peek() !== "{") return undefined;
    const rest = this.#characters.slice(this.#at, this.#at + 40).join("");
    const braces = /^\{\s*(\d{0,9})\s*(,\s*(\d{0,9})\s*)?\}/.exec(rest);
    const [, from = "", comma, to = ""] = braces ?? [];
    if (!braces || (from === "" && to === "")) throw this.#expected("{m}, {m,} or {m,n}");
    const least = Number(from);
    const most = comma === undefined ? least : to === "" ? Infinity : Number(to);
    if (most < least) throw this.#expected("{m,n} with m no larger than n");
    this.#at += braces[0].length;
    return { least, most };
  }

  #text(): GrammarPart {
    this.#at++;
    let text = "";
    while (!this.#take('"')) text += this.#character('"');
    return { kind: "text", text };
  }

  #class(): GrammarPart {
    this.#at++;
    const negated = this.#take("^");
    const ranges: CodeRange[] = [];
    while (!this.#take("]")) {
      const low = this.#character("]").codePointAt(0)!;
      const isRange = this.#peek() === "-" && this.#characters[this.#at + 1] !== "]";
      if (isRange) this.#at++;
      const high = isRange ? this.#character("]").codePointAt(0)! : low;
      if (high < low) throw this.#expected("a range from a character to one behind it");
      ranges.push([low, high]);
    }
    if (ranges.length === 0 && !negated) throw this.#expected("a character in the class before");
    return { kind: "set", ranges: negated ? complement(ranges) : ranges };
  }

  /** A character of a literal or a class, which ends with `end`. */
  #character(end: string): string {
    const next = this.#peek();
    if (next === undefined || next === "\n") throw this.#expected(end);
    if (next !== "\\") {
      this.#at++;
      return next;
    }
    const kind = this.#characters[this.#at + 1] ?? "";
    const count = DIGITS[kind];
    if (count !== undefined) {
      const digits = this.#characters.slice(this.#at + 2, this.#at + 2 + count).join("");
      const code = parseInt(digits, 16);
      const isHalf = code >= 0xd800 && code <= 0xdfff;
      const isCode = digits.length === count && /^[\da-f]+$/i.test(digits) && code <= 0x10ffff;
      if (!isCode || isHalf) throw this.#expected(`\\${kind} and ${count} digits of a character`);
      this.#at += 2 + count;
      return String.fromCodePoint(code);
    }
    if (!/^[nrt!-/:-@[-`{-~]$/.test(kind)) {
      throw this.#expected("an escape: \\n, \\r, \\t, \\x, \\u, \\U or one of punctuation");
    }
    this.#at += 2;
    return ESCAPES[kind] ?? kind;
  }
}

/** A name short enough for a message. */
function cut(name: string): string {
  return name.length > 40 ? `${name.slice(0, 40)}...` : name;
}
