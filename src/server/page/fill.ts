/**
 * A text of which parts were filled: what was given, and what the model put between. Plain values;
 * nothing here knows the browser.
 */
import { cellsAt, type Chunk, EMPTY_TRACE, type Trace, withChunk } from "./trace.ts";

/** A token that was filled in. */
export interface FilledToken {
  readonly id: number;
  readonly text: string;
  readonly confidence: number;
}

/** A part of the text: given, or a filled token with the step that decided it, from 1. */
export type Piece =
  | { readonly kind: "given"; readonly text: string }
  | { readonly kind: "token"; readonly step: number } & FilledToken
  | { readonly kind: "mask" };

/** A hole that was filled; `start` in the new text, in characters (Unicode code points). */
export interface FilledHole {
  readonly start: number;
  readonly text: string;
  readonly tokens: readonly FilledToken[];
}

/** What the server answers (src/server/fill). */
export interface FillAnswer {
  readonly text: string;
  readonly holes?: readonly FilledHole[];
  readonly edits?: readonly FilledHole[];
  readonly finish_reason: string;
  readonly usage: { readonly forwards: number };
}

/** A message of a stream: a step, or the whole answer. */
export type FillMessage = Chunk | FillAnswer;

/** Text with marks for holes, as pieces; holes have so many masks as are known. */
export function piecesOfMarked(
  text: string,
  mark: string,
  masks: (hole: number) => number,
): readonly Piece[] {
  return text.split(mark).flatMap((part, index): readonly Piece[] => [
    ...index === 0
      ? []
      : Array.from({ length: masks(index - 1) }, () => ({ kind: "mask" as const })),
    ...given(part),
  ]);
}

function given(text: string): readonly Piece[] {
  return text === "" ? [] : [{ kind: "given", text }];
}

/** The text of pieces. */
export function textOfPieces(pieces: readonly Piece[]): string {
  return pieces.map((piece) => piece.kind === "mask" ? "" : piece.text).join("");
}

/** The tokens of a hole; where a character has several tokens, the last shows it all. */
function tokensOf({ text, tokens }: FilledHole, stepOf: () => number): readonly Piece[] {
  const split = tokens.map((token) => token.text).join("") !== text;
  return tokens.map((token, index): Piece => ({
    kind: "token",
    ...token,
    text: !split ? token.text : index === tokens.length - 1 ? text : "",
    step: stepOf(),
  }));
}

/**
 * The pieces of an answer to `/v1/infill`.
 * @param steps of its tokens, in order; those that are not known are the first
 */
export function piecesOfInfill(
  { text, holes = [] }: FillAnswer,
  steps: readonly number[] = [],
): readonly Piece[] {
  const points = [...text];
  let at = 0;
  let next = 0;
  const pieces: Piece[] = [];
  for (const hole of holes) {
    pieces.push(...given(points.slice(at, hole.start).join("")));
    pieces.push(...tokensOf(hole, () => steps[next++] ?? 1));
    at = hole.start + [...hole.text].length;
  }
  return [...pieces, ...given(points.slice(at).join(""))];
}

/** The pieces of an answer to `/v1/edits` with one span of these; other tokens stay what they are. */
export function piecesOfEdit(
  old: readonly Piece[],
  { text, edits = [] }: FillAnswer,
  steps: readonly number[] = [],
): readonly Piece[] {
  const [edit] = edits;
  if (!edit) return old;
  const behind = [...text].length - edit.start - [...edit.text].length;
  const end = [...textOfPieces(old)].length - behind;
  let next = 0;
  // What stood before was there in the first step.
  const kept = old.some(({ kind }) => kind === "token") ? 1 : 0;
  return [
    ...cut(old, 0, edit.start),
    ...tokensOf(edit, () => kept + (steps[next++] ?? 1)),
    ...cut(old, end, Infinity),
  ];
}

/** Pieces with masks, as many as tokens are there, where characters `start` to `end` were. */
export function masked(
  pieces: readonly Piece[],
  { start, end }: { readonly start: number; readonly end: number },
): readonly Piece[] {
  let at = 0;
  let masks = 0;
  for (const piece of pieces) {
    const length = piece.kind === "mask" ? 0 : [...piece.text].length;
    if (piece.kind === "token" && at < end && at + length > start) masks++;
    at += length;
  }
  return [
    ...cut(pieces, 0, start),
    ...Array.from({ length: Math.max(1, masks) }, () => ({ kind: "mask" as const })),
    ...cut(pieces, end, Infinity),
  ];
}

/** Pieces of the characters `from` to `to`; of a token that is not whole, its rest is given text. */
function cut(pieces: readonly Piece[], from: number, to: number): readonly Piece[] {
  let at = 0;
  return pieces.flatMap((piece): readonly Piece[] => {
    if (piece.kind === "mask") return [];
    const points = [...piece.text];
    const start = at;
    at += points.length;
    const inside = points.slice(Math.max(0, from - start), Math.max(0, to - start)).join("");
    if (inside !== piece.text) return given(inside);
    if (piece.kind === "token") return start >= from && start < to ? [{ ...piece, step: 1 }] : [];
    return given(inside);
  });
}

/** Pieces as a record: what is given stands from the beginning, tokens come with their steps. */
export function traceOf(pieces: readonly Piece[], finish?: string): Trace {
  const steps = Math.max(0, ...pieces.map((piece) => piece.kind === "token" ? piece.step : 0));
  const length = pieces.length;
  return {
    ...EMPTY_TRACE,
    blockLength: Math.max(1, length),
    length,
    given: pieces.flatMap((piece, position) =>
      piece.kind === "given" ? [{ position, text: piece.text }] : []
    ),
    steps: Array.from({ length: steps }, (_, index) => ({
      block: 0,
      length,
      provisional: false,
      guesses: [],
      commits: pieces.flatMap((piece, position) =>
        piece.kind === "token" && piece.step === index + 1
          ? [{ position, token: piece.id, text: piece.text, confidence: piece.confidence }]
          : []
      ),
    })),
    text: textOfPieces(pieces),
    ...finish === undefined ? {} : { finish },
  };
}

/** Characters of pieces that stand before a position, and those of the piece there. */
export function spanAt(
  pieces: readonly Piece[],
  position: number,
): { readonly start: number; readonly end: number } {
  // A character's last token shows it; those before it show nothing.
  let last = position;
  const lengthOf = (piece: Piece | undefined) =>
    piece && piece.kind !== "mask" ? [...piece.text].length : 0;
  while (lengthOf(pieces[last]) === 0 && last < pieces.length - 1) last++;
  const start = [...textOfPieces(pieces.slice(0, last))].length;
  return { start, end: start + lengthOf(pieces[last]) };
}

/** The record of a stream with one more message. */
export function withMessage(trace: Trace, message: Chunk): Trace {
  const { diffusion } = message;
  const next = withChunk(trace, { ...message, choices: [] });
  return diffusion?.type === "start" && diffusion.given
    ? { ...next, given: diffusion.given, blockLength: Math.max(1, next.length) }
    : next;
}

/** The steps of a streamed record that decided the tokens that were not given, from 1, in order. */
export function stepsOf(trace: Trace): readonly number[] {
  return cellsAt({ ...trace, finish: undefined }, trace.steps.length)
    .filter(({ state }) => state === "token" || state === "provisional")
    .map(({ step }) => step);
}
