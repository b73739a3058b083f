/** The body of `POST /v1/chat/completions`, checked and turned into the engine's request. */
import type { GenerateRequest, ModelSummary } from "../engine/request.ts";
import { chatSchema, KNOWN_FIELDS, type RequestLimits } from "./chat_schema.ts";
import { ApiError } from "./errors.ts";
import type { BodyLimits } from "./json_body.ts";
import { requireModel } from "./models.ts";
import { issueError } from "./request_issue.ts";

/** A checked request. */
export interface ChatRequest {
  /** The request to the engine. */
  readonly generate: GenerateRequest;
  /** Whether to answer as server-sent events. */
  readonly stream: boolean;
  /** Whether to end the stream with token counts. */
  readonly includeUsage: boolean;
  /** Whether the stream carries typed events of every denoising step. */
  readonly streamEvents: boolean;
  /** The field that the client used for the token limit. */
  readonly tokenLimitField: "max_tokens" | "max_completion_tokens";
}

/** Limits of a request: some follow from the model, the others are the server's. */
export function requestLimits(model: ModelSummary, maxMessages: number): RequestLimits {
  return {
    contextLength: model.contextLength,
    maxMessages,
    // Text longer than 16 characters per token of context cannot fit in it.
    maxTextLength: Math.max(4096, 16 * model.contextLength),
    maxStops: 4,
    maxStopLength: 256,
    maxSteps: 4 * model.contextLength,
  };
}

/**
 * Makes a function that checks a JSON body for this model.
 *
 * Fields are OpenAI's (`model`, `messages`, `max_tokens` or `max_completion_tokens`, `temperature`,
 * `seed`, `stop`, `stream`, `stream_options`, and `user`, `safety_identifier`, `prompt_cache_key`,
 * `metadata`, which change nothing) and this server's: `stream_events`, and fields of
 * {@link GenerateRequest} in snake case, from `steps` to `back_threshold`. {@link chatSchema} has all
 * of them, with their bounds. A null field counts as absent. Text parts of a content are joined
 * without a separator. The chat template sees the role `developer` as `system`.
 *
 * The function throws {@link ApiError}: 400 naming the field, what was expected and what was found,
 * or 404 if the request names another model.
 */
export function chatRequestParser(
  model: ModelSummary,
  limits: RequestLimits,
): (body: unknown) => ChatRequest {
  const schema = chatSchema(limits);
  return (body) => {
    const parsed = schema.safeParse(body);
    if (!parsed.success) throw issueError(parsed.error.issues[0], body, KNOWN_FIELDS);
    const fields = parsed.data;
    if (fields.model !== undefined) requireModel(model, fields.model);
    checkTextLength(fields.messages, limits);
    const stream = fields.stream ?? false;
    if (!stream) {
      refuseWithoutStream("stream_options", fields.stream_options !== undefined);
      refuseWithoutStream("stream_events", fields.stream_events === true);
    }
    const { max_tokens, max_completion_tokens } = fields;
    if (
      max_tokens !== undefined && max_completion_tokens !== undefined &&
      max_tokens !== max_completion_tokens
    ) {
      throw new ApiError(
        400,
        "invalid_value",
        `max_tokens is ${max_tokens} and max_completion_tokens is ${max_completion_tokens}: ` +
          "send one of the two.",
        { param: "max_completion_tokens" },
      );
    }
    return {
      generate: {
        messages: fields.messages.map(({ role, content }) => ({
          role: role === "developer" ? "system" : role,
          content,
        })),
        maxTokens: max_completion_tokens ?? max_tokens,
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
        topLogprobs: topLogprobs(fields),
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
        stop: typeof fields.stop === "string" ? [fields.stop] : fields.stop,
      },
      stream,
      includeUsage: fields.stream_options?.include_usage ?? false,
      streamEvents: fields.stream_events ?? false,
      tokenLimitField: max_completion_tokens === undefined ? "max_tokens" : "max_completion_tokens",
    };
  };
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
  return new ApiError(
    400,
    "context_length_exceeded",
    `${found}, more than the model's ${contextLength} tokens can ` +
      `(${maxTextLength} characters at most). Shorten the conversation.`,
    { param: "messages" },
  );
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

function refuseWithoutStream(field: string, given: boolean): void {
  if (!given) return;
  const message = `'${field}' is only allowed with "stream": true.`;
  throw new ApiError(400, "invalid_value", message, { param: field });
}
