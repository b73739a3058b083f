/** Grammars as languages: what is recursive ends after some rounds, since automata have no stack. */

import { Allowance, SizeError } from "./allowance.ts";
import { character } from "./characters.ts";
import { GrammarError, type GrammarPart, type GrammarRule, readGrammar } from "./grammar.ts";
import { each, finish, type Work } from "./work.ts";
import { choice, EMPTY, list, literal, type Maybe, MOST_STATES, sequence } from "./language.ts";

/** How often a rule may lead back into itself; fewer rounds where these take too many states. */
const MOST_ROUNDS = 3;
/** Rules that are read for one grammar, each as often as it is used. */
const MOST_RULES = 20_000;
/** Rules within rules, at most. */
const MOST_OPEN = 200;
/** Parts within parts, through all rules that are open: each takes room on the stack. */
const MOST_LEVELS = 500;

/**
 * The texts of a grammar's `root`, or some of them. A rule that leads back into itself at its end is
 * a repetition without limit; another one does so three times, or fewer if that takes too many
 * states. Whatever a grammar allows at all it also allows with the fewest rounds.
 * @throws {GrammarError} for what is no grammar, one whose rule begins with itself, or one without
 *   any text that ends
 * @throws {SizeError} when it takes too many states, or longer than allowed
 */
export function grammarLanguage(text: string, allowance: Allowance = new Allowance()): Maybe {
  return finish(grammarWork(text, allowance));
}

/** The same in pieces. */
export function* grammarWork(text: string, allowance: Allowance): Work<Maybe> {
  const rules = readGrammar(text);
  yield* checkBeginnings(rules, allowance);
  for (let rounds = MOST_ROUNDS;; rounds--) {
    try {
      const language = yield* new Unrolling(rules, rounds, allowance).rule("root");
      if (language !== undefined) return language;
      throw new GrammarError("root has no text that ends: expected a way out of its recursion");
    } catch (error) {
      allowance.check();
      if (!(error instanceof SizeError) || rounds === 1) throw error;
    }
  }
}

/** One reading of the rules, with so many rounds. */
class Unrolling {
  readonly #rules: ReadonlyMap<string, GrammarRule>;
  readonly #rounds: number;
  readonly #allowance: Allowance;
  /** Rules that are being read, outermost first. */
  readonly #open: string[] = [];
  #count = 0;
  #levels = 0;

  constructor(rules: ReadonlyMap<string, GrammarRule>, rounds: number, allowance: Allowance) {
    this.#rules = rules;
    this.#rounds = rounds;
    this.#allowance = allowance;
  }

