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

/** The engine's fields of the same names. */
export function canvasOf(
  { length, gen_length, deadline_ms }: {
    readonly length?: GenerateRequest["length"];
    readonly gen_length?: number;
    readonly deadline_ms?: number;
  },
): Pick<GenerateRequest, "length" | "genLength" | "deadlineMs"> {
  return { length, genLength: gen_length, deadlineMs: deadline_ms };
}
