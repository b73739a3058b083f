/** The HTTP server: its routes, and the checks that apply to all of them. */
import { Hono } from "hono";
import type { Handler } from "hono";
import type { TextEngine } from "../engine/request.ts";
import { hostGate, keyGate, LOOPBACK_HOSTS } from "./access.ts";
import type { ApiKey } from "./api_keys.ts";
import { VERSION } from "../engine/version.ts";
import { chatCompletions, type ChatRouteOptions } from "./chat_completions.ts";
import type { RequestSettings } from "./chat_request.ts";
import { Drain, drainGate, untilEnd } from "./drain.ts";
import { ApiError, toApiError } from "./errors.ts";
import { cors } from "./cors.ts";
import { familyErrors } from "./family_errors.ts";
import { edits } from "./fill/edits.ts";
import { infill } from "./fill/infill.ts";
import { freely } from "./free_length.ts";
import { health, readiness } from "./health.ts";
import { keyLimits } from "./key_limits.ts";
import { measured } from "./metrics.ts";
import { listModels, retrieveModel } from "./models.ts";
import { withoutPageFiles } from "./page_route.ts";
import { routePath } from "./paths.ts";
import { reference } from "./reference.ts";
import { type LoggedRequest, requestRecords } from "./request_record.ts";
import { moreRoutes } from "./routes.ts";
import { stats } from "./stats.ts";

/** How a server is set up; the defaults suit one that is bound to loopback. */
export interface AppOptions extends RequestSettings {
  /**
   * Host names, without port, that requests may be addressed to, and that pages which send them
   * may come from (default: loopback's).
   */
  readonly allowedHosts?: readonly string[];
  /** Whether requests may also be addressed to any IP address: for a server that is not on loopback. */
  readonly anyAddress?: boolean;
  /**
   * When given and not empty, every path but `/health`, `/ready` and the page's asks for one of these keys; their
   * digests (`sha256:` and hex digits) will do. Answers are held to what is known of their key.
   */
  readonly apiKeys?: readonly (string | ApiKey)[];
  /** Origins of pages that may ask and read answers, `*` for any (default none). */
  readonly cors?: readonly string[];
  /** Limit of a request's body in bytes (default 1 MiB). */
  readonly maxBodyBytes?: number;
  /** Seconds within which a request's body must arrive (default 30). */
  readonly bodySeconds?: number;
  /** Limit of messages in a conversation (default 1024). */
  readonly maxMessages?: number;
  /**
   * Seconds within which the response to a completion begins (default 5). An error after that
   * cannot have its own status. A client that leaves before may not be noticed.
   */
  readonly beginSeconds?: number;
  /** Seconds of silence after which a response that has begun sends a filler (default 15). */
  readonly pingSeconds?: number;
  /** Gets a record of each request once its answer is over. What it throws changes no answer. */
  readonly log?: (record: LoggedRequest) => void;
  /** How the server ends; without it, it is ended from outside. */
  readonly drain?: Drain;
  /** Gets errors that clients see as 5xx. Their messages may quote a prompt: keep them private. */
  readonly onError?: (error: unknown) => void;
}

/**
 * The server's routes over an engine: `POST /v1/chat/completions`, `GET /v1/models`,
 * `GET /v1/models/:id`, `GET /v1/stats`, `GET /health`, `GET /ready`, `GET /version`, and those of
 * routes.ts, each with and without `/v1`. Every error has the body of the API that its path belongs
 * to, most of them OpenAI's. A page of another origin cannot read a response, unless `cors` names it.
 * @throws {TypeError} when an API key is empty
 */
export function createApp(given: TextEngine, options: AppOptions = {}): Hono {
  const { drain = new Drain() } = options;
  const engine = freely(untilEnd(given, drain));
  const metrics = measured(engine);
  const app: Hono = new Hono({ getPath: routePath(() => app.routes) });
  const { log, onError = () => {} } = options;
  app.use(requestRecords(withoutPageFiles(log)));
  const origins = options.cors ?? [];
  if (origins.length > 0) app.use(cors(origins));
  app.use(familyErrors);
  app.use(drainGate(drain));
  app.use(hostGate(options.allowedHosts ?? LOOPBACK_HOSTS, options.anyAddress ?? false, origins));
  if (options.apiKeys?.length) app.use(keyGate(options.apiKeys));

  app.get("/health", health(engine));
  app.all("/health", methodNotAllowed("GET, HEAD"));
  app.get("/ready", readiness(engine, drain));
  app.all("/ready", methodNotAllowed("GET, HEAD"));
  app.get("/version", (c) => c.json({ version: VERSION }));
  app.all("/version", methodNotAllowed("GET, HEAD"));
  app.get("/v1/models", listModels(engine, options));
  app.all("/v1/models", methodNotAllowed("GET, HEAD"));
  app.get("/v1/models/:id{.+}", retrieveModel(engine, options));
  app.all("/v1/models/:id{.+}", methodNotAllowed("GET, HEAD"));
  app.get("/v1/stats", stats(engine, metrics.running));
  app.all("/v1/stats", methodNotAllowed("GET, HEAD"));
  const chatOptions: ChatRouteOptions = {
    body: { maxBytes: options.maxBodyBytes ?? 2 ** 20, seconds: options.bodySeconds ?? 30 },
    maxMessages: options.maxMessages ?? 1024,
    maxTokens: options.maxTokens,
    jsonFromMessages: options.jsonFromMessages,
    aliases: options.aliases,
    strictModel: options.strictModel,
    beginSeconds: options.beginSeconds ?? 5,
    pingSeconds: options.pingSeconds ?? 15,
    onError,
  };
  // Of the routes that answer; others cost next to nothing.
  const limited = keyLimits(engine, metrics.countKey);
  app.post("/v1/infill", limited, infill(metrics.engine, chatOptions));
  app.all("/v1/infill", methodNotAllowed("POST"));
  app.post("/v1/edits", limited, edits(metrics.engine, chatOptions));
  app.all("/v1/edits", methodNotAllowed("POST"));
  const chatOver = (over: TextEngine) => chatCompletions(over, chatOptions);
  app.post("/v1/chat/completions", limited, chatOver(metrics.engine));
  app.all("/v1/chat/completions", methodNotAllowed("POST"));
  const routes = moreRoutes(metrics, chatOver, chatOptions);
  for (const { method, path, handler, streams } of routes) {
    if (streams) app.on(method, path, limited, handler);
    else app.on(method, path, handler);
    app.all(path, methodNotAllowed(method === "GET" ? "GET, HEAD" : method));
  }
  const { document, page } = reference(engine, routes, chatOptions);
  app.get("/openapi.json", document);
  app.all("/openapi.json", methodNotAllowed("GET, HEAD"));
  app.get("/docs", page);
  app.all("/docs", methodNotAllowed("GET, HEAD"));

  app.notFound((c) => {
    const path = new URL(c.req.url).pathname.slice(0, 200);
    return new ApiError(404, "not_found", `There is no ${c.req.method} ${path}.`).toResponse();
  });
  app.onError((error) => {
    const known = toApiError(error);
    if (!(error instanceof ApiError) && known.status >= 500) onError(error);
    metrics.countError(known);
    return known.toResponse();
  });
  return app;
}

function methodNotAllowed(allow: string): Handler {
  return (c) => {
    const message = `${c.req.method} is not allowed here; use ${allow}.`;
    return new ApiError(405, "method_not_allowed", message, { headers: { Allow: allow } })
      .toResponse();
  };
}
