/**
 * Other APIs on the ground of the chat route. Such a route turns a body into a chat completion's
 * and the answer back. So every field and bound that chats have holds for it too, and what ignores
 * or refuses a field is written once.
 */
import type { Context } from "hono";
import { ApiError, type ErrorBody } from "../errors.ts";
import { liveResponse, settles } from "../live_response.ts";
import { sideBySide } from "../side_by_side.ts";
import { recordOf } from "../request_record.ts";
import type { AnswerChunk, WholeAnswer } from "./chat_answer.ts";

/** The handler of `POST /v1/chat/completions`. */
export type ChatHandler = (c: Context) => Promise<Response>;

/** The `error` of an OpenAI error body. */
export type ErrorFields = ErrorBody["error"];

/** A format of streams. */
export interface StreamFormat {
  readonly contentType: string;
  /** What keeps the connection during a silence, and readers skip. */
  readonly filler: string;
}

/** Server-sent events. */
export const EVENTS: StreamFormat = {
  contentType: "text/event-stream; charset=utf-8",
  filler: ": ping\n\n",
};

/** A JSON value a line. A space before a value is part of JSON. */
export const LINES: StreamFormat = { contentType: "application/x-ndjson", filler: " " };

/** One server-sent event; without a name it is `message`. */
export function sentEvent(data: unknown, event?: string): string {
  return `${event === undefined ? "" : `event: ${event}\n`}data: ${JSON.stringify(data)}\n\n`;
}

/** A value of a stream of lines. */
export function sentLine(value: unknown): string {
  return `${JSON.stringify(value)}\n`;
}

/** A chat completion that is asked for. */
export interface Ask {
  readonly chat: ChatHandler;
  /** Its body; fields that the route does not know pass unchanged. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** How one request is translated. */
export interface Translation {
  /** The chat completions, the others beside the first when that has begun; most routes have one. */
  readonly asks: readonly [Ask, ...Ask[]];
  /** Whether an answer has a place for several choices; elsewhere `n` is ignored. */
  readonly hasChoices?: boolean;
  /** Fields of the request that change nothing here; the answer's header names them. */
  readonly ignored: readonly string[];
  /** Whether the answer is streamed. */
  readonly stream: boolean;
  /** Whether all chunks of a stream have the token counts so far. */
  readonly continuousUsage?: boolean;
  readonly format: StreamFormat;
  /** The answer's body; it gets an answer for each of `asks`. */
  readonly whole: (answers: readonly [WholeAnswer, ...WholeAnswer[]]) => unknown;
  /** A stream's parts, as text, made of the chunks of all `asks`; those of one ask are in order. */
  readonly parts: (chunks: AsyncIterable<AnswerChunk>) => AsyncIterable<string>;
  /** The last part of a stream that an error ended. */
  readonly broken: (error: ErrorFields) => string;
}

/** When responses begin, and what keeps them. */
export interface ResponseTimes {
  /** Seconds within which the response begins. */
  readonly beginSeconds: number;
  /** Seconds of silence after which a filler is sent. */
  readonly pingSeconds: number;
}

/** The most chat completions of a request that are under way at once. */
const MOST_ASKS = 16;

/** Seconds within which an answer is read that the chat route has finished. */
const READ_SECONDS = 0.2;

/**
 * Asks the chat route and translates its answers. Errors before the response begins are the chat
 * route's; family_errors.ts gives them the API's own shape.
 */
export async function translate(
  c: Context,
  { asks, hasChoices, ignored, stream, continuousUsage, format, whole, parts, broken }: Translation,
  { beginSeconds, pingSeconds }: ResponseTimes,
): Promise<Response> {
  const left = new AbortController();
  const onCancel = (reason: unknown) => left.abort(reason);
  const { raw } = c.req;
  const stream_options = {
    include_usage: true,
    ...continuousUsage && { continuous_usage_stats: true },
  };
  const more = stream ? { stream, stream_options } : { stream };
  const record = recordOf(c);
  record.asksOthers = asks.length > 1;
  const answerTo = async ({ chat, body: { n, ...body } }: Ask): Promise<Response> => {
    const choices = hasChoices ? { n } : {};
    c.req.raw = chatRequest(raw, { ...body, ...choices, ...more }, left.signal);
    const response = await chat(c);
    const alone = n === undefined || hasChoices ? [] : ["n"];
    record.ignored = [...new Set([...record.ignored, ...ignored, ...alone])];
    return response;
  };
  // Between two answers nothing is generated, and the request is not over.
  const release = record.hold();
  const first = answerTo(asks[0]);
  /** What is read of all answers. */
  const read = async function* <T>(
    readOne: (answer: Response, ask: number) => AsyncIterable<T>,
  ): AsyncGenerator<T, void, void> {
    const source = async function* (ask: number) {
      const answer = await (ask === 0 ? first : answerTo(asks[ask]));
      if (answer.ok) yield* readOne(answer, ask);
    };
    const together = { begun: record.begun, most: MOST_ASKS, end: left };
    try {
      yield* sideBySide(asks.length, source, together);
    } finally {
      release();
    }
  };
  if (stream) {
    let answer: Response | undefined;
    try {
      answer = await first;
    } finally {
      if (!answer?.ok) release();
    }
    if (!answer.ok) return answer;
    const translated = endWith(parts(read(chunksIn)), broken);
    return marked(
      liveResponse(translated, { ...format, seconds: pingSeconds, onCancel }),
      answer,
    );
  }
  // The others begin beside the first, which is only known when it is done.
  const text = wholeOf(read(wholeIn)).then((all) => JSON.stringify(whole(all)));
  text.catch(() => {});
  const answer = await first;
  if (!answer.ok) {
    // It may have ended because another one has failed.
    if (left.signal.aborted) await text;
    return answer;
  }
  const contentType = "application/json";
  if (await settles(text, asks.length === 1 ? READ_SECONDS : beginSeconds)) {
    return marked(new Response(await text, { headers: { "Content-Type": contentType } }), answer);
  }
  const part = async function* () {
    yield await text;
  };
  const live = { contentType, filler: " ", seconds: pingSeconds, onCancel };
  return marked(liveResponse(part(), live), answer);
}

/** Answers as they come, in the order of what asked for them. */
async function wholeOf(
  answers: AsyncIterable<readonly [ask: number, answer: WholeAnswer]>,
): Promise<readonly [WholeAnswer, ...WholeAnswer[]]> {
  const all: WholeAnswer[] = [];
  for await (const [ask, answer] of answers) all[ask] = answer;
  return all as [WholeAnswer, ...WholeAnswer[]];
}

async function* wholeIn(
  answer: Response,
  ask: number,
): AsyncGenerator<readonly [ask: number, answer: WholeAnswer]> {
  yield [ask, await answer.json()];
}

/** The same request with another body, which also ends by `signal`. */
function chatRequest(request: Request, body: unknown, signal: AbortSignal): Request {
  const headers = new Headers(request.headers);
  for (const name of ["content-length", "content-encoding", "transfer-encoding"]) {
    headers.delete(name);
  }
  headers.set("content-type", "application/json");
  return new Request(request.url, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    signal: AbortSignal.any([request.signal, signal]),
  });
}

