/** The shape of a chat completion request's body, as a zod schema with this server's bounds. */
import { z } from "zod";
import {
  CACHE_POLICIES,
  CONFIDENCE_MEASURES,
  QUALITIES,
  REMASKINGS,
  STRATEGY_NAMES,
} from "../engine/request.ts";
import { logitBias } from "./logit_bias.ts";
import {
  REFUSED_IN_BODY,
  REFUSED_IN_MESSAGE,
  REFUSED_IN_PART,
  REFUSED_IN_STREAM_OPTIONS,
  type RefusedFields,
} from "./refused_fields.ts";

/** Bounds on what a request may hold. */
export interface RequestLimits {
  /** Longest prompt plus generation, in tokens. */
  readonly contextLength: number;
  /** Limit of messages. */
  readonly maxMessages: number;
  /** Most text of all messages together, in UTF-16 units: more is refused before it is tokenised. */
  readonly maxTextLength: number;
  /** Most stop strings. */
  readonly maxStops: number;
  /** Longest stop string, in UTF-16 units. */
  readonly maxStopLength: number;
  /** Limit of denoising steps. */
  readonly maxSteps: number;
}

/** The `params` of a custom issue: the error code of the response. */
export interface IssueParams {
  readonly code: "unsupported_parameter";
}

// The `error` of every rule says what is expected; request_issue.ts puts it into a sentence.

function integer(low: number, high: number, note = ""): z.ZodInt {
  const error = `an integer from ${low} to ${high}${note}`;
  return z.int({ error }).min(low, { error }).max(high, { error });
}

function number(low: number, high: number): z.ZodNumber {
  const error = `a number from ${low} to ${high}`;
  return z.number({ error }).min(low, { error }).max(high, { error });
}

function oneOf<T extends string>(names: readonly T[]) {
  const written = names.map((name) => JSON.stringify(name));
  return z.enum(names as readonly [T, ...T[]], {
    error: `${written.slice(0, -1).join(", ")} or ${written.at(-1)}`,
  });
}

const flag = z.boolean({ error: "true or false" });

function text(low: number, high: number): z.ZodString {
  const error = low > 0
    ? `text of ${low} to ${high} characters`
    : `text of up to ${high} characters`;
  return wellFormed(error).min(low, { error }).max(high, { error });
}

/** Text of any length: what bounds it is said of all messages together. */
function wellFormed(error: string): z.ZodString {
  const whole = "text without half a surrogate pair (\\ud800 to \\udfff alone)";
  return z.string({ error }).refine((value) => value.isWellFormed(), { error: whole });
}

/** A list whose length is checked before its items, so that a long list is refused cheaply. */
function list<T>(item: z.ZodType<T>, low: number, high: number, of: string) {
  const error = `${low} to ${high} ${of}`;
  return z.array(z.unknown(), { error }).min(low, { error }).max(high, { error })
    .pipe(z.array(item));
}

/**
 * An object with only the fields of `shape`. Null fields and neutral refused fields are dropped.
 */
function fields<S extends z.ZodRawShape>(shape: S, refused: RefusedFields) {
  const drop = z.transform((value: unknown, context) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    const kept: [string, unknown][] = [];
    for (const [name, given] of Object.entries(value)) {
      if (given === null) continue;
      const neutral = refused.get(name);
      if (neutral === undefined) {
        kept.push([name, given]);
      } else if (!neutral.passes(given)) {
        const params: IssueParams = { code: "unsupported_parameter" };
        // Never empty: zod would put words of its own in its place.
        const message = neutral.written === "" ? "." : `, or send ${neutral.written}.`;
        context.addIssue({ code: "custom", path: [name], message, params });
        return z.NEVER;
      }
    }
    return Object.fromEntries(kept);
  });
  return drop.pipe(z.strictObject(shape, { error: "an object" }));
}

function message(limits: RequestLimits) {
  const content = wellFormed("text");
  const type = z.literal("text", { error: '"text" (images, audio and files are not supported)' });
  const part = fields({ type, text: content }, REFUSED_IN_PART);
  const parts = list(part, 1, limits.maxMessages, "text parts")
    .transform((texts) => texts.map((one) => one.text).join("")).pipe(content);
  return fields({
    role: z.enum(["system", "developer", "user", "assistant"], {
      error: '"system", "developer", "user" or "assistant"',
    }),
    content: z.union([content, parts], { error: "text or an array of text parts" }),
  }, REFUSED_IN_MESSAGE);
}

/** The schema of the body, for one model's limits. */
export function chatSchema(limits: RequestLimits) {
  const tokens = integer(1, limits.contextLength, " (the model's context length)");
  const stop = text(1, limits.maxStopLength);
  const harmless = z.string({ error: "text" });
  return fields({
    model: z.string({ error: "a model's id" }).optional(),
    messages: list(message(limits), 1, limits.maxMessages, "messages"),
    max_tokens: tokens.optional(),
    max_completion_tokens: tokens.optional(),
    temperature: number(0, 2).optional(),
    top_p: number(0, 1).optional(),
    top_k: integer(-1, 2 ** 31 - 1).optional(),
    min_p: number(0, 1).optional(),
    presence_penalty: number(-2, 2).optional(),
    frequency_penalty: number(-2, 2).optional(),
    repetition_penalty: number(0.01, 2).optional(),
    repeat_penalty: number(0.01, 2).optional(),
    logit_bias: logitBias.optional(),
    logprobs: flag.optional(),
    top_logprobs: integer(0, 20).optional(),
    ignore_eos: flag.optional(),
    seed: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER).optional(),
    stop: z.union([stop, list(stop, 0, limits.maxStops, "stop strings")], {
      error: `text or an array of up to ${limits.maxStops} texts`,
    }).optional(),
    stream: flag.optional(),
    stream_options: fields({ include_usage: flag.optional() }, REFUSED_IN_STREAM_OPTIONS)
      .optional(),
    steps: integer(1, limits.maxSteps).optional(),
    block_length: integer(1, limits.contextLength).optional(),
    remasking: oneOf(REMASKINGS).optional(),
    confidence: oneOf(CONFIDENCE_MEASURES).optional(),
    cfg_scale: number(0, 10).optional(),
    strategy: oneOf(STRATEGY_NAMES).optional(),
    quality: oneOf(QUALITIES).optional(),
    cache: oneOf(CACHE_POLICIES).optional(),
    refresh_interval: integer(1, 65536).optional(),
    suffix_window: integer(0, limits.contextLength).optional(),
    threshold: number(0, 1).optional(),
    factor: number(0, 1000).optional(),
    draft_depth: integer(1, 64).optional(),
    rounds: integer(1, 65536).optional(),
    draft_threshold: number(0, 1).optional(),
    target_threshold: number(0, 1).optional(),
    back_threshold: number(0, 1).optional(),
    stream_events: flag.optional(),
    user: harmless.optional(),
    safety_identifier: harmless.optional(),
    prompt_cache_key: harmless.optional(),
    metadata: z.looseObject({}, { error: "an object" }).optional(),
  }, REFUSED_IN_BODY);
}

/** The names of the fields that a body may have. */
export const KNOWN_FIELDS: readonly string[] = Object.keys(
  chatSchema({
    contextLength: 1,
    maxMessages: 1,
    maxTextLength: 1,
    maxStops: 1,
    maxStopLength: 1,
    maxSteps: 1,
  }).out.shape,
);
