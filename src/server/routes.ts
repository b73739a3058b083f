/** The routes beside chats, models and health: other APIs, text, figures and the reference. */
import type { Context } from "hono";
import type { z } from "zod";
import type { TextEngine } from "../engine/request.ts";
import { VERSION } from "../engine/version.ts";
import { countTokens, messages } from "./anthropic/route.ts";
import { countSchema, messagesSchema } from "./anthropic/schema.ts";
import { completions } from "./completions/route.ts";
import { completionsSchema } from "./completions/schema.ts";
import { health } from "./health.ts";
import type { BodyLimits } from "./json_body.ts";
import { completion, completionSchema, infill, infillSchema } from "./llama_server/completion.ts";
import { detokenizeSchema, templateSchema, tokenizeSchema } from "./llama_server/schema.ts";
import {
  applyTemplate,
  detokenize,
  load,
  loraAdapters,
  props,
  slots,
  tokenize,
} from "./llama_server/text.ts";
import type { Measured } from "./metrics.ts";
import { running, show, tags, version } from "./ollama/models.ts";
import { ollamaChat, ollamaGenerate } from "./ollama/route.ts";
import { chatSchema, generateSchema, showSchema } from "./ollama/schema.ts";
import { pageFileRoute, root } from "./page_route.ts";
import { responses } from "./responses/route.ts";
import { responsesSchema } from "./responses/schema.ts";
import { status } from "./status.ts";
import type { ChatHandler, ResponseTimes } from "./translated/translation.ts";

/** What a client may ask, for the server and for its reference. */
export interface Route {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** A sentence for the reference. */
  readonly summary: string;
  readonly handler: (c: Context) => Response | Promise<Response>;
  /** What checks the body. */
  readonly body?: z.ZodType;
  /** The type of a streamed answer, where one can be asked for. */
  readonly streams?: "text/event-stream" | "application/x-ndjson";
}

/** The server's options that the routes use. */
export type RouteOptions = { readonly body: BodyLimits } & ResponseTimes;

/**
 * Makes the routes.
 * @param chatOver makes the chat route over an engine
 */
export function moreRoutes(
  { engine, route: metrics, running: underWay }: Measured,
  chatOver: (engine: TextEngine) => ChatHandler,
  options: RouteOptions,
): readonly Route[] {
  const chat = chatOver(engine);
  const events = "text/event-stream";
  const lines = "application/x-ndjson";
  const get = (path: string, summary: string, handler: Route["handler"]): Route => {
    return { method: "GET", path, summary, handler };
  };
  const post = (
    path: string,
    summary: string,
    body: z.ZodType,
    handler: Route["handler"],
    streams?: Route["streams"],
  ): Route => ({ method: "POST", path, summary, handler, body, streams });
  return [
    post(
      "/v1/completions",
      "Text goes on, without the chat template (OpenAI).",
      completionsSchema,
      completions(engine, chatOver, options),
      events,
    ),
    post(
      "/v1/responses",
      "OpenAI's Responses; nothing is kept.",
      responsesSchema,
      responses(chat, options),
      events,
    ),
    post(
      "/v1/messages",
      "Anthropic's Messages.",
      messagesSchema,
      messages(engine, chat, options),
      events,
    ),
    post(
      "/v1/messages/count_tokens",
      "Tokens of a conversation (Anthropic).",
      countSchema,
      countTokens(engine, options),
    ),
    post(
      "/api/chat",
      "Chats, as ollama has them.",
      chatSchema,
      ollamaChat(engine, chat, options),
      lines,
    ),
    post(
      "/api/generate",
      "An answer to one text, or a raw prompt that goes on (ollama).",
      generateSchema,
      ollamaGenerate(engine, chatOver, options),
      lines,
    ),
    get(
      "/v1/status",
      "Model, device, memory and queue, as they are now.",
      status(engine, underWay),
    ),
    get("/api/tags", "The loaded model (ollama).", tags(engine)),
    get("/api/ps", "The loaded model (ollama).", running(engine)),
    post("/api/show", "Facts of the loaded model (ollama).", showSchema, show(engine, options)),
    get("/api/version", "The version of ollama's API.", version),
    post(
      "/completion",
      "A prompt goes on, without the chat template (llama-server).",
      completionSchema,
      completion(engine, chatOver, options),
      events,
    ),
    post(
      "/infill",
      "The text between two others (llama-server).",
      infillSchema,
      infill(engine, chatOver, options),
      events,
    ),
    post(
      "/tokenize",
      "Token ids of a text (llama-server, vLLM).",
      tokenizeSchema,
      tokenize(engine, options),
    ),
    post(
      "/detokenize",
      "The text of token ids (llama-server, vLLM).",
      detokenizeSchema,
      detokenize(engine, options),
    ),
    post(
      "/apply-template",
      "The prompt that a conversation becomes (llama-server).",
      templateSchema,
      applyTemplate(engine, options),
    ),
    get("/props", "The context length (llama-server).", props(engine, VERSION)),
    get("/slots", "Whether an answer is under way (llama-server).", slots(engine, underWay)),
    get("/lora-adapters", "No adapters (llama-server).", loraAdapters),
    get("/load", "How many answers are under way (vLLM).", load(underWay)),
    get("/ping", "Whether the model answers (vLLM).", health(engine)),
    get("/metrics", "Figures for Prometheus.", metrics),
    get("/", "The page, for browsers; else a sentence that ollama's clients look for.", root),
    get("/page/:name", "A file of the page.", pageFileRoute),
  ];
}
