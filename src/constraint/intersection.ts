/** What two languages have in common. */

import { type Allowance, SizeError } from "./allowance.ts";
import { Automaton, DEAD } from "./automaton.ts";
import type { Work } from "./work.ts";
import { type Maybe, MOST_STATES, type StateLanguage } from "./language.ts";

type State = StateLanguage["states"][number];

/**
 * The texts that both languages hold: the product of their automata, without the states that lead to
 * no text.
 * @throws {SizeError} when one of them, or both together, take too many states, or longer than allowed
 */
export function* intersection(a: Maybe, b: Maybe, allowance: Allowance): Work<Maybe> {
  if (a === undefined || b === undefined) return undefined;
  const one = yield* Automaton.of(a, allowance);
  const other = yield* Automaton.of(b, allowance);
  const pairs = [[one.start, other.start]];
  const ids = new Map([[pairs[0].join(), 0]]);
  const states: { edges: { low: number; high: number; to: number }[]; accepts: boolean }[] = [];
  for (const [p, q] of pairs) {
    allowance.check();
    yield;
    if (pairs.length > MOST_STATES) {
      throw new SizeError(`both together take more than ${MOST_STATES} states: make it smaller`);
    }
    const edges: State["edges"][number][] = [];
    for (const byte of one.bytesFrom(p)) {
      const pair = [one.next(p, byte), other.next(q, byte)];
      if (pair[1] === DEAD) continue;
      const key = pair.join();
      const to = ids.get(key) ?? pairs.push(pair) - 1;
      ids.set(key, to);
      const last = edges.at(-1);
      if (last?.to === to && last.high === byte - 1) {
        edges[edges.length - 1] = { ...last, high: byte };
      } else edges.push({ low: byte, high: byte, to });
    }
    states.push({ edges, accepts: one.accepts(p) && other.accepts(q) });
  }
  return completable(states);
}

/** Leaves out states from which no text ends; nothing is left when the first is one of them. */
function completable(states: readonly State[]): Maybe {
  const before: number[][] = states.map(() => []);
  states.forEach(({ edges }, from) => edges.forEach(({ to }) => before[to].push(from)));
  const useful = new Set([...states.keys()].filter((i) => states[i].accepts));
  for (const state of useful) for (const from of before[state]) useful.add(from);
  if (!useful.has(0)) return undefined;
  const kept = [...states.keys()].filter((i) => useful.has(i));
  const newId = new Map(kept.map((old, i) => [old, i]));
  return {
    kind: "states",
    size: kept.length + 1,
    states: kept.map((old) => ({
      accepts: states[old].accepts,
      edges: states[old].edges.filter(({ to }) => useful.has(to))
        .map((edge) => ({ ...edge, to: newId.get(edge.to)! })),
    })),
  };
}