/** Hands on what the chat route says in headers of its own. */
function marked(response: Response, { headers }: Response): Response {
  for (const [name, value] of headers) {
    if (name.startsWith("x-")) response.headers.set(name, value);
  }
  return response;
}

/** A chat stream's own error. */
class StreamError extends Error {
  constructor(readonly fields: ErrorFields) {
    super(fields.message);
  }
}

/** The chunks of a chat stream. @throws {StreamError} where an error stands in a chunk's place */
async function* chunksIn(
  { body }: Response,
  ask: number,
): AsyncGenerator<AnswerChunk, void, void> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const bytes of body ?? []) {
    rest += decoder.decode(bytes, { stream: true });
    const events = rest.split("\n\n");
    rest = events.pop()!;
    for (const event of events) {
      const data = event.split("\n").find((line) => line.startsWith("data: "))?.slice(6);
      if (data === undefined || data === "[DONE]") continue;
      const chunk: AnswerChunk & { readonly error?: ErrorFields } = JSON.parse(data);
      if (chunk.error) throw new StreamError(chunk.error);
      yield { ...chunk, ask };
    }
  }
}

/** Passes parts on; an error of the chat route becomes the last of them. */
async function* endWith(
  parts: AsyncIterable<string>,
  broken: (error: ErrorFields) => string,
): AsyncGenerator<string, void, void> {
  try {
    yield* parts;
  } catch (error) {
    if (error instanceof StreamError) yield broken(error.fields);
    // One that came after the response had begun, with another answer.
    else if (error instanceof ApiError) yield broken(error.body.error);
    else throw error;
  }
}
