/** The routes that tell what the server takes: `/openapi.json` and `/docs`. */
import type { Context } from "hono";
import type { TextEngine } from "../engine/request.ts";
import { VERSION } from "../engine/version.ts";
import { requestLimits } from "./chat_request.ts";
import { chatSchema } from "./chat_schema.ts";
import { loadedModel } from "./health.ts";
import { type DescribedRoute, type OpenApi, openApi } from "./openapi.ts";
import { PAGE_HEADERS, referencePage } from "./reference_page.ts";

/** Routes that app.ts has beside those of routes.ts. */
const FIRST: readonly Omit<DescribedRoute, "body">[] = [
  { method: "GET", path: "/v1/models", summary: "The loaded model." },
  { method: "GET", path: "/v1/models/:id", summary: "The loaded model, by its name." },
  { method: "GET", path: "/v1/stats", summary: "Totals since the model was loaded." },
  { method: "GET", path: "/health", summary: "Whether the server can answer." },
];

/** Makes the handlers of `/openapi.json` and `/docs`. They need the loaded model's limits. */
export function reference(
  engine: TextEngine,
  routes: readonly DescribedRoute[],
  maxMessages: number,
): {
  readonly document: (c: Context) => Response;
  readonly page: (c: Context) => Response;
} {
  let made: OpenApi | undefined;
  const make = () => {
    const body = chatSchema(requestLimits(loadedModel(engine), maxMessages));
    const path = "/v1/chat/completions";
    const summary = "An answer to a conversation (OpenAI).";
    const chat = { method: "POST", path, summary, body, streams: "text/event-stream" };
    return openApi([chat, ...FIRST, ...routes], VERSION);
  };
  return {
    document: (c) => c.json(made ??= make()),
    page: (c) => c.body(referencePage(made ??= make()), 200, PAGE_HEADERS),
  };
}
