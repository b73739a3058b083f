/** `POST /v1/chat/completions`. */
import type { Context } from "hono";
import type { TextEngine } from "../engine/request.ts";
import { type AnswerEvent, answers } from "./answers.ts";
import { beginsWithin, givesWayUntil } from "./begin_time.ts";
import {
  type ChatRequest,
  chatRequestParser,
  requestLimits,
  type RequestSettings,
  textBounds,
} from "./chat_request.ts";
import { chatStream } from "./chat_stream.ts";
import { AnswerReport } from "./answer_report.ts";
import { type ApiError, toApiError, withContext } from "./errors.ts";
import { eventStream, type StreamMessage } from "./event_stream.ts";
import { loadedModel } from "./health.ts";
import { type BodyLimits, readJson } from "./json_body.ts";
import { liveResponse, settles } from "./live_response.ts";
import { chatCompletion, completionHead, type EndEvent } from "./openai.ts";
import { heldOr } from "./messages_schema.ts";
import { recordOf } from "./request_record.ts";

/** The server's options that the route uses. */
export interface ChatRouteOptions extends RequestSettings {
  /** Bounds on the request's body. */
  readonly body: BodyLimits;
  /** Limit of messages in a conversation. */
  readonly maxMessages: number;
  /** Seconds within which the response begins. */
  readonly beginSeconds: number;
  /** Seconds of silence after which a response that has begun sends a filler. */
  readonly pingSeconds: number;
  /** Called with errors that the client did not cause. */
  readonly onError: (error: unknown) => void;
}

/** Status when the client left before its answer: only the access log shows it. */
const CLIENT_CLOSED_REQUEST = 499;

/**
 * Makes the route's handler. When the client goes away, the engine's signal aborts.
 *
 * A streamed response begins with the engine's first event, an unstreamed one when the answer is
 * complete, so that an error before that has its own HTTP status. Both begin after `beginSeconds`
 * at the latest, or at the deadline (begin_time.ts), because proxies and clients give up a silent
 * connection. While it waits, a stream sends pings, and an
 * error becomes its last message `{"error": {...}}` without `[DONE]`. An unstreamed response sends
 * spaces, which JSON allows before a value, and an error breaks it off.
 */
export function chatCompletions(
  engine: TextEngine,
  options: ChatRouteOptions,
): (c: Context) => Promise<Response> {
  // Made at the first request, because it needs the loaded model.
  let parse: ((body: unknown) => ChatRequest) | undefined;
  let bounds = options.body;
  return async (c) => {
    const model = loadedModel(engine);
    if (parse === undefined) {
      const limits = requestLimits(model, options.maxMessages);
      parse = chatRequestParser(model, limits, options);
      bounds = { ...bounds, useless: textBounds(limits, bounds) };
    }
    // Others may answer the same context with requests of their own meanwhile.
    const { raw } = c.req;
    const request = parse(await readJson(raw, bounds));
    const record = recordOf(c);
    record.ignored = request.ignored;
    record.messages = request.generate.messages;
    const begins = beginsWithin(options.beginSeconds, request.generate.deadlineMs);
    const generate = {
      ...request.generate,
      priority: record.key?.priority,
      givesWayUntil: givesWayUntil(begins),
    };
    const cancel = new AbortController();
    const signal = AbortSignal.any([raw.signal, cancel.signal]);
    const onCancel = (reason: unknown) => cancel.abort(reason);
    const clientError = (error: unknown): ApiError => {
      const found = toApiError(error, request.tokenLimitField);
      const known = withContext(found, model.contextLength);
      if (known.status >= 500 && !signal.aborted) options.onError(error);
      return known;
    };
    const head = completionHead(model);
    const { pingSeconds } = options;
    try {
      const asked = request.otherwise
        ? heldOr(engine, request.otherwise, () => record.schema = "messages")
        : engine;
      const events = record.watch(
        answers(asked, generate, signal, {
          count: request.answers,
          arrived: record.arrived,
          id: record.name,
          before: record.hasBegun ? 1 : 0,
          hasOthers: record.asksOthers,
        }),
      );
      if (request.stream) {
        const opened = await open(events, begins);
        const messages = chatStream(head, opened, request);
        return eventStream(endWithError(messages, clientError), pingSeconds, onCancel);
      }
      const report = new AnswerReport(request.report);
      const answer = ends(events, report).then((all) =>
        JSON.stringify(chatCompletion(head, all, request.includeDiffusion, request, report))
      );
      const contentType = "application/json";
      if (await settles(answer, begins)) {
        return c.body(await answer, 200, { "Content-Type": contentType });
      }
      const parts = onlyPart(answer, clientError);
      return liveResponse(parts, { contentType, filler: " ", seconds: pingSeconds, onCancel });
    } catch (error) {
      if (signal.aborted) return new Response(null, { status: CLIENT_CLOSED_REQUEST });
      throw clientError(error);
    }
  };
}

/** The end of each answer. */
async function ends(
  events: AsyncIterable<AnswerEvent>,
  report: AnswerReport,
): Promise<readonly EndEvent[]> {
  const found: EndEvent[] = [];
  for await (const event of events) {
    report.see(event);
    if (event.type === "end") found[event.answer ?? 0] = event;
  }
  if (found.length === 0) throw new Error("the engine ended without an end event");
  return found;
}

/** Waits at most `seconds` for the first event, throws its error, and returns all the events. */
export async function open<Event>(
  events: AsyncIterable<Event>,
  seconds: number,
): Promise<AsyncIterable<Event>> {
  const iterator = events[Symbol.asyncIterator]();
  const first = iterator.next();
  await settles(first, seconds);
  return (async function* () {
    try {
      for (let next = await first; next.done !== true; next = await iterator.next()) {
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  })();
}

/** Passes messages on; an error becomes the last message. */
export async function* endWithError(
  messages: AsyncIterable<StreamMessage>,
  clientError: (error: unknown) => ApiError,
): AsyncGenerator<StreamMessage, void, void> {
  try {
    yield* messages;
  } catch (error) {
    yield { data: JSON.stringify(clientError(error).body) };
  }
}

async function* onlyPart(
  part: Promise<string>,
  clientError: (error: unknown) => ApiError,
): AsyncGenerator<string, void, void> {
  try {
    yield await part;
  } catch (error) {
    throw clientError(error);
  }
}
