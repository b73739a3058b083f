/** How the holes of a template get their lengths, and how a request with one is planned. */

import { type HoleState, lengthsToTry, surestState } from "../denoise/hole_length.ts";
import type { Predictor } from "../denoise/predictor.ts";
import { checkRevision, revisedTemplate, unsurePieces } from "./revise.ts";
import { type GenerateRequest, RequestError, type Revision } from "./request.ts";
import {
  type Codec,
  encodeTemplate,
  isHole,
  type Layout,
  layOut,
  layoutSequence,
  mostPositions,
  mostTokens,
  type Piece,
} from "./template.ts";

/** A text to fill: its pieces, or the tokens of one whose least sure tokens are to be holes. */
export interface Filling {
  readonly pieces: readonly Piece[];
  readonly ids?: readonly number[];
  readonly revise?: Revision;
  readonly decode: (ids: Iterable<number>) => string;
}

/**
 * The text that a request asks to fill, undefined if it asks for none.
 * @throws {RequestError} for a template or a revision that cannot be filled
 */
export function fillingOf(
  { template, revise }: Pick<GenerateRequest, "template" | "revise">,
  codec: Codec,
): Filling | undefined {
  checkRevision({ template, revise });
  const decode = (ids: Iterable<number>) => codec.decode(ids);
  const parts = template ?? (revise && revisedTemplate(revise));
  if (parts) return { pieces: encodeTemplate(parts, codec), decode };
  return revise && { pieces: [], ids: codec.encode(revise.text), revise, decode };
}

/** Fields that say how an answer without a template is laid out. */
const OTHER_LAYOUT = ["length", "genLength", "blockLength", "steps", "fixed", "stop"] as const;

/**
 * The request whose plan leaves room for the template with its holes at their longest.
 * @throws {RequestError} for a field that a template leaves no use for
 */
export function templateRequest(
  request: GenerateRequest,
  { pieces, ids }: Filling,
  contextLength: number,
): GenerateRequest {
  for (const field of OTHER_LAYOUT) {
    if (request[field] === undefined) continue;
    throw new RequestError(field, `${field} is not for a text with holes: leave it out`);
  }
  const most = ids ? ids.length + 1 : mostPositions(pieces);
  if (most > contextLength) {
    throw new RequestError(
      request.revise ? "revise" : "template",
      `the text may take ${most} tokens, more than the model's ${contextLength}: shorten it, or ` +
        "its holes",
      "context_length_exceeded",
    );
  }
  return { ...request, maxTokens: most, genLength: most, blockLength: most, steps: most };
}

/** The shape of a canvas, as a plan has it; all holes stand in one block. */
export interface TemplateShape extends Layout {
  readonly maxTokens: number;
  readonly blockLength: number;
  readonly steps: number;
}

/** A text that is laid out, and the forward passes that were spent for it. */
export interface Searched {
  readonly shape: TemplateShape;
  readonly pieces: readonly Piece[];
  readonly passes: number;
}

/**
 * Lays a text out behind a prompt. Holes without a length take the one of which the model is
 * surest, one after the other, and again once the others have theirs.
 * @throws the signal's reason
 */
export async function searchLayout(
  filling: Filling,
  target: Predictor,
  { promptIds, maskToken, endToken, signal }: {
    readonly promptIds: Uint32Array;
    readonly maskToken: number;
    readonly endToken: number;
    readonly signal?: AbortSignal;
  },
): Promise<Searched> {
  const { ids, revise, decode } = filling;
  const pieces = ids && revise
    ? await unsurePieces(ids, promptIds, target, revise, decode)
    : filling.pieces;
  const holes = pieces.filter(isHole);
  const lengths = holes.map((piece) =>
    piece.hole.tokens ?? Math.min(FIRST_GUESS, mostTokens(piece))
  );
  const searched = holes.keys().filter((i) => holes[i].hole.tokens === undefined).toArray();
  let passes = ids ? 1 : 0;
  const surest = async (hole: number, tried: readonly number[]) => {
    signal?.throwIfAborted();
    const states = tried.map((length): HoleState => {
      const layout = layOut(pieces, lengths.with(hole, length), endToken);
      const sequence = layoutSequence(layout, promptIds, maskToken);
      return { sequence, first: promptIds.length + layout.holes[hole].first, length };
    });
    passes++;
    return tried[await surestState(states, target)];
  };
  const rounds = searched.length > 1 ? 2 : searched.length;
  for (let round = 0; round < rounds; round++) {
    for (const hole of searched) {
      const tried = lengthsToTry(mostTokens(holes[hole]));
      const found = await surest(hole, tried);
      lengths[hole] = found;
      const between = lengthsBetween(tried, found);
      if (between.length > 1) lengths[hole] = await surest(hole, between);
    }
  }
  const layout = layOut(pieces, lengths, endToken);
  const { genLength } = layout;
  const shape = { ...layout, maxTokens: genLength, blockLength: genLength, steps: genLength };
  return { shape, pieces, passes };
}

/** Tokens of a hole while those of others are searched. */
const FIRST_GUESS = 2;

/** The lengths from the one that was tried before the found one to that after it. */
function lengthsBetween(tried: readonly number[], found: number): number[] {
  const at = tried.indexOf(found);
  const first = tried[at - 1] ?? found - 1;
  const end = tried[at + 1] ?? found + 1;
  return Array.from({ length: end - first - 1 }, (_, i) => first + 1 + i);
}
