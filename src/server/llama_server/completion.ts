/** `POST /completion` and `POST /infill`: llama-server's routes without the chat template. */
import type { Context } from "hono";
import { z } from "zod";
import type { TextEngine } from "../../engine/request.ts";
import { loadedModel } from "../health.ts";
import type { BodyLimits } from "../json_body.ts";
import type { AnswerChunk, AnswerUsage, WholeAnswer } from "../translated/chat_answer.ts";
import {
  fields,
  flag,
  listOf,
  present,
  readBody,
  refuse,
  text,
  whole,
  without,
} from "../translated/body.ts";
import { infillEngine } from "../translated/infill_engine.ts";
import { promptEngine } from "../translated/prompt_engine.ts";
import {
  type ChatHandler,
  EVENTS,
  type ResponseTimes,
  sentEvent,
  translate,
} from "../translated/translation.ts";

/** What both routes take. Fields that are not named are a chat completion's, or ignored. */
const shared = {
  n_predict: whole.optional(),
  stream: flag.optional(),
  n_probs: whole.optional(),
  grammar: text.optional(),
  json_schema: z.unknown().optional(),
  t_max_predict_ms: whole.optional(),
};

/** The schema of the body of `/completion`. */
export const completionSchema = fields({
  prompt: z.union([text, listOf(whole, "token ids")], { error: "text or a list of token ids" }),
  ...shared,
});

/** The schema of the body of `/infill`. */
export const infillSchema = fields({
  input_prefix: text,
  input_suffix: text,
  /** Files that stand before the text. */
  input_extra: listOf(fields({ filename: text, text }), "files with a filename and a text")
    .optional(),
  /** The beginning of what stands between. */
  prompt: text.optional(),
  ...shared,
});

type CompletionRequest = z.output<typeof completionSchema>;

/** Fields that are about llama-server's own runtime. */
const IGNORED_FIELDS: readonly string[] = [
  ...["cache_prompt", "id_slot", "return_tokens", "timings_per_token", "samplers", "n_keep"],
  ...["post_sampling_probs"],
];

/** Fields that are translated. */
const OWN_FIELDS: readonly string[] = [
  ...["prompt", "n_predict", "stream", "n_probs", "json_schema", "t_max_predict_ms"],
  ...["repeat_penalty", "grammar"],
];

type Options = { readonly body: BodyLimits } & ResponseTimes;
/** Makes the chat route over an engine. */
type ChatOver = (engine: TextEngine) => ChatHandler;

/** Makes the handler of `/completion`. */
export function completion(
  engine: TextEngine,
  chatOver: ChatOver,
  options: Options,
): (c: Context) => Promise<Response> {
  const chat = chatOver(promptEngine(engine));
  return async (c) => {
    loadedModel(engine);
    const request = await readBody(c, completionSchema, options.body);
    const { prompt } = request;
    const over = typeof prompt === "string" ? chat : chatOver(promptEngine(engine, prompt));
    return await answer(c, over, request, options);
  };
}

/** Makes the handler of `/infill`. */
export function infill(
  engine: TextEngine,
  chatOver: ChatOver,
  options: Options,
): (c: Context) => Promise<Response> {
  const chat = chatOver(promptEngine(engine));
  return async (c) => {
    loadedModel(engine);
    const { input_prefix, input_suffix, input_extra, ...request } = await readBody(
      c,
      infillSchema,
      options.body,
    );
    if (request.n_probs && input_suffix !== "") {
      throw refuse("n_probs", "A text between two has no probabilities: leave it out.");
    }
    const before = (input_extra ?? []).map(({ filename, text }) => `${filename}\n${text}\n\n`);
    const prompt = before.join("") + input_prefix + (request.prompt ?? "");
    const over = input_suffix === ""
      ? chat
      : chatOver(promptEngine(infillEngine(engine, input_suffix)));
    return await answer(c, over, { ...request, prompt }, options);
  };
}

async function answer(
  c: Context,
  chat: ChatHandler,
  request: CompletionRequest,
  options: Options,
): Promise<Response> {
  const begun = performance.now();
  const { prompt, n_predict, n_probs, json_schema, t_max_predict_ms } = request;
  if (request.grammar) throw refuse("grammar", "Send a json_schema instead.");
  const isText = typeof prompt === "string";
  const body = {
    ...without(request, ...OWN_FIELDS, ...IGNORED_FIELDS),
    messages: [{ role: "user", content: isText ? prompt : "" }],
    ...n_predict !== undefined && { max_tokens: n_predict },
    ...request.repeat_penalty !== undefined && { repetition_penalty: request.repeat_penalty },
    ...n_probs && { logprobs: true, top_logprobs: n_probs },
    ...json_schema !== undefined && {
      response_format: { type: "json_schema", json_schema: { name: "s", schema: json_schema } },
    },
    ...t_max_predict_ms && { deadline_ms: t_max_predict_ms },
  };
  const last = (end: Ending) => ({ ...lastFields(end, begun), prompt });
  return await translate(c, {
    asks: [{ chat, body }],
    ignored: present(request, IGNORED_FIELDS),
    stream: request.stream ?? false,
    format: EVENTS,
    whole: ([answer]) => wholeOf(answer, last),
    async *parts(chunks) {
      for await (const chunk of chunksOf(chunks, last)) yield sentEvent(chunk);
    },
    broken: ({ message, type }) => sentEvent({ error: { code: 500, message, type } }),
  }, options);
}

interface Ending {
  readonly reason: string | null;
  readonly stopText: string | null;
  readonly model: string;
  readonly usage?: AnswerUsage;
}

function lastFields({ reason, stopText, model, usage }: Ending, begun: number) {
  const milliseconds = performance.now() - begun;
  const predicted = usage?.completion_tokens ?? 0;
  return {
    stop: true,
    model,
    stop_type: reason === "length" ? "limit" : stopText === null ? "eos" : "word",
    stopping_word: stopText ?? "",
    tokens_predicted: predicted,
    tokens_evaluated: usage?.prompt_tokens ?? 0,
    tokens_cached: 0,
    truncated: false,
    generation_settings: {},
    timings: {
      prompt_n: usage?.prompt_tokens ?? 0,
      predicted_n: predicted,
      predicted_ms: milliseconds,
      predicted_per_second: predicted / Math.max(milliseconds / 1000, 1e-9),
    },
  };
}

function wholeOf({ choices, model, usage }: WholeAnswer, last: (end: Ending) => object) {
  const { message, finish_reason, stop_reason, logprobs } = choices[0];
  return {
    content: message.content ?? "",
    ...logprobs?.content && { completion_probabilities: logprobs.content },
    ...last({ reason: finish_reason, stopText: stop_reason ?? null, model, usage }),
  };
}

async function* chunksOf(
  chunks: AsyncIterable<AnswerChunk>,
  last: (end: Ending) => object,
): AsyncGenerator<object, void, void> {
  let reason: string | null = null;
  let stopText: string | null = null;
  let usage: AnswerUsage | undefined;
  let named = "";
  for await (const { choices, model, usage: counted } of chunks) {
    named = model;
    usage = counted ?? usage;
    for (const { delta, finish_reason, stop_reason, logprobs } of choices) {
      reason = finish_reason ?? reason;
      stopText = stop_reason ?? stopText;
      if (!delta.content) continue;
      const probabilities = logprobs?.content;
      yield {
        content: delta.content,
        stop: false,
        ...probabilities && { completion_probabilities: probabilities },
      };
    }
  }
  yield { content: "", ...last({ reason, stopText, model: named, usage }) };
}
