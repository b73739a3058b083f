/** The routes that tell what the server takes: `/openapi.json` and `/docs`. */
import type { Context } from "hono";
import type { TextEngine } from "../engine/request.ts";
import { VERSION } from "../engine/version.ts";
import { requestLimits } from "./chat_request.ts";
import { chatSchema } from "./chat_schema.ts";
import type { FillRouteOptions } from "./fill/answer.ts";
import { editsSchema } from "./fill/edits.ts";
import { infillSchema } from "./fill/infill.ts";
import { loadedModel } from "./health.ts";
import { type DescribedRoute, type OpenApi, openApi } from "./openapi.ts";
import { PAGE_HEADERS, referencePage } from "./reference_page.ts";

/** Routes that app.ts has beside those of routes.ts. */
const FIRST: readonly Omit<DescribedRoute, "body">[] = [
  { method: "GET", path: "/v1/models", summary: "The loaded model." },
  { method: "GET", path: "/v1/models/:id", summary: "The loaded model, by its name." },
  { method: "GET", path: "/v1/stats", summary: "Totals since the model was loaded." },
  { method: "GET", path: "/health", summary: "Whether the server can answer." },
  { method: "GET", path: "/ready", summary: "The same." },
  { method: "GET", path: "/version", summary: "This package's version." },
];

/** Makes the handlers of `/openapi.json` and `/docs`. They need the loaded model's limits. */
export function reference(
  engine: TextEngine,
  routes: readonly DescribedRoute[],
  options: FillRouteOptions,
): {
  readonly document: (c: Context) => Response;
  readonly page: (c: Context) => Response;
} {
  let made: OpenApi | undefined;
  const make = () => {
    const model = loadedModel(engine);
    const answering: readonly DescribedRoute[] = [{
      method: "POST",
      path: "/v1/chat/completions",
      summary: "An answer to a conversation (OpenAI).",
      body: chatSchema(requestLimits(model, options.maxMessages)),
      streams: "text/event-stream",
    }, {
      method: "POST",
      path: "/v1/infill",
      summary: "A text with holes, which are filled all together.",
      body: infillSchema(model, options),
    }, {
      method: "POST",
      path: "/v1/edits",
      summary: "A text of which parts are masked again and denoised.",
      body: editsSchema(model, options),
    }];
    return openApi([...answering, ...FIRST, ...routes], VERSION);
  };
  return {
    document: (c) => c.json(made ??= make()),
    page: (c) => c.body(referencePage(made ??= make()), 200, PAGE_HEADERS),
  };
}
