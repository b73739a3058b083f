/** What the routes that fill holes share: reading a body, asking the engine, answering. */
import type { Context } from "hono";
import { z } from "zod";
import type {
  FilledText,
  GenerateEvent,
  GenerateRequest,
  ModelSummary,
  TextEngine,
} from "../../engine/request.ts";
import { RequestError, STRATEGY_NAMES } from "../../engine/request.ts";
import { beginsWithin, givesWayUntil } from "../begin_time.ts";
import { canvasShape } from "../canvas_fields.ts";
import { endWithError, open } from "../chat_completions.ts";
import { toApiError, withContext } from "../errors.ts";
import { eventStream } from "../event_stream.ts";
import { loadedModel } from "../health.ts";
import { type BodyLimits, readJson } from "../json_body.ts";
import { liveResponse, settles } from "../live_response.ts";
import { type NameOptions, requireModel } from "../model_names.ts";
import { issueError } from "../request_issue.ts";
import { recordOf } from "../request_record.ts";
import { withoutNulls } from "../translated/body.ts";
import { fillStream } from "./stream.ts";

/** The server's options that these routes use. */
export interface FillRouteOptions extends NameOptions {
  readonly body: BodyLimits;
  readonly maxMessages: number;
  readonly beginSeconds: number;
  readonly pingSeconds: number;
  readonly onError: (error: unknown) => void;
}

/** The end of an answer that fills a text. */
export interface FilledEnd {
  readonly filled: FilledText;
  /** Whether the deadline came before every hole was decided. */
  readonly provisional: boolean;
  readonly end: Extract<GenerateEvent, { type: "end" }>;
}

/** A JSON body that was read by a schema, and what it asks of the engine. */
export interface FillTask<Body> {
  readonly generate: (body: Body) => GenerateRequest;
  readonly answer: (body: Body, filled: FilledEnd) => Readonly<Record<string, unknown>>;
}

/** Status when the client left before its answer. */
const CLIENT_CLOSED_REQUEST = 499;

/** Fields of every body that the routes themselves read. */
interface RouteFields {
  readonly model?: string;
  readonly stream?: boolean;
}

/** Makes the handler of such a route. Its answer is one JSON object, or with `stream` ends in it. */
export function fillRoute<Schema extends z.ZodObject>(
  engine: TextEngine,
  options: FillRouteOptions,
  name: "infill" | "edit",
  schemaOf: (model: ModelSummary, options: FillRouteOptions) => Schema,
  task: FillTask<z.output<Schema>>,
): (c: Context) => Promise<Response> {
  return async (c) => {
    const model = loadedModel(engine);
    const json = withoutNulls(await readJson(c.req.raw, options.body));
    const schema = schemaOf(model, options);
    const parsed = schema.safeParse(json);
    if (!parsed.success) throw issueError(parsed.error.issues[0], json, []);
    const fields: RouteFields = parsed.data;
    if (fields.model !== undefined) requireModel(model, fields.model, options);
    const record = recordOf(c);
    record.ignored = Object.keys(json as object).filter((key) => !(key in schema.shape));
    const cancel = new AbortController();
    const signal = AbortSignal.any([c.req.raw.signal, cancel.signal]);
    const onCancel = (reason: unknown) => cancel.abort(reason);
    const clientError = (error: unknown) => {
      const known = withContext(toApiError(ofText(error)), model.contextLength);
      if (known.status >= 500 && !signal.aborted) options.onError(error);
      return known;
    };
    const head = {
      id: `${name}-${crypto.randomUUID().replaceAll("-", "")}`,
      object: name,
      created: Math.floor(Date.now() / 1000),
      model: model.id,
    };
    const answerOf = async (events: AsyncIterable<GenerateEvent>) => {
      const found = await filled(events);
      const { usage } = found.end;
      return JSON.stringify({
        ...head,
        ...task.answer(parsed.data, found),
        provisional: found.provisional,
        finish_reason: found.end.finishReason,
        usage: {
          prompt_tokens: usage.promptTokens,
          completion_tokens: usage.completionTokens,
          total_tokens: usage.promptTokens + usage.completionTokens,
          forwards: found.end.stats.forwards,
        },
      });
    };
    try {
      const generate = task.generate(parsed.data);
      const begins = beginsWithin(options.beginSeconds, generate.deadlineMs);
      const priority = record.key?.priority;
      const asked = { ...generate, priority, givesWayUntil: givesWayUntil(begins) };
      const events = record.watch(engine.generate(asked, signal));
      if (fields.stream) {
        const opened = await open(events, begins);
        const messages = fillStream(opened, { engine, name, head, answer: answerOf });
        return eventStream(endWithError(messages, clientError), options.pingSeconds, onCancel);
      }
      const answer = answerOf(events);
      const contentType = "application/json";
      if (await settles(answer, begins)) {
        return c.body(await answer, 200, { "Content-Type": contentType });
      }
      return liveResponse(only(answer), {
        contentType,
        filler: " ",
        seconds: options.pingSeconds,
        onCancel,
      });
    } catch (error) {
      if (signal.aborted) return new Response(null, { status: CLIENT_CLOSED_REQUEST });
      throw clientError(error);
    }
  };
}

