/** `POST /v1/messages` and `POST /v1/messages/count_tokens`: Anthropic's API. */
import type { Context } from "hono";
import type { TextEngine } from "../../engine/request.ts";
import { loadedModel } from "../health.ts";
import type { BodyLimits } from "../json_body.ts";
import { present, readBody } from "../translated/body.ts";
import {
  type ChatHandler,
  EVENTS,
  type ResponseTimes,
  sentEvent,
  translate,
} from "../translated/translation.ts";
import { anthropicError } from "./errors.ts";
import { messageEvents, wholeMessage } from "./message.ts";
import { chatBody, IGNORED_FIELDS, promptFields } from "./request.ts";
import { countSchema, messagesSchema, type Prompt } from "./schema.ts";

/** Makes the handler of `/v1/messages`. */
export function messages(
  engine: TextEngine,
  chat: ChatHandler,
  options: { readonly body: BodyLimits } & ResponseTimes,
): (c: Context) => Promise<Response> {
  return async (c) => {
    loadedModel(engine);
    const request = await readBody(c, messagesSchema, options.body);
    const stream = request.stream ?? false;
    // A stream says so before the engine has counted.
    const counted = stream ? await promptTokens(engine, request) : 0;
    return await translate(c, {
      asks: [{ chat, body: chatBody(request) }],
      ignored: present(request, IGNORED_FIELDS),
      stream,
      format: EVENTS,
      whole: ([answer]) => wholeMessage(answer),
      parts: (chunks) => messageEvents(chunks, counted),
      broken: ({ message }) => sentEvent(anthropicError(500, message), "error"),
    }, options);
  };
}

/** Makes the handler of `/v1/messages/count_tokens`. */
export function countTokens(
  engine: TextEngine,
  options: { readonly body: BodyLimits },
): (c: Context) => Promise<Response> {
  return async (c) => {
    loadedModel(engine);
    const request = await readBody(c, countSchema, options.body);
    return c.json({ input_tokens: await promptTokens(engine, request) });
  };
}

/** Tokens of the conversation; tools are not counted, since only an answer puts them into words. */
async function promptTokens(engine: TextEngine, prompt: Prompt): Promise<number> {
  const { messages } = promptFields(prompt) as {
    readonly messages: readonly { readonly role: string; readonly content: string | null }[];
  };
  const turns = messages.map(({ role, content }) => ({ role, content: content ?? "" }));
  return (await engine.text({ type: "render", messages: turns })).ids.length;
}
