/** The body of `POST /v1/chat/completions`, checked and turned into the engine's request. */
import type { ChatMessage, Constraint, GenerateRequest, ModelSummary } from "../engine/request.ts";
import { canvasOf } from "./canvas_fields.ts";
import { chatSchema, KNOWN_FIELDS, type RequestLimits } from "./chat_schema.ts";
import { type AskedConstraint, askedConstraint, notHeld } from "./constraint_schema.ts";
import { ApiError, withContext } from "./errors.ts";
import { type Otherwise, schemaIn } from "./messages_schema.ts";
import type { BodyLimits } from "./json_body.ts";
import { type NameOptions, requireModel } from "./model_names.ts";
import { askedReport, type ReportOptions } from "./report_fields.ts";
import { issueError } from "./request_issue.ts";
import { asksForFunctions, toolTurns, withTools } from "./tools.ts";

/** A checked request. */
export interface ChatRequest {
  /** The request to the engine. */
  readonly generate: GenerateRequest;
  /** Where the constraint is a schema in the messages: what is asked for if it cannot be served. */
  readonly otherwise?: Otherwise;
  /** Whether an answer may be a call of a tool. */
  readonly mayCall: boolean;
  /** Whether calls come in OpenAI's older spelling, `function_call`. */
  readonly olderCalls: boolean;
  /** How many answers to give. */
  readonly answers: number;
  /** Whether to answer as server-sent events. */
  readonly stream: boolean;
  /** Whether to end the stream with token counts. */
  readonly includeUsage: boolean;
  /** Whether the token counts say how the answer was denoised. */
  readonly includeDiffusion: boolean;
  /** What is told beside the answers. */
  readonly report: ReportOptions;
  /** Whether the stream carries typed events of every denoising step. */
  readonly streamEvents: boolean;
  /** The field that the client used for the token limit. */
  readonly tokenLimitField: "max_tokens" | "max_completion_tokens";
  /** Fields of the body that were ignored, by their paths; a path may come more than once. */
  readonly ignored: readonly string[];
}

/** What the server's operator sets for all requests. */
export interface RequestSettings extends NameOptions {
  /** Token limit of requests that send none (default: the engine's). */
  readonly maxTokens?: number;
  /**
   * Whether an answer to a request without any format is held to the schema in its system messages
   * (default false: only where a JSON object is asked for).
   */
  readonly jsonFromMessages?: boolean;
}

/** Limits of a request: some follow from the model, the others are the server's. */
export function requestLimits(model: ModelSummary, maxMessages: number): RequestLimits {
  return {
    contextLength: model.contextLength,
    maxMessages,
    // Text longer than 16 characters per token of context cannot fit in it.
    maxTextLength: Math.max(4096, 16 * model.contextLength),
    maxStops: 16,
    maxStopLength: 256,
    maxSteps: 4 * model.contextLength,
  };
}

/**
 * Makes a function that checks a JSON body for this model.
 *
 * Fields are OpenAI's (`model`, `messages`, `max_tokens` or `max_completion_tokens`, `temperature`,
 * `seed`, `stop`, `stream`, `stream_options`, and `user`, `safety_identifier`, `prompt_cache_key`,
 * `metadata`, which change nothing) `n`, and this server's: `stream_events`, `include_diffusion`, and fields of
 * {@link GenerateRequest} in snake case, from `steps` to `back_threshold`. {@link chatSchema} has all
 * of them, with their bounds. A null field counts as absent, and any other field is ignored and told.
 * Text parts of a content are joined without a separator. The chat template sees the role `developer`
 * as `system`. Of two token limits the smaller one holds, and never more than the context leaves.
 *
 * The function throws {@link ApiError}: 400 naming the field, what was expected and what was found,
 * or 404 if the request names another model, where it must not.
 */