/** Both of the engine's fields are this body's `text`. */
function ofText(error: unknown): unknown {
  if (!(error instanceof RequestError)) return error;
  const { field, message, code, promptTokens } = error;
  if (field !== "template" && field !== "revise") return error;
  const named = message.replace(/^(template|revise)\b/, "text");
  return new RequestError("text", named, code, promptTokens);
}

async function filled(events: AsyncIterable<GenerateEvent>): Promise<FilledEnd> {
  let provisional = false;
  for await (const event of events) {
    if (event.type === "step") provisional ||= event.provisional ?? false;
    else if (event.type === "end" && event.filled) {
      return { filled: event.filled, provisional, end: event };
    }
  }
  throw new Error("the engine ended without a filled text");
}

async function* only(part: Promise<string>): AsyncGenerator<string, void, void> {
  yield await part;
}

/** Fields that both routes take: the conversation that the text answers, and how it is denoised. */
export function commonShape(model: ModelSummary, { maxMessages }: FillRouteOptions) {
  const turn = z.object({
    role: z.enum(["system", "developer", "user", "assistant"], {
      error: '"system", "developer", "user" or "assistant"',
    }).transform((role) => role === "developer" ? "system" : role),
    content: z.string({ error: "text" }),
  }, { error: "an object" });
  const turns = `1 to ${maxMessages} messages`;
  const number = (low: number, high: number) => {
    const error = `a number from ${low} to ${high}`;
    return z.number({ error }).min(low, { error }).max(high, { error });
  };
  const seed = "an integer";
  return {
    model: z.string({ error: "a model's id" }).optional(),
    stream: z.boolean({ error: "true or false" }).optional(),
    messages: z.array(turn, { error: turns }).min(1, { error: turns })
      .max(maxMessages, { error: turns }).optional(),
    instruction: z.string({ error: "text" }).optional(),
    temperature: number(0, 2).optional(),
    seed: z.int({ error: seed }).min(-1, { error: seed }).optional(),
    strategy: z.enum(STRATEGY_NAMES, { error: "a strategy's name" }).optional(),
    deadline_ms: canvasShape(model.contextLength).deadline_ms,
  };
}

/** The text of a body, of at most what the context can hold. */
export function textShape({ contextLength }: ModelSummary) {
  const most = Math.max(4096, 16 * contextLength);
  const error = `text of 1 to ${most} characters`;
  return z.string({ error }).min(1, { error }).max(most, { error });
}

/** The values of {@linkcode commonShape}. */
interface CommonFields {
  readonly messages?: GenerateRequest["messages"];
  readonly instruction?: string;
  readonly temperature?: number;
  readonly seed?: number;
  readonly strategy?: GenerateRequest["strategy"];
  readonly deadline_ms?: number;
}

/**
 * The engine's fields for them.
 * @param asked what the user asks where no conversation is given
 */
export function commonOf(fields: CommonFields, asked: string) {
  return {
    messages: fields.messages ?? [{ role: "user", content: fields.instruction ?? asked }],
    temperature: fields.temperature,
    seed: fields.seed === -1 ? undefined : fields.seed,
    strategy: fields.strategy,
    deadlineMs: fields.deadline_ms,
  };
}

/** The tokens of a hole, as JSON. */
export function tokensOf({ tokens }: FilledText["holes"][number]) {
  return tokens.map(({ token, text, confidence }) => ({ id: token, text, confidence }));
}

/** Unicode code points before a UTF-16 unit of a text. */
export function codePoints(text: string, units: number): number {
  let count = 0;
  for (const _ of text.slice(0, units)) count++;
  return count;
}
