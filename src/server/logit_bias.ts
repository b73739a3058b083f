/** The field `logit_bias`, as OpenAI (an object) and llama-server (also pairs) have it. */
import { z } from "zod";
import type { GenerateRequest } from "../engine/request.ts";

type Biases = NonNullable<GenerateRequest["logitBias"]>;

const MOST = 300;
/** Longest text of a key, in UTF-16 units. */
const MOST_TEXT = 256;
const EXPECTED =
  `up to ${MOST} biases, by token id or text, each a number from -100 to 100 or false`;

/**
 * Biases by token id, or by a text whose tokens each get it; false bans. An object's keys of digits
 * are ids; in a list of pairs numbers are ids and texts are texts.
 */
export const logitBias = z.unknown().transform((value, context): Biases => {
  const pairs = pairsOf(value)?.map(([of, bias]) => [of, bias === false ? -Infinity : bias]);
  if (pairs !== undefined && pairs.length <= MOST && pairs.every(isBias)) return pairs;
  context.addIssue({ code: "custom", message: EXPECTED });
  return z.NEVER;
});

function pairsOf(value: unknown): unknown[][] | undefined {
  if (Array.isArray(value)) {
    return value.every((pair) => Array.isArray(pair) && pair.length === 2) ? value : undefined;
  }
  if (typeof value !== "object" || value === null) return undefined;
  return Object.entries(value).map(([key, bias]) => [/^\d+$/.test(key) ? Number(key) : key, bias]);
}

function isBias(pair: unknown[]): pair is [number | string, number] {
  const [of, bias] = pair;
  const named = typeof of === "number"
    ? Number.isInteger(of) && of >= 0
    : typeof of === "string" && of.length > 0 && of.length <= MOST_TEXT && of.isWellFormed();
  return named && typeof bias === "number" && (bias === -Infinity || Math.abs(bias) <= 100);
}