export function chatRequestParser(
  model: ModelSummary,
  limits: RequestLimits,
  settings: RequestSettings = {},
): (body: unknown) => ChatRequest {
  // Names from the body that is being parsed; nothing of a body stays afterwards.
  let told: string[] = [];
  const schema = chatSchema(limits, (path) => told.push(path));
  return (body) => {
    const ignored: string[] = told = [];
    const parsed = schema.safeParse(body);
    told = [];
    if (!parsed.success) throw issueError(parsed.error.issues[0], body, KNOWN_FIELDS);
    const fields = parsed.data;
    if (fields.model !== undefined) requireModel(model, fields.model, settings);
    checkTextLength(fields.messages, limits);
    const stream = fields.stream ?? false;
    // They say how to stream; without a stream there is nothing that they could change.
    if (!stream) {
      for (const name of ["stream_options", "stream_events"] as const) {
        if (fields[name]) ignored.push(name);
      }
    }
    const turns = toolTurns(fields.messages.map((turn) => ({
      ...turn,
      role: turn.role === "developer" ? "system" : turn.role,
    })));
    const includeUsage = fields.stream_options?.include_usage ?? false;
    const continuousUsage = stream && includeUsage &&
      (fields.stream_options?.continuous_usage_stats ?? false);
    const asks = askedReport(fields, turns, topLogprobs(fields), { stream, continuousUsage });
    ignored.push(...asks.ignored);
    const includeDiffusion = fields.include_diffusion ?? false;
    const asked = withTools(fields, askedConstraint(fields));
    const inMessages = constraintIn(turns, asked, settings);
    ignored.push(...notHeld(fields, inMessages ?? asked?.constraint));
    const limit = tokenLimit(fields, model.contextLength, settings.maxTokens);
    return {
      generate: {
        messages: turns,
        constraint: inMessages ?? asked?.constraint,
        constraintField: asked?.field,
        constraintTold: inMessages && true,
        maxTokens: limit.maxTokens,
        fitTokens: true,
        ...canvasOf(fields),
        blockLength: fields.block_length,
        steps: fields.steps,
        temperature: fields.temperature,
        topP: fields.top_p,
        topK: fields.top_k,
        minP: fields.min_p,
        presencePenalty: fields.presence_penalty,
        frequencyPenalty: fields.frequency_penalty,
        repetitionPenalty: fields.repetition_penalty ?? fields.repeat_penalty,
        logitBias: fields.logit_bias,
        ignoreEos: fields.ignore_eos,
        ...asks.generate,
        seed: engineSeed(fields.seed),
        cfgScale: fields.cfg_scale,
        remasking: fields.remasking,
        confidence: fields.confidence,
        strategy: fields.strategy,
        quality: fields.quality,
        cache: fields.cache,
        refreshInterval: fields.refresh_interval,
        suffixWindow: fields.suffix_window,
        threshold: fields.threshold,
        factor: fields.factor,
        draftDepth: fields.draft_depth,
        rounds: fields.rounds,
        draftThreshold: fields.draft_threshold,
        targetThreshold: fields.target_threshold,
        backThreshold: fields.back_threshold,
        stop: stopStrings(fields.stop),
      },
      ...inMessages && {
        otherwise: { constraint: asked?.constraint, constraintField: asked?.field },
      },
      mayCall: asked?.constraint.kind === "call",
      olderCalls: asksForFunctions(fields),
      answers: fields.n ?? 1,
      stream,
      // Who asks for the figures in a stream asks for the chunk that they stand in.
      includeUsage: stream && (fields.stream_options?.include_usage ?? includeDiffusion),
      includeDiffusion,
      report: asks.report,
      streamEvents: stream && (fields.stream_events ?? false),
      tokenLimitField: limit.field,
      ignored,
    };
  };
}

/**
 * The schema in the messages, as a constraint: where any JSON object is asked for, and where the
 * operator says so of chats that ask for nothing, there only in system messages.
 */