  *rule(name: string): Work<Maybe> {
    this.#allowance.check();
    yield;
    if (this.#open.filter((one) => one === name).length >= this.#rounds) return undefined;
    if (++this.#count > MOST_RULES || this.#open.length > MOST_OPEN) {
      throw new SizeError(`its rule ${name} leads through too many others: make it smaller`);
    }
    this.#open.push(name);
    const language = yield* this.#body(name, this.#rules.get(name)!.body);
    this.#open.pop();
    if (language !== undefined && language.size > MOST_STATES) {
      throw new SizeError(`its rule ${name} takes ${language.size} states: make it smaller`);
    }
    return language;
  }

  *#body(name: string, body: GrammarPart): Work<Maybe> {
    const all = endings(name, body);
    if (!all.some(({ returns }) => returns)) return yield* this.#part(body);
    const ways = (returns: boolean) =>
      each(all.filter((one) => one.returns === returns), ({ parts }) => this.#sequence(parts));
    const last = choice(...yield* ways(false));
    return last && sequence(list(choice(...yield* ways(true)), 0, Infinity), last);
  }

  /** `x (sep x)*` is read as a list of x, whose states then stand once and not twice. */
  *#sequence(parts: readonly GrammarPart[]): Work<Maybe> {
    const made: Maybe[] = [];
    let from = 0;
    for (const [i, part] of parts.entries()) {
      if (part.kind !== "repeat" || part.least > 0 || part.part.kind !== "sequence") continue;
      const inner = part.part.parts;
      let same = 0;
      while (i - same - 1 >= from && same < inner.length && isSame(inner, parts, i, same)) same++;
      if (same === 0) continue;
      const read = (some: readonly GrammarPart[]) => each(some, (one) => this.#part(one));
      const separator = sequence(...yield* read(inner.slice(0, inner.length - same)));
      made.push(...yield* read(parts.slice(from, i - same)));
      const item = sequence(...yield* read(parts.slice(i - same, i)));
      made.push(separator ? list(item, 1, part.most + 1, separator) : item);
      from = i + 1;
    }
    return sequence(...made, ...yield* each(parts.slice(from), (one) => this.#part(one)));
  }

  *#part(part: GrammarPart): Work<Maybe> {
    if (++this.#levels > MOST_LEVELS) {
      throw new SizeError("it has too many parts within parts: make it smaller");
    }
    const language = yield* this.#read(part);
    this.#levels--;
    return language;
  }

  *#read(part: GrammarPart): Work<Maybe> {
    switch (part.kind) {
      case "text":
        return part.text === "" ? EMPTY : literal(part.text);
      case "set":
        return character(part.ranges, "raw");
      case "rule":
        return yield* this.rule(part.name);
      case "sequence":
        return yield* this.#sequence(part.parts);
      case "choice":
        return choice(...yield* each(part.options, (one) => this.#part(one)));
      case "repeat":
        return list(yield* this.#part(part.part), part.least, part.most);
    }
  }
}

/** Whether a part so far from the end of a group is the one so far before the group. */
function isSame(
  inner: readonly GrammarPart[],
  parts: readonly GrammarPart[],
  group: number,
  back: number,
): boolean {
  const [one, other] = [inner[inner.length - 1 - back], parts[group - 1 - back]];
  return written(one) === written(other);
}

/** A part without where it stands. */
function written(part: GrammarPart): string {
  return JSON.stringify(part, (name, value) => name === "line" ? undefined : value);
}

/** A way through a rule: its parts, and whether the rule itself follows them at their end. */
interface Ending {
  readonly parts: readonly GrammarPart[];
  readonly returns: boolean;
}

/** The ways through a rule, as far as they differ in whether it returns to itself at their end. */
function endings(name: string, part: GrammarPart): readonly Ending[] {
  if (part.kind === "rule" && part.name === name) return [{ parts: [], returns: true }];
  if (part.kind === "choice") return part.options.flatMap((one) => endings(name, one));
  if (part.kind === "sequence" && part.parts.length > 0) {
    const before = part.parts.slice(0, -1);
    return endings(name, part.parts.at(-1)!)
      .map(({ parts, returns }) => ({ parts: [...before, ...parts], returns }));
  }
  if (part.kind === "repeat" && part.least === 0 && part.most === 1) {
    return [...endings(name, part.part), { parts: [], returns: false }];
  }
  return [{ parts: [part], returns: false }];
}

/** @throws {GrammarError} naming a rule that may begin with itself, which llama.cpp refuses too */
function* checkBeginnings(
  rules: ReadonlyMap<string, GrammarRule>,
  allowance: Allowance,
): Work<void> {
  const empty = new Set<string>();
  for (let before = -1; before < empty.size;) {
    before = empty.size;
    for (const [name, { body }] of rules) if (mayBeEmpty(body, empty)) empty.add(name);
    allowance.check();
    yield;
  }
  for (const [name, { body, line }] of rules) {
    const reached = new Set(beginnings(body, empty));
    for (const one of reached) {
      for (const next of beginnings(rules.get(one)!.body, empty)) reached.add(next);
    }
    allowance.check();
    yield;
    if (!reached.has(name)) continue;
    throw new GrammarError(
      `line ${line}: expected a rule that begins with something else, found that ${name} may ` +
        "begin with itself (left recursion)",
    );
  }
}

function mayBeEmpty(part: GrammarPart, empty: ReadonlySet<string>): boolean {
  switch (part.kind) {
    case "text":
      return part.text === "";
    case "set":
      return false;
    case "rule":
      return empty.has(part.name);
    case "sequence":
      return part.parts.every((one) => mayBeEmpty(one, empty));
    case "choice":
      return part.options.some((one) => mayBeEmpty(one, empty));
    case "repeat":
      return part.least === 0 || mayBeEmpty(part.part, empty);
  }
}

/** Rules that a part may begin with. */
function beginnings(part: GrammarPart, empty: ReadonlySet<string>): string[] {
  switch (part.kind) {
    case "rule":
      return [part.name];
    case "sequence": {
      const end = part.parts.findIndex((one) => !mayBeEmpty(one, empty));
      return part.parts.slice(0, end < 0 ? undefined : end + 1)
        .flatMap((one) => beginnings(one, empty));
    }
    case "choice":
      return part.options.flatMap((one) => beginnings(one, empty));
    case "repeat":
      return beginnings(part.part, empty);
    default:
      return [];
  }
}
