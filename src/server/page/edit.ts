/** Tokens of a finished answer that become masks again, and what then stands there. */
import { type Alternative, type Cell, cellsAt, type Trace } from "./trace.ts";

/** What the server answers to an edit of one span (src/server/fill/edits.ts). */
export interface EditAnswer {
  readonly text: string;
  readonly edits: readonly {
    readonly text: string;
    readonly tokens: readonly {
      readonly id: number;
      readonly text: string;
      readonly confidence: number;
    }[];
  }[];
}

/** The positions of the whole characters that a position's token is part of, in a finished answer. */
export function wholePositions(trace: Trace, position: number): readonly number[] {
  const cells = cellsAt(trace, trace.steps.length);
  let first = position;
  let last = position;
  // A character's last token shows it; those before it show nothing.
  while (first > 0 && cells[first - 1].text === "") first--;
  while (last < cells.length - 1 && cells[last].text === "") last++;
  return cells.slice(first, last + 1).map((cell) => cell.position);
}

/** Where positions stand in the answer's text, in characters (Unicode code points). */
export function spanOf(trace: Trace, positions: readonly number[]): { start: number; end: number } {
  const cells = cellsAt(trace, trace.steps.length);
  const points = (some: readonly Cell[]) => [...some.map(({ text }) => text).join("")].length;
  const start = points(cells.filter(({ position }) => position < positions[0]));
  return {
    start,
    end: start + points(cells.filter(({ position }) => positions.includes(position))),
  };
}

/** The record with one more step, in which positions are masks again. */
export function withMasks(trace: Trace, positions: readonly number[]): Trace {
  const cells = cellsAt(trace, trace.steps.length);
  const block = cells.find(({ position }) => position === positions[0])?.block ?? 0;
  const step = {
    block,
    length: cells.length,
    provisional: false,
    commits: [],
    guesses: [],
    masked: positions,
  };
  return { ...trace, steps: [...trace.steps, step] };
}

/** The record with a step more, in which the tokens of an edit stand where masks were put back. */
export function withEdit(masked: Trace, { text, edits: [edit] }: EditAnswer): Trace {
  const last = masked.steps[masked.steps.length - 1];
  const { masked: positions = [], ...step } = last;
  // Where a character has several tokens, the last shows it all.
  const split = edit.tokens.map((token) => token.text).join("") !== edit.text;
  const commits = edit.tokens.map(({ id, text: alone, confidence }, index) => ({
    position: positions[index],
    token: id,
    text: split ? index === edit.tokens.length - 1 ? edit.text : "" : alone,
    confidence,
  }));
  return { ...masked, text, steps: [...masked.steps, { ...step, commits }] };
}

/** The likeliest tokens at a cell, as long as the token stands there of which they are known. */
export function alternativesOf(trace: Trace, { position, step }: Cell): readonly Alternative[] {
  const commit = trace.steps[step - 1]?.commits.find((one) => one.position === position);
  const place = trace.places[position];
  return place && place.token === commit?.token ? place.alternatives : [];
}

/** The id of the token at a cell. */
export function tokenOf(trace: Trace, { position, step }: Cell): number | undefined {
  return trace.steps[step - 1]?.commits.find((one) => one.position === position)?.token;
}
