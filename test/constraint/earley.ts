/**
 * Recognises a grammar's texts without any of the code under test: its own reading of the notation,
 * and Earley's algorithm (1970) on it, which needs no bound on recursion.
 */

type Matcher = (character: string) => boolean;
/** A symbol: a character that matches, or a rule's name. */
type Item = Matcher | string;
type Rules = Map<string, Item[][]>;

/** A function that tells whether a text is in the grammar. */
export function earley(grammar: string): (text: string) => boolean {
  const rules = read(grammar);
  const nullable = new Set<string>();
  for (let before = -1; before < nullable.size;) {
    before = nullable.size;
    for (const [name, options] of rules) {
      const isEmpty = options.some((all) =>
        all.every((one) => typeof one === "string" && nullable.has(one))
      );
      if (isEmpty) nullable.add(name);
    }
  }
  return (text) => recognises(rules, nullable, [...text]);
}

interface State {
  readonly name: string;
  readonly items: Item[];
  readonly dot: number;
  readonly from: number;
}

function recognises(rules: Rules, nullable: ReadonlySet<string>, text: string[]): boolean {
  const sets: State[][] = Array.from({ length: text.length + 1 }, () => []);
  const known = sets.map(() => new Set<string>());
  const ids = new Map([...rules.values()].flat().map((items, i) => [items, i]));
  const add = (at: number, state: State) => {
    const key = [state.name, ids.get(state.items), state.dot, state.from].join();
    if (known[at].has(key)) return;
    known[at].add(key);
    sets[at].push(state);
  };
  const predict = (name: string, at: number) =>
    rules.get(name)!.forEach((items) => add(at, { name, items, dot: 0, from: at }));
  predict("root", 0);
  for (let at = 0; at <= text.length; at++) {
    for (const state of sets[at]) {
      const next = state.items[state.dot];
      const moved = { ...state, dot: state.dot + 1 };
      if (next === undefined) {
        for (const waiting of sets[state.from]) {
          if (waiting.items[waiting.dot] !== state.name) continue;
          add(at, { ...waiting, dot: waiting.dot + 1 });
        }
      } else if (typeof next === "string") {
        predict(next, at);
        // Aycock and Horspool 2002: a rule that may be empty is also passed over.
        if (nullable.has(next)) add(at, moved);
      } else if (at < text.length && next(text[at])) add(at + 1, moved);
    }
  }
  return sets[text.length].some(({ name, items, dot, from }) =>
    name === "root" && from === 0 && dot === items.length
  );
}

/** Words of the notation: literals, classes, names, signs, ends of lines. */
const WORD =
  /"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|::=|\{[\d,]+\}|[\w-]+|[.()|*+?]|#[^\n]*|\n|[ \t]+/gu;

function read(grammar: string): Rules {
  const words = [...grammar.matchAll(WORD)].map(([word]) => word)
    .filter((word) => !/^[ \t#]/.test(word));
  const rules: Rules = new Map();
  let at = 0;
  let made = 0;
  const rule = (options: Item[][]): string => {
    rules.set(`<${made}>`, options);
    return `<${made++}>`;
  };
  const options = (end: (at: number) => boolean): Item[][] => {
    const all: Item[][] = [[]];
    for (; at < words.length && !end(at);) {
      const word = words[at++];
      const items = all.at(-1)!;
      if (word === "|") all.push([]);
      else if (word === "\n") continue;
      else if (word === "(") {
        items.push(rule(options((i) => words[i] === ")")));
        at++;
      } else if (/^[*+?{]/.test(word)) {
        const item = items.pop()!;
        const [least, most] = boundsOf(word);
        for (let i = 0; i < least; i++) items.push(item);
        if (most === Infinity) {
          const name = rule([[]]);
          rules.get(name)!.push([item, name]);
          items.push(name);
        } else {
          for (let i = least, rest: Item[] = []; i < most; i++) {
            const name = rule([[], [item, ...rest]]);
            rest = [name];
            if (i === most - 1) items.push(name);
          }
        }
      } else if (word[0] === '"') {
        const all = [...characters(word.slice(1, -1))].map(([code]): Item => (one) =>
          one.codePointAt(0) === code
        );
        // One item, since a repetition is of the whole literal.
        items.push(all.length === 1 ? all[0] : rule([all]));
      } else items.push(word[0] === "[" ? classOf(word) : word === "." ? () => true : word);
    }
    return all;
  };
  const begins = (i: number) => words[i + 1] === "::=";
  while (at < words.length) {
    const name = words[at++];
    if (name === "\n") continue;
    at++;
    rules.set(name, options(begins));
  }
  return rules;
}

function boundsOf(word: string): [number, number] {
  if (word === "*") return [0, Infinity];
  if (word === "+") return [1, Infinity];
  if (word === "?") return [0, 1];
  const [least, most = least] = word.slice(1, -1).split(",");
  return [Number(least), most === "" ? Infinity : Number(most)];
}

function classOf(word: string): Matcher {
  const negated = word[1] === "^";
  const all = [...characters(word.slice(negated ? 2 : 1, -1))];
  const ranges: [number, number][] = [];
  for (let i = 0; i < all.length; i++) {
    const isRange = i + 2 < all.length && all[i + 1][1] === "-";
    ranges.push([all[i][0], all[isRange ? i + 2 : i][0]]);
    if (isRange) i += 2;
  }
  return (one) => {
    const code = one.codePointAt(0)!;
    return ranges.some(([low, high]) => low <= code && code <= high) !== negated;
  };
}

/** Code points of a text with escapes, each with how it was written. */
function* characters(text: string): Generator<[number, string]> {
  const all = text.matchAll(/\\x(..)|\\u(.{4})|\\U(.{8})|\\(.)|(.|\n)/gu);
  for (const [written, x, u, U, escaped, plain] of all) {
    const hex = x ?? u ?? U;
    const known: Record<string, string> = { n: "\n", r: "\r", t: "\t" };
    if (hex !== undefined) yield [parseInt(hex, 16), written];
    else yield [(plain ?? known[escaped] ?? escaped).codePointAt(0)!, written];
  }
}
