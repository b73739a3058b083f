/** `POST /v1/edits`: spans of a text, named or chosen by confidence, are denoised anew. */
import type { Context } from "hono";
import { z } from "zod";
import type { ModelSummary, Revision, TextEngine } from "../../engine/request.ts";
import { ApiError } from "../errors.ts";
import {
  codePoints,
  commonOf,
  commonShape,
  fillRoute,
  type FillRouteOptions,
  textShape,
  tokensOf,
} from "./answer.ts";

/** Most spans of a request. */
const MOST_SPANS = 256;

/** The body's schema, for one model. */
export function editsSchema(model: ModelSummary, options: FillRouteOptions) {
  const whole = (low: number, high: number) => {
    const error = `an integer from ${low} to ${high}`;
    return z.int({ error }).min(low, { error }).max(high, { error });
  };
  const most = Number.MAX_SAFE_INTEGER;
  const span = z.object({
    start: whole(0, most).optional(),
    end: whole(1, most).optional(),
    text: z.string({ error: "text" }).min(1, { error: "text" }).optional(),
    tokens: whole(1, 256).optional(),
  }, { error: "an object with start and end, or with text" });
  const spans = `1 to ${MOST_SPANS} spans`;
  const share = "a number above 0, at most 1";
  return z.object({
    ...commonShape(model, options),
    text: textShape(model),
    spans: z.array(span, { error: spans }).min(1, { error: spans })
      .max(MOST_SPANS, { error: spans }).optional(),
    confidence_below: z.number({ error: share }).gt(0, { error: share }).max(1, { error: share })
      .optional(),
    max_edits: whole(1, most).optional(),
  }, { error: "an object" });
}

type Span = z.output<ReturnType<typeof editsSchema>>["spans"] extends (infer S)[] | undefined ? S
  : never;

/**
 * The spans in UTF-16 units, ascending. One that gives its text means that text's first place behind
 * the span before it.
 * @throws {ApiError} for a span without a place, or whose text is not there
 */
function unitsOf(text: string, spans: readonly Span[]): Revision["spans"] {
  const points = Array.from(text);
  const units = (count: number) => points.slice(0, count).join("").length;
  let behind = 0;
  return spans.map(({ start, end, text: wanted, tokens }, i) => {
    const wrong = (message: string) =>
      new ApiError(400, "invalid_value", `Invalid 'spans[${i}]': ${message}.`, {
        param: `spans[${i}]`,
      });
    let place: { readonly start: number; readonly end: number };
    if (wanted !== undefined) {
      const at = text.indexOf(wanted, behind);
      if (at < 0) throw wrong("its text is not in the text behind the span before it");
      place = { start: at, end: at + wanted.length };
    } else if (start === undefined || end === undefined) {
      throw wrong("expected start and end, or text");
    } else {
      if (end > points.length || start >= end) {
        throw wrong(`${start} to ${end} is no span of ${points.length} characters`);
      }
      place = { start: units(start), end: units(end) };
    }
    if (place.start < behind) throw wrong("it begins before the span before it ends");
    behind = place.end;
    return { ...place, tokens };
  });
}

/** Makes the route's handler. */
export function edits(
  engine: TextEngine,
  options: FillRouteOptions,
): (c: Context) => Promise<Response> {
  return fillRoute(engine, options, "edit", editsSchema, {
    generate: ({ text, spans, confidence_below, max_edits, ...body }) => {
      if (spans && (confidence_below ?? max_edits) !== undefined) {
        const param = confidence_below !== undefined ? "confidence_below" : "max_edits";
        const message = `'${param}' chooses by confidence, 'spans' names: send one of the two.`;
        throw new ApiError(400, "invalid_value", message, { param });
      }
      return {
        ...commonOf(body, `Improve this text: ${text}`),
        revise: {
          text,
          spans: spans && unitsOf(text, spans),
          below: confidence_below,
          most: max_edits,
        },
      };
    },
    answer: (_body, { filled }) => ({
      text: filled.text,
      edits: filled.holes.map((hole) => ({
        start: codePoints(filled.text, hole.start),
        before: hole.before,
        text: hole.text,
        tokens: tokensOf(hole),
      })),
    }),
  });
}
