/** `POST /v1/infill`: a text with holes, which are filled all together. */
import type { Context } from "hono";
import { z } from "zod";
import { asksToFill, templateOf } from "../../engine/marked_text.ts";
import type { ModelSummary, TextEngine } from "../../engine/request.ts";
import {
  codePoints,
  commonOf,
  commonShape,
  fillRoute,
  type FillRouteOptions,
  textShape,
  tokensOf,
} from "./answer.ts";

/** Most tokens of a hole, so that one request cannot ask for all lengths there are. */
const MOST_TOKENS = 256;

/** The body's schema, for one model. */
export function infillSchema(model: ModelSummary, options: FillRouteOptions) {
  const error = `an integer from 1 to ${MOST_TOKENS}`;
  const count = z.int({ error }).min(1, { error }).max(MOST_TOKENS, { error });
  const counts = z.array(count.nullable(), { error: "an integer, or a list with one a hole" });
  const mark = "text of 1 to 64 characters";
  return z.object({
    ...commonShape(model, options),
    text: textShape(model),
    hole: z.string({ error: mark }).min(1, { error: mark }).max(64, { error: mark }).optional(),
    tokens: z.union([count, counts]).optional(),
    max_tokens_per_hole: count.optional(),
  }, { error: "an object" });
}

/** Makes the route's handler. */
export function infill(
  engine: TextEngine,
  options: FillRouteOptions,
): (c: Context) => Promise<Response> {
  return fillRoute(engine, options, "infill", infillSchema, {
    generate: (body) => ({
      ...commonOf(body, asksToFill(body.text, body.hole)),
      template: templateOf(body.text, {
        mark: body.hole,
        tokens: body.tokens,
        mostTokens: body.max_tokens_per_hole,
      }),
    }),
    answer: (_body, { filled }) => ({
      text: filled.text,
      holes: filled.holes.map((hole) => ({
        start: codePoints(filled.text, hole.start),
        text: hole.text,
        tokens: tokensOf(hole),
      })),
    }),
  });
}
