/** `POST /completion` and `POST /infill`: llama-server's routes without the chat template. */
import type { Context } from "hono";
import { z } from "zod";
import type { TextEngine } from "../../engine/request.ts";
import { loadedModel } from "../health.ts";
import type { BodyLimits } from "../json_body.ts";
import {
  type Fields,
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
import { type AnswerShape, chunksOf, wholeOf } from "./answer.ts";
import { type Prompt, promptSchema, promptsOf, readPrompt } from "./prompts.ts";

/** What both routes take. Fields that are not named are a chat completion's, or ignored. */
const shared = {
  n_predict: whole.optional(),
  stream: flag.optional(),
  n_probs: whole.optional(),
  post_sampling_probs: flag.optional(),
  timings_per_token: flag.optional(),
  return_tokens: flag.optional(),
  response_fields: listOf(text, "names of fields").optional(),
  grammar: text.optional(),
  json_schema: z.unknown().optional(),
  t_max_predict_ms: whole.optional(),
};

/** The schema of the body of `/completion`. */
export const completionSchema = fields({
  prompt: promptSchema,
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

const sharedSchema = fields(shared);
type SharedRequest = z.output<typeof sharedSchema>;

/** Fields that are about llama-server's own runtime. */
const IGNORED_FIELDS: readonly string[] = [
  ...["cache_prompt", "id_slot", "samplers", "n_keep"],
];

/** Fields that are translated. */
const OWN_FIELDS: readonly string[] = [
  ...["prompt", "n_predict", "stream", "n_probs", "json_schema", "t_max_predict_ms"],
  ...["repeat_penalty", "return_tokens", "response_fields", "post_sampling_probs"],
  ...["timings_per_token"],
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
  const overText = chatOver(promptEngine(engine));
  return async (c) => {
    const { endTokens } = loadedModel(engine);
    const request = await readBody(c, completionSchema, options.body);
    const isEmpty = request.n_predict === 0;
    const over = isEmpty ? emptyEngine(engine) : engine;
    const [first, ...others] = promptsOf(request.prompt);
    const read = async (prompt: Prompt): Promise<Asked> => {
      const { ids, text } = await readPrompt(engine, prompt);
      if (!isEmpty && !ids) return { text, chat: overText };
      return { text, chat: chatOver(promptEngine(over, ids)) };
    };
    const asked: Asked[] = [];
    for (const prompt of others) asked.push(await read(prompt));
    return await answer(c, [await read(first), ...asked], { request, endTokens }, options);
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
    const { endTokens } = loadedModel(engine);
    const { input_prefix, input_suffix, input_extra, ...request } = await readBody(
      c,
      infillSchema,
      options.body,
    );
    const before = (input_extra ?? []).map(({ filename, text }) => `${filename}\n${text}\n\n`);
    const prompt = before.join("") + input_prefix + (request.prompt ?? "");
    const over = request.n_predict === 0
      ? chatOver(promptEngine(emptyEngine(engine)))
      : input_suffix === ""
      ? chat
      : chatOver(promptEngine(infillEngine(engine, input_suffix)));
    const asked = { text: prompt, chat: over };
    return await answer(c, [asked], { request, endTokens }, options);
  };
}

/** A prompt as text, and the chat route that takes it. */
interface Asked {
  readonly text: string;
  readonly chat: ChatHandler;
}

async function answer(
  c: Context,
  asked: readonly [Asked, ...Asked[]],
  { request, endTokens = [] }: {
    readonly request: SharedRequest;
    /** Tokens that end an answer. */
    readonly endTokens?: readonly number[];
  },
  options: Options,
): Promise<Response> {
  const { n_predict, n_probs, json_schema, t_max_predict_ms, stream = false } = request;
  const afterSampling = Boolean(request.post_sampling_probs && n_probs);
  if (afterSampling && (request.temperature ?? 0) !== 0) {
    throw refuse("post_sampling_probs", "It is known at temperature 0 only: leave it out.");
  }
  const withTokens = request.return_tokens ?? false;
  const body = {
    ...without(request, ...OWN_FIELDS, ...IGNORED_FIELDS),
    ...afterSampling && { temperature: 0 },
    ...n_predict !== undefined && { max_tokens: n_predict || LEAST_LIMIT },
    timings_per_token: true,
    ...request.repeat_penalty !== undefined && { repetition_penalty: request.repeat_penalty },
    ...(n_probs || withTokens || stream) &&
      { logprobs: true, top_logprobs: n_probs ?? 0 },
    ...json_schema !== undefined && {
      response_format: { type: "json_schema", json_schema: { name: "s", schema: json_schema } },
    },
    ...t_max_predict_ms && { deadline_ms: t_max_predict_ms },
  };
  const shape: AnswerShape = {
    prompts: asked.map(({ text }) => text),
    settings: settingsOf(request, endTokens),
    withTokens,
    withProbabilities: Boolean(n_probs),
    afterSampling,
    withTimings: request.timings_per_token ?? false,
    only: request.response_fields ?? [],
  };
  const askFor = ({ text, chat }: Asked): Ask => {
    return { chat, body: { ...body, messages: [{ role: "user", content: text }] } };
  };
  const [first, ...others] = asked;
  return await translate(c, {
    asks: [askFor(first), ...others.map(askFor)],
    ignored: present(request, IGNORED_FIELDS),
    stream,
    format: EVENTS,
    whole: (answers) => {
      const all = answers.map((answer, index) => wholeOf(answer, index, shape));
      // As llama-server: a list of one prompt is answered as the prompt alone.
      return all.length > 1 ? all : all[0];
    },
    async *parts(chunks) {
      for await (const chunk of chunksOf(chunks, shape)) yield sentEvent(chunk);
    },
    broken: ({ message, type }) => sentEvent({ error: { code: 500, message, type } }),
  }, options);
}

/** Fields that an answer tells again, of those that have no value of their own without one. */
const TOLD_FIELDS: readonly string[] = [
  ...["temperature", "top_k", "top_p", "min_p", "repeat_penalty", "presence_penalty"],
  ...["frequency_penalty", "ignore_eos", "json_schema"],
];

/** What the request asked for. */
function settingsOf(
  request: SharedRequest,
  endTokens: readonly number[],
): Record<string, unknown> {
  const { n_predict = -1, n_probs = 0, stream = false } = request;
  const fields: Fields = request;
  return {
    n_predict,
    n_probs,
    stream,
    seed: fields.seed ?? -1,
    stop: fields.stop ?? [],
    logit_bias: [
      ...biasesOf(fields.logit_bias),
      // What bans a token is null in JSON.
      ...fields.ignore_eos === true ? endTokens.map((token) => ({ token, bias: null })) : [],
    ],
    ...Object.fromEntries(present(request, TOLD_FIELDS).map((name) => [name, fields[name]])),
  };
}

/** Biases as the answer tells them again: those of texts by their text. */
function biasesOf(asked: unknown): readonly object[] {
  // What else stands there the chat route refuses.
  const pairs = Array.isArray(asked) ? asked.filter(Array.isArray) : Object.entries(asked ?? {});
  return pairs.map(([of, bias]) => ({ token: of, bias: bias === false ? null : bias }));
}
