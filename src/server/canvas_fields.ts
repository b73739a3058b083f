/** The fields of a request that say how long its canvas is, and until when it may take. */
import { z } from "zod";
import { CANVAS_LENGTHS, type GenerateRequest } from "../engine/request.ts";

/** Most milliseconds that `deadline_ms` takes: a day. */
const LONGEST = 86_400_000;

/** The fields' schemas, for one model's context. */
export function canvasShape(contextLength: number) {
  const positions = `an integer from 1 to ${contextLength}`;
  const milliseconds = `a number of milliseconds from 1 to ${LONGEST}`;
  return {
    length: z.enum(CANVAS_LENGTHS, { error: '"auto" or "fixed"' }).optional(),
    gen_length: z.int({ error: positions }).min(1, { error: positions })
      .max(contextLength, { error: positions }).optional(),
    deadline_ms: z.number({ error: milliseconds }).min(1, { error: milliseconds })
      .max(LONGEST, { error: milliseconds }).optional(),
  };
}

/** The values of those fields, and of one more that needs a fixed canvas. */
interface CanvasFields {
  readonly length?: GenerateRequest["length"];
  readonly gen_length?: number;
  readonly deadline_ms?: number;
  readonly steps?: number;
}

/** The engine's fields: the model decides on the length, unless the request fixes the canvas. */
export function canvasOf(
  { length, gen_length, deadline_ms, steps }: CanvasFields,
): Pick<GenerateRequest, "length" | "genLength" | "deadlineMs"> {
  const fixes = gen_length !== undefined || steps !== undefined;
  return {
    length: length ?? (fixes ? "fixed" : "auto"),
    genLength: gen_length,
    deadlineMs: deadline_ms,
  };
}
