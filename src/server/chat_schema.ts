/** The shape of a chat completion request's body, as a zod schema with this server's bounds. */
import { z } from "zod";
import {
  CACHE_POLICIES,
  CONFIDENCE_MEASURES,
  QUALITIES,
  REMASKINGS,
  STRATEGY_NAMES,
} from "../engine/request.ts";
import { MOST_ANSWERS } from "./answers.ts";
import { canvasShape } from "./canvas_fields.ts";
import { CONSTRAINT_SHAPE } from "./constraint_schema.ts";
import type { OnIgnored } from "./ignored_fields.ts";
import { logitBias } from "./logit_bias.ts";
import {
  NONE_REFUSED,
  REFUSED_IN_BODY,
  REFUSED_IN_MESSAGE,
  type RefusedFields,
} from "./refused_fields.ts";
import { reportShape } from "./report_fields.ts";
import { TOOL_MESSAGE_SHAPE, TOOL_SHAPE } from "./tools.ts";

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

function integer(low: number, high: number): z.ZodInt {
  const error = `an integer from ${low} to ${high}`;
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

/** Where an object stands, as its fields' names begin, and who is told of those that are ignored. */
interface Place {
  readonly prefix: string;
  readonly onIgnored: OnIgnored;
}

/**
 * An object with only the fields of `shape`. Null fields and neutral refused fields are dropped, and
 * so is, once it is told, every field that is not of `shape`.
 */
function fields<S extends z.ZodRawShape>(shape: S, refused: RefusedFields, place: Place) {
  const drop = z.transform((value: unknown, context) => {
    if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
    const kept: [string, unknown][] = [];
    for (const [name, given] of Object.entries(value)) {
      if (given === null) continue;
      const neutral = refused.get(name);
      if (neutral === undefined) {
        if (Object.hasOwn(shape, name)) kept.push([name, given]);
        else place.onIgnored(place.prefix + name);
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

/** Names of a text part in OpenAI's two APIs; `refusal` is an assistant's, and has its own field. */
const TEXT_PARTS = ["text", "input_text", "output_text", "refusal"] as const;

/** An issue for a field that is missing, worded as zod's own would be. */
function missing(context: z.RefinementCtx, name: string, error: string): never {
  context.addIssue({ code: "custom", path: [name], message: error });
  return z.NEVER;
}

function message(limits: RequestLimits, onIgnored: OnIgnored) {
  const content = wellFormed("text");
  const part = fields(
    {
      type: z.enum(TEXT_PARTS, { error: '"text" (images, audio and files are not supported)' }),
      text: content.optional(),
      refusal: content.optional(),
    },
    NONE_REFUSED,
    { prefix: "messages[].content[].", onIgnored },
  ).transform(({ type, text, refusal }, context) =>
    (type === "refusal" ? refusal : text) ??
      missing(context, type === "refusal" ? "refusal" : "text", "text")
  );
  const parts = list(part, 1, limits.maxMessages, "text parts")
    .transform((texts) => texts.join("")).pipe(content);
  const either = "text or an array of text parts";
  return fields(
    {
      role: z.enum(["system", "developer", "user", "assistant", "tool", "function"], {
        error: '"system", "developer", "user", "assistant" or "tool"',
      }),
      ...TOOL_MESSAGE_SHAPE,
      content: z.union([content, parts], { error: either }).optional(),
    },
    REFUSED_IN_MESSAGE,
    { prefix: "messages[].", onIgnored },
  ).transform((turn, context) => ({
    ...turn,
    // An assistant that said nothing, such as one that called a tool.
    content: turn.content ??
      (turn.role === "assistant" ? "" : missing(context, "content", either)),
  }));
}

/** A token limit: -1, as llama-server's clients send it, asks for all that fits. */
function tokenLimit() {
  const error = "an integer from 1 (or -1 for all that fits)";
  return z.int({ error }).min(-1, { error }).refine((value) => value !== 0, { error });
}

/**
 * The schema of the body, for one model's limits.
 * @param onIgnored told of every field, in the body or in what is inside, that is ignored
 */
export function chatSchema(limits: RequestLimits, onIgnored: OnIgnored = () => {}) {
  const stop = text(0, limits.maxStopLength);
  // They change nothing, whatever they are.
  const harmless = z.unknown();
  return fields(
    {
      model: z.string({ error: "a model's id" }).optional(),
      messages: list(message(limits, onIgnored), 1, limits.maxMessages, "messages"),
      max_tokens: tokenLimit().optional(),
      max_completion_tokens: tokenLimit().optional(),
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
      n: integer(1, MOST_ANSWERS).optional(),
      seed: integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER).optional(),
      stop: z.union([stop, list(stop, 0, limits.maxStops, "stop strings")], {
        error: `text or an array of up to ${limits.maxStops} texts`,
      }).optional(),
      stream: flag.optional(),
      stream_options: fields(
        { include_usage: flag.optional(), continuous_usage_stats: flag.optional() },
        NONE_REFUSED,
        { prefix: "stream_options.", onIgnored },
      ).optional(),
      ...reportShape(limits.contextLength),
      ...canvasShape(limits.contextLength),
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
      ...CONSTRAINT_SHAPE,
      ...TOOL_SHAPE,
      include_diffusion: flag.optional(),
      user: harmless.optional(),
      safety_identifier: harmless.optional(),
      prompt_cache_key: harmless.optional(),
      metadata: harmless.optional(),
    },
    REFUSED_IN_BODY,
    { prefix: "", onIgnored },
  );
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
