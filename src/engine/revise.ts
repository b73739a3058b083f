/** Which tokens of a text are masked again, to be denoised anew. */

import { GREEDY, type Predictor } from "../denoise/predictor.ts";
import { type GenerateRequest, RequestError, type Revision, type TemplatePart } from "./request.ts";
import type { Piece } from "./template.ts";

/** Confidence below which a token is masked again, where neither spans nor a bound are given. */
export const UNSURE = 0.5;

/**
 * The template of a text whose spans are holes, each of a length that is searched; undefined where
 * tokens are chosen by confidence.
 * @throws {RequestError} for spans that are not ascending, overlap or leave the text
 */
export function revisedTemplate({ text, spans }: Revision): TemplatePart[] | undefined {
  if (spans === undefined) return undefined;
  const parts: TemplatePart[] = [];
  let at = 0;
  for (const [i, { start, end, tokens }] of spans.entries()) {
    const whole = Number.isInteger(start) && Number.isInteger(end);
    if (!whole || start < at || end <= start || end > text.length) {
      throw new RequestError(
        "revise",
        `revise.spans[${i}] is ${start} to ${end}: expected ${at} or more, up to ${text.length}, ` +
          "the start below the end, and no span in another",
      );
    }
    if (start > at) parts.push(text.slice(at, start));
    parts.push({ tokens, before: text.slice(start, end) });
    at = end;
  }
  if (at < text.length) parts.push(text.slice(at));
  return parts;
}

/**
 * The pieces of a text in which the least sure tokens are holes. How sure the model is of a token is
 * the probability that it gives it with that token alone masked: one pass, with a shadow row a token.
 * @returns no hole where it is sure of every token
 */
export async function unsurePieces(
  ids: readonly number[],
  promptIds: Uint32Array,
  target: Predictor,
  { below = UNSURE, most = Infinity }: Pick<Revision, "below" | "most">,
  decode: (ids: Iterable<number>) => string,
): Promise<Piece[]> {
  const positions = Uint32Array.from(ids, (_, i) => promptIds.length + i);
  const [found] = ids.length === 0 ? [[]] : await target.predict([{
    ids: Uint32Array.from([...promptIds, ...ids]),
    positions,
    shadows: positions,
    judged: Uint32Array.from(ids),
    choice: GREEDY,
  }]);
  const unsure = new Set(
    found.map(({ judgedConfidence = 0 }, i) => ({ i, judgedConfidence }))
      .filter(({ judgedConfidence }) => judgedConfidence < below)
      .sort((a, b) => a.judgedConfidence - b.judgedConfidence)
      .slice(0, most)
      .map(({ i }) => i),
  );
  const pieces: Piece[] = [];
  for (let i = 0; i < ids.length;) {
    let end = i + 1;
    while (end < ids.length && unsure.has(end) === unsure.has(i)) end++;
    const piece = ids.slice(i, end);
    pieces.push(
      unsure.has(i)
        ? { hole: { tokens: piece.length, before: decode(piece) }, lead: "" }
        : { ids: piece, text: decode(piece) },
    );
    i = end;
  }
  return pieces;
}

/** @throws {RequestError} for a revision beside a template, or bounds out of range */
export function checkRevision(
  { revise, template }: Pick<GenerateRequest, "revise" | "template">,
): void {
  if (revise === undefined) return;
  const wrong = (message: string): never => {
    throw new RequestError("revise", `revise ${message}`);
  };
  if (template !== undefined) wrong("stands beside template: send one of the two");
  const { spans, below, most, text } = revise;
  if (spans !== undefined && (below !== undefined || most !== undefined)) {
    wrong("names spans and a choice by confidence: send one of the two");
  }
  if (below !== undefined && !(below > 0 && below <= 1)) {
    wrong(`has below ${below}, expected a number above 0, at most 1`);
  }
  if (most !== undefined && !(Number.isInteger(most) && most >= 1)) {
    wrong(`has most ${most}, expected a whole number from 1`);
  }
  if (text === "") wrong("has no text");
}
