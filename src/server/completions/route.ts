/** `POST /v1/completions`: text goes on, without the chat template. */
import type { Context } from "hono";
import type { TextEngine } from "../../engine/request.ts";
import { ApiError } from "../errors.ts";
import { loadedModel } from "../health.ts";
import type { BodyLimits } from "../json_body.ts";
import { type Fields, readBody, refuse, without } from "../translated/body.ts";
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
import { completionChunks, type CompletionShape, wholeCompletion } from "./completion.ts";
import { completionsSchema, type Prompt, promptsOf } from "./schema.ts";

/** Fields that are translated. */
const OWN_FIELDS: readonly string[] = [
  ...["prompt", "suffix", "echo", "best_of", "logprobs", "stream", "stream_options"],
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
    loadedModel(engine);
    const request = await readBody(c, completionsSchema, options.body);
    const { suffix, echo, n = 1, best_of, logprobs, stream } = request;
    if (best_of !== undefined && best_of !== n) {
      throw refuse("best_of", "Leave it out, or send as many as n.");
    }
    const prompts = promptsOf(request);
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
    const body: Fields = {
      ...without(request, ...OWN_FIELDS),
      ...logprobs !== undefined && { logprobs: true, top_logprobs: logprobs },
    };
    const chatFor = (prompt: Prompt): ChatHandler => {
      const ids = typeof prompt === "string" ? undefined : prompt;
      if (suffix) return chatOver(promptEngine(infillEngine(engine, suffix), ids));
      return ids ? chatOver(promptEngine(engine, ids)) : chat;
    };
    const askFor = (prompt: Prompt): Ask => ({
      chat: chatFor(prompt),
      body: { ...body, messages: [{ role: "user", content: asText(prompt) }] },
    });
    const echoed = await Promise.all(
      prompts.map((one) => echo ? echoOf(engine, one, logprobs !== undefined) : NO_ECHO),
    );
    const shape: CompletionShape = {
      echoes: echoed.map(({ text }) => text),
      echoTokens: echoed.map(({ tokens }) => tokens),
      each: n,
      includeUsage: request.stream_options?.include_usage ?? false,
    };
    return await translate(c, {
      asks: [askFor(prompts[0]), ...prompts.slice(1).map(askFor)],
      ignored: [],
      stream: stream ?? false,
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

/** Stands in the message's place where the prompt is ids. */
function asText(prompt: Prompt): string {
  return typeof prompt === "string" ? prompt : "";
}

/** A prompt that is said again before its answer. */
interface Echo {
  readonly text: string;
  readonly tokens: readonly string[];
}

const NO_ECHO: Echo = { text: "", tokens: [] };

async function echoOf(engine: TextEngine, prompt: Prompt, withTokens: boolean): Promise<Echo> {
  const isText = typeof prompt === "string";
  if (isText && !withTokens) return { text: prompt, tokens: [] };
  const { text, pieces } = await engine.text(
    isText ? { type: "encode", text: prompt, control: true } : { type: "decode", ids: prompt },
  );
  const tokens = pieces.map((piece) => typeof piece === "string" ? piece : "\ufffd");
  return { text: isText ? prompt : text, tokens: withTokens ? tokens : [] };
}
