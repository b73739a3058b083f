/** `POST /api/chat` and `POST /api/generate`: ollama's API. A stream is the default. */
import type { Context } from "hono";
import type { TextEngine } from "../../engine/request.ts";
import { loadedModel } from "../health.ts";
import type { BodyLimits } from "../json_body.ts";
import { readBody, refuse } from "../translated/body.ts";
import { contextEngine } from "./context_engine.ts";
import { infillEngine } from "../translated/infill_engine.ts";
import { promptEngine } from "../translated/prompt_engine.ts";
import {
  type ChatHandler,
  LINES,
  type ResponseTimes,
  sentLine,
  translate,
} from "../translated/translation.ts";
import { answerLines, loadedAnswer, type OllamaHead, wholeAnswer } from "./answer.ts";
import { chatBody, generateBody, ignoredFields, requireNamed } from "./request.ts";
import { chatSchema, generateSchema, type SharedRequest } from "./schema.ts";

type Options = { readonly body: BodyLimits } & ResponseTimes;

/** Makes the handler of `/api/chat`. */
export function ollamaChat(
  engine: TextEngine,
  chat: ChatHandler,
  options: Options,
): (c: Context) => Promise<Response> {
  return async (c) => {
    const begun = performance.now();
    const { id } = loadedModel(engine);
    const request = await readBody(c, chatSchema, options.body, { anyType: true });
    requireNamed(request.model);
    const head: OllamaHead = { kind: "chat", model: request.model ?? id, begun };
    if (!request.messages?.length) return c.json(loadedAnswer(head, reasonOf(request)));
    return await answer(c, head, request, { chat, body: chatBody(request) }, options);
  };
}

/**
 * Makes the handler of `/api/generate`. With a suffix the prompt is raw.
 * @param chatOver makes the chat route over an engine
 */
export function ollamaGenerate(
  engine: TextEngine,
  chatOver: (engine: TextEngine) => ChatHandler,
  options: Options,
): (c: Context) => Promise<Response> {
  const chat = chatOver(engine);
  const rawChat = chatOver(promptEngine(engine));
  return async (c) => {
    const begun = performance.now();
    const { id } = loadedModel(engine);
    const request = await readBody(c, generateSchema, options.body, { anyType: true });
    requireNamed(request.model);
    const { raw, suffix, context = [] } = request;
    const model = request.model ?? id;
    const answers = raw || suffix ? {} : { context };
    const head: OllamaHead = { kind: "generate", model, begun, ...answers };
    if (request.template) throw refuse("template", 'Send the whole prompt with "raw": true.');
    if (!request.prompt) return c.json(loadedAnswer(head, reasonOf(request)));
    const between = suffix ? chatOver(promptEngine(infillEngine(engine, suffix))) : undefined;
    const after = context.length > 0 && !raw ? chatOver(contextEngine(engine, context)) : undefined;
    const over = between ?? (raw ? rawChat : after ?? chat);
    const body = { ...generateBody(request), return_token_ids: head.context !== undefined };
    return await answer(c, head, request, { chat: over, body }, options);
  };
}

/** A keep_alive of 0 asks to unload the model: it stays, but the client is answered as it expects. */
function reasonOf({ keep_alive }: SharedRequest): "load" | "unload" {
  return keep_alive === 0 || /^0[a-z]*$/.test(String(keep_alive)) ? "unload" : "load";
}

function answer(
  c: Context,
  head: OllamaHead,
  request: SharedRequest,
  ask: { readonly chat: ChatHandler; readonly body: Readonly<Record<string, unknown>> },
  options: Options,
): Promise<Response> {
  return translate(c, {
    asks: [{ ...ask, body: { ...ask.body, timings_per_token: true } }],
    ignored: ignoredFields(request),
    stream: request.stream ?? true,
    format: LINES,
    whole: ([answer]) => wholeAnswer(head, answer),
    parts: (chunks) => answerLines(head, chunks),
    broken: ({ message }) => sentLine({ error: message }),
  }, options);
}
