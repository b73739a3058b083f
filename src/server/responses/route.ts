/** `POST /v1/responses`: OpenAI's Responses API. Nothing is kept, so each request is whole. */
import type { Context } from "hono";
import type { BodyLimits } from "../json_body.ts";
import { present, readBody } from "../translated/body.ts";
import {
  type ChatHandler,
  EVENTS,
  type ResponseTimes,
  translate,
} from "../translated/translation.ts";
import { chatBody, IGNORED_FIELDS } from "./request.ts";
import { wholeResponse } from "./response.ts";
import { responsesSchema } from "./schema.ts";
import { ResponseEvents } from "./stream.ts";

/** Makes the route's handler. */
export function responses(
  chat: ChatHandler,
  options: { readonly body: BodyLimits } & ResponseTimes,
): (c: Context) => Promise<Response> {
  return async (c) => {
    const request = await readBody(c, responsesSchema, options.body);
    const events = new ResponseEvents(request);
    return await translate(c, {
      asks: [{ chat, body: chatBody(request) }],
      ignored: present(request, IGNORED_FIELDS),
      stream: request.stream ?? false,
      format: EVENTS,
      whole: ([answer]) => wholeResponse(request, answer),
      parts: (chunks) => events.of(chunks),
      broken: (error) => events.broken(error),
    }, options);
  };
}
