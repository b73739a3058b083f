/** `POST /v1/completions`: text goes on, without the chat template. */
import type { Context } from "hono";
import type { TextEngine } from "../../engine/request.ts";
import { ApiError } from "../errors.ts";
import { loadedModel } from "../health.ts";
import type { BodyLimits } from "../json_body.ts";
import { type Fields, readBody, refuse, without } from "../translated/body.ts";
import { emptyEngine, LEAST_LIMIT } from "../translated/empty_engine.ts";
import { infillEngine } from "../translated/infill_engine.ts";
import { promptEngine } from "../translated/prompt_engine.ts";
import {
  type Ask,
  type ChatHandler,
  EVENTS,
  type ResponseTimes,
  sentEvent,
  translate,
} from "../translated/translation.ts";
import {
  completionChunks,
  type CompletionShape,
  type Echo,
  NO_ECHO,
  wholeCompletion,
} from "./completion.ts";
import { completionsSchema, type Prompt, promptsOf } from "./schema.ts";

/** Fields that are translated. */
const OWN_FIELDS: readonly string[] = [
  ...["prompt", "suffix", "echo", "best_of", "logprobs", "stream", "stream_options"],
  ...["n_predict", "max_tokens", "prompt_logprobs", "return_tokens_as_token_ids"],
  ...["truncate_prompt_tokens", "truncation_side"],
];

/** Most prompts of a request. */
const MOST_PROMPTS = 128;
/** Most answers of a request, over all its prompts. */
const MOST_ANSWERS = 128;

/**
 * Makes the route's handler.
 * @param chatOver makes the chat route over an engine
 */
export function completions(
  engine: TextEngine,
  chatOver: (engine: TextEngine) => ChatHandler,
  options: { readonly body: BodyLimits } & ResponseTimes,
): (c: Context) => Promise<Response> {
  const chat = chatOver(promptEngine(engine));
  return async (c) => {
    const { contextLength } = loadedModel(engine);
    const request = await readBody(c, completionsSchema, options.body);
    const { suffix, echo, n = 1, best_of, logprobs, stream, prompt_logprobs } = request;
    const limit = request.max_tokens ?? request.n_predict;
    if (best_of !== undefined && best_of !== n) {
      throw refuse("best_of", "Leave it out, or send as many as n.");
    }
    let prompts = promptsOf(request);
    if (prompts.length === 0 || prompts.length > MOST_PROMPTS) {
      const message =
        `Invalid 'prompt': expected 1 to ${MOST_PROMPTS} prompts, found ${prompts.length}.`;
      throw new ApiError(400, "invalid_value", message, { param: "prompt" });
    }
    if (prompts.length * n > MOST_ANSWERS) {
      const message = `Invalid 'n': ${prompts.length} prompts with ${n} answers each are ` +
        `${prompts.length * n} answers, at most ${MOST_ANSWERS} are possible in one request.`;
      throw new ApiError(400, "invalid_value", message, { param: "n" });
    }
    const { truncate_prompt_tokens: most, truncation_side: side } = request;
    if (most !== undefined) {
      const count = most < 0 ? contextLength - 1 : most;
      prompts = await Promise.all(prompts.map((one) => cut(engine, one, count, side)));
    }
    const body: Fields = {
      ...without(request, ...OWN_FIELDS),
      ...limit !== undefined && { max_tokens: limit || LEAST_LIMIT },
      ...logprobs !== undefined && { logprobs: true, top_logprobs: logprobs },
    };
    const chatFor = (prompt: Prompt): ChatHandler => {
      const ids = typeof prompt === "string" ? undefined : prompt;
      if (limit === 0) return chatOver(promptEngine(emptyEngine(engine), ids));
      if (suffix) return chatOver(promptEngine(infillEngine(engine, suffix), ids));
      return ids ? chatOver(promptEngine(engine, ids)) : chat;
    };
    const echoes = await Promise.all(
      prompts.map((one) => echo ? echoOf(engine, one, logprobs !== undefined) : NO_ECHO),
    );
    const askFor = (prompt: Prompt, i: number): Ask => {
      // Echoed tokens get their own; there is no room for those of a long prompt.
      const count = prompt_logprobs ??
        (!stream && 2 * echoes[i].tokens.length <= contextLength && echoes[i].tokens.length > 0
          ? logprobs
          : undefined);
      const messages = [{ role: "user", content: asText(prompt) }];
      const scored = count === undefined ? {} : { prompt_logprobs: count };
      return { chat: chatFor(prompt), body: { ...body, ...scored, messages } };
    };
    const { include_usage, continuous_usage_stats } = request.stream_options ?? {};
    const shape: CompletionShape = {
      echoes,
      each: n,
      includeUsage: include_usage ?? false,
      continuousUsage: (include_usage && continuous_usage_stats) ?? false,
      namesByIds: request.return_tokens_as_token_ids ?? false,
      withLogprobs: logprobs !== undefined,
      withPromptLogprobs: prompt_logprobs !== undefined,
      // llama-server's own completion has this path, OpenAI's has it with /v1.
      withContent: !new URL(c.req.url).pathname.includes("/v1"),
    };
    return await translate(c, {
      asks: [askFor(prompts[0], 0), ...prompts.slice(1).map((one, i) => askFor(one, i + 1))],
      hasChoices: true,
      ignored: [],
      stream: stream ?? false,
      continuousUsage: shape.continuousUsage,
      format: EVENTS,
      whole: (answers) => wholeCompletion(answers, shape),
      async *parts(chunks) {
        for await (const chunk of completionChunks(chunks, shape)) yield sentEvent(chunk);
        yield "data: [DONE]\n\n";
      },
      broken: (error) => sentEvent({ error }),
    }, options);
  };
}

/** The last ids of a prompt, or its first. */
async function cut(
  engine: TextEngine,
  prompt: Prompt,
  count: number,
  side: "left" | "right" = "left",
): Promise<Prompt> {
  const ids = typeof prompt === "string"
    ? (await engine.text({ type: "encode", text: prompt, control: true })).ids
    : prompt;
  return side === "left" ? ids.slice(-count) : ids.slice(0, count);
}

/** Stands in the message's place where the prompt is ids. */
function asText(prompt: Prompt): string {
  return typeof prompt === "string" ? prompt : "";
}

async function echoOf(engine: TextEngine, prompt: Prompt, withTokens: boolean): Promise<Echo> {
  const isText = typeof prompt === "string";
  if (isText && !withTokens) return { text: prompt, tokens: [] };
  const { text, ids, pieces } = await engine.text(
    isText ? { type: "encode", text: prompt, control: true } : { type: "decode", ids: prompt },
  );
  const tokens = pieces.map((piece, i) => {
    return { id: ids[i], token: typeof piece === "string" ? piece : "\ufffd" };
  });
  return { text: isText ? prompt : text, tokens: withTokens ? tokens : [] };
}