function constraintIn(
  messages: readonly ChatMessage[],
  asked: AskedConstraint | undefined,
  { jsonFromMessages = false }: RequestSettings,
): Constraint | undefined {
  const isObject = asked?.field === "response_format" && asked.constraint.kind === "json_object";
  if (!isObject && !(jsonFromMessages && asked === undefined)) return undefined;
  const schema = schemaIn(messages, { onlySystem: !isObject });
  return schema && { kind: "json_schema", schema };
}

/** Bytes of a body besides the text of its messages: names, roles, stop strings, metadata. */
const OTHER_BYTES = 2 ** 18;
/** Bytes of a UTF-16 unit in JSON at most, as an escape. */
const UNIT_BYTES = 6;

/** Bytes above which a body holds too much text, whatever is in it: it need not be parsed. */
export function textBounds(limits: RequestLimits, { maxBytes }: BodyLimits): BodyLimits["useless"] {
  const bytes = UNIT_BYTES * limits.maxTextLength + OTHER_BYTES;
  if (bytes >= maxBytes) return undefined;
  // Made anew each time: an error keeps what was on the stack, such as the first request.
  return { bytes, error: () => tooMuchText(`The request holds more than ${bytes} bytes`, limits) };
}

function tooMuchText(found: string, { maxTextLength, contextLength }: RequestLimits): ApiError {
  const message = `${found}, more than can fit (${maxTextLength} characters at most). ` +
    "Shorten the conversation.";
  const error = new ApiError(400, "context_length_exceeded", message, { param: "messages" });
  return withContext(error, contextLength);
}

/** OpenAI takes the number of likeliest tokens only with `logprobs`. */
function topLogprobs(
  { logprobs = false, top_logprobs = 0 }: {
    readonly logprobs?: boolean;
    readonly top_logprobs?: number;
  },
): number | undefined {
  if (logprobs) return top_logprobs;
  if (top_logprobs === 0) return undefined;
  const message = `'top_logprobs' is only allowed with "logprobs": true.`;
  throw new ApiError(400, "invalid_value", message, { param: "top_logprobs" });
}

/** OpenAI's seeds are signed. Other servers take -1 for any seed, and so do their clients. */
function engineSeed(seed: number | undefined): number | undefined {
  if (seed === undefined || seed === -1) return undefined;
  return seed < 0 ? seed + 2 ** 53 : seed;
}

/** Tokenising takes the engine's time: what cannot fit is refused before. */
function checkTextLength(
  messages: readonly { readonly content: string }[],
  limits: RequestLimits,
): void {
  const length = messages.reduce((sum, { content }) => sum + content.length, 0);
  if (length > limits.maxTextLength) {
    throw tooMuchText(`The messages hold ${length} characters`, limits);
  }
}

/**
 * The smaller of the two limits, and the field that has it; -1 asks for all that fits.
 * @param unasked the limit of a request without one
 */
function tokenLimit(
  fields: { readonly max_tokens?: number; readonly max_completion_tokens?: number },
  contextLength: number,
  unasked: number | undefined,
): { readonly maxTokens?: number; readonly field: ChatRequest["tokenLimitField"] } {
  const most = (limit: number | undefined) =>
    limit === undefined ? Infinity : Math.min(limit === -1 ? contextLength : limit, contextLength);
  const [older, newer] = [most(fields.max_tokens), most(fields.max_completion_tokens)];
  const maxTokens = Math.min(older, newer);
  return {
    maxTokens: maxTokens < Infinity ? maxTokens : unasked === undefined ? undefined : most(unasked),
    field: newer <= older && newer !== Infinity ? "max_completion_tokens" : "max_tokens",
  };
}

/** The texts that end an answer; empty ones, which forms send for none, end nothing. */
function stopStrings(stop: string | readonly string[] | undefined): readonly string[] | undefined {
  const texts = (typeof stop === "string" ? [stop] : stop)?.filter((text) => text !== "");
  return texts?.length ? texts : undefined;
}
