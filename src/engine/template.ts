/** A text with holes, as the canvas of an answer: what is given, what is masked, what came out. */

import type { Sequence } from "../denoise/sequence.ts";
import {
  type CommittedToken,
  type FilledText,
  type GivenToken,
  type Hole,
  RequestError,
  type TemplatePart,
} from "./request.ts";

/** Most tokens of a hole that does not say how many it has. */
export const MOST_HOLE_TOKENS = 16;

/** Most holes of a template. */
const MOST_HOLES = 256;

/** A part of the text that is given. */
export interface GivenPiece {
  readonly ids: readonly number[];
  readonly text: string;
}

/** A hole, and the end of the text before it that its first token is to hold. */
export interface HolePiece {
  readonly hole: Hole;
  readonly lead: string;
}

/** One piece of a template. */
export type Piece = GivenPiece | HolePiece;

/** The part of a tokenizer that is needed. */
export interface Codec {
  encode(text: string): number[];
  decode(ids: Iterable<number>): string;
}

/** Whether a piece is a hole. */
export function isHole(piece: Piece): piece is HolePiece {
  return "hole" in piece;
}

/**
 * Encodes a template. The tokens of most words begin with the space before them, so a space before a
 * hole is left to the hole's first token, as in the whole text. Every other character of the given
 * text stands in the canvas.
 * @throws {RequestError} for a template without a hole, or a hole whose tokens are no count
 */
export function encodeTemplate(template: readonly TemplatePart[], codec: Codec): Piece[] {
  const wrong = (message: string): never => {
    throw new RequestError("template", `template ${message}`);
  };
  const holes = template.filter((part) => typeof part !== "string").length;
  if (holes === 0) wrong("has no hole: there is nothing to fill");
  if (holes > MOST_HOLES) wrong(`has ${holes} holes, at most ${MOST_HOLES} are possible`);
  const pieces: Piece[] = [];
  let lead = "";
  for (const [i, part] of template.entries()) {
    if (typeof part !== "string") {
      const { tokens, mostTokens } = part;
      for (const [name, count] of Object.entries({ tokens, mostTokens })) {
        if (count === undefined || (Number.isInteger(count) && count >= 1)) continue;
        wrong(`has a hole with ${name} ${count}, expected a whole number from 1`);
      }
      pieces.push({ hole: part, lead });
      lead = "";
    } else {
      const beforeHole = typeof template[i + 1] === "object";
      lead = beforeHole && part.endsWith(" ") ? " " : "";
      const text = part.slice(0, part.length - lead.length);
      pieces.push({ text, ids: codec.encode(text) });
    }
  }
  return pieces;
}

/** The tokens that a hole may have: one count if it says so. */
export function mostTokens({ hole }: HolePiece): number {
  return hole.tokens ?? hole.mostTokens ?? MOST_HOLE_TOKENS;
}

/** Most positions of a canvas for these pieces and an end token. */
export function mostPositions(pieces: readonly Piece[]): number {
  return pieces.reduce(
    (sum, piece) => sum + (isHole(piece) ? mostTokens(piece) : piece.ids.length),
    1,
  );
}

/** Where the pieces stand in a canvas. */
export interface Layout {
  readonly genLength: number;
  readonly given: readonly GivenToken[];
  /** First position and length of each hole, from the start of the generation. */
  readonly holes: readonly { readonly first: number; readonly length: number }[];
}

/**
 * Lays the pieces out, one after the other, and an end token behind them, so that the model knows
 * where the text ends.
 * @param lengths tokens of each hole, in order
 */
export function layOut(
  pieces: readonly Piece[],
  lengths: readonly number[],
  endToken: number,
): Layout {
  const given: GivenToken[] = [];
  const holes: { first: number; length: number }[] = [];
  let position = 0;
  for (const piece of pieces) {
    if (isHole(piece)) {
      const length = lengths[holes.length];
      holes.push({ first: position, length });
      position += length;
    } else {
      for (const token of piece.ids) given.push({ position: position++, token });
    }
  }
  given.push({ position: position++, token: endToken });
  return { genLength: position, given, holes };
}

/** The state of a canvas behind a prompt. */
export function layoutSequence(
  { genLength, given }: Layout,
  promptIds: Uint32Array,
  maskToken: number,
): Sequence {
  const ids = new Uint32Array(promptIds.length + genLength).fill(maskToken);
  ids.set(promptIds);
  for (const { position, token } of given) ids[promptIds.length + position] = token;
  return { ids, promptLength: promptIds.length, maskToken };
}

/** Whether nothing of a piece stands in the canvas: it was a space between two holes. */
function isBare(piece: Piece): boolean {
  return isHole(piece) || piece.ids.length === 0;
}

/** The whole text, in which every given character stands, and what was put into the holes. */
export function filledText(
  pieces: readonly Piece[],
  { holes }: Layout,
  ids: readonly number[],
  commits: readonly CommittedToken[],
  codec: Codec,
): FilledText {
  const placed = new Map(commits.map((commit) => [commit.position, commit]));
  let text = "";
  const filled: FilledText["holes"][number][] = [];
  for (const [i, piece] of pieces.entries()) {
    if (!isHole(piece)) {
      text += piece.text;
      continue;
    }
    const { first, length } = holes[filled.length];
    // A hole just before may have brought the space along.
    const joins = filled.length > 0 && pieces[i - 1] !== undefined && isBare(pieces[i - 1]);
    if (!(joins && text.endsWith(piece.lead))) text += piece.lead;
    const decoded = codec.decode(ids.slice(first, first + length));
    const own = decoded.startsWith(piece.lead) ? decoded.slice(piece.lead.length) : decoded;
    const tokens = Array.from({ length }, (_, i) => placed.get(first + i))
      .filter((commit) => commit !== undefined);
    const { before } = piece.hole;
    filled.push({ start: text.length, text: own, ...before !== undefined && { before }, tokens });
    text += own;
  }
  return { text, holes: filled };
}
