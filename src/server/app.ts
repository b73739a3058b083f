/** The HTTP server: its routes, and the checks that apply to all of them. */
import { Hono } from "hono";
import type { Handler } from "hono";
import type { TextEngine } from "../engine/request.ts";
import { hostGate, keyGate, LOOPBACK_HOSTS } from "./access.ts";
import { chatCompletions } from "./chat_completions.ts";
import { ApiError, toApiError } from "./errors.ts";
import { edits } from "./fill/edits.ts";
import { infill } from "./fill/infill.ts";
import { freely } from "./free_length.ts";
import { health } from "./health.ts";
import { listModels, retrieveModel } from "./models.ts";
import { stats } from "./stats.ts";

/** How a server is set up; the defaults suit one that is bound to loopback. */
export interface AppOptions {
  /**
   * Host names, without port, that requests may be addressed to, and that pages which send them
   * may come from (default: loopback's).
   */
  readonly allowedHosts?: readonly string[];
  /** Whether requests may also be addressed to any IP address: for a server that is not on loopback. */
  readonly anyAddress?: boolean;
  /** When given and not empty, every path asks for `Authorization: Bearer <one of these>`. */
  readonly apiKeys?: readonly string[];
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
  /**
   * Gets a line per request: method, path, status, ms until the answer or its stream began. What it
   * throws changes no answer.
   */
  readonly log?: (line: string) => void;
  /** Asked by each request: whether the server ends, and takes no more of them. */
  readonly stopping?: () => boolean;
  /** Gets errors that clients see as 5xx. Their messages may quote a prompt: keep them private. */
  readonly onError?: (error: unknown) => void;
}

/**
 * The server's routes over an engine: `POST /v1/chat/completions`, `GET /v1/models`,
 * `GET /v1/models/:id`, `GET /v1/stats`, `GET /health`. Every error has OpenAI's body. There is no
 * CORS, so a page of another origin cannot read a response.
 * @throws {TypeError} when an API key is empty
 */
export function createApp(given: TextEngine, options: AppOptions = {}): Hono {
  const engine = freely(given);
  const app = new Hono();
  const { log, onError = () => {} } = options;
  app.use(async (c, next) => {
    const start = performance.now();
    await next();
    c.res.headers.set("X-Content-Type-Options", "nosniff");
    // The path stays percent-encoded in the log: a decoded line feed could forge a line.
    const path = new URL(c.req.url).pathname.slice(0, 200);
    // A method may be any word, of any length.
    const method = c.req.method.slice(0, 16);
    const line = `${method} ${path} ${c.res.status} ${(performance.now() - start).toFixed(1)} ms`;
    try {
      log?.(line);
    } catch {
      // A full disk, or a reader that left, is no fault of this request.
    }
  });
  app.use(async (_, next) => {
    if (!options.stopping?.()) return await next();
    throw new ApiError(503, "shutting_down", "The server is shutting down. Ask another one.", {
      headers: { Connection: "close" },
    });
  });
  app.use(hostGate(options.allowedHosts ?? LOOPBACK_HOSTS, options.anyAddress ?? false));
  if (options.apiKeys?.length) app.use(keyGate(options.apiKeys));

  app.get("/health", health(engine));
  app.all("/health", methodNotAllowed("GET, HEAD"));
  app.get("/v1/models", listModels(engine));
  app.all("/v1/models", methodNotAllowed("GET, HEAD"));
  app.get("/v1/models/:id{.+}", retrieveModel(engine));
  app.all("/v1/models/:id{.+}", methodNotAllowed("GET, HEAD"));
  app.get("/v1/stats", stats(engine));
  app.all("/v1/stats", methodNotAllowed("GET, HEAD"));
  const filling = {
    body: { maxBytes: options.maxBodyBytes ?? 2 ** 20, seconds: options.bodySeconds ?? 30 },
    maxMessages: options.maxMessages ?? 1024,
    beginSeconds: options.beginSeconds ?? 5,
    pingSeconds: options.pingSeconds ?? 15,
    onError,
  };
  app.post("/v1/infill", infill(engine, filling));
  app.all("/v1/infill", methodNotAllowed("POST"));
  app.post("/v1/edits", edits(engine, filling));
  app.all("/v1/edits", methodNotAllowed("POST"));
  const chat = chatCompletions(engine, {
    body: { maxBytes: options.maxBodyBytes ?? 2 ** 20, seconds: options.bodySeconds ?? 30 },
    maxMessages: options.maxMessages ?? 1024,
    beginSeconds: options.beginSeconds ?? 5,
    pingSeconds: options.pingSeconds ?? 15,
    onError,
  });
  app.post("/v1/chat/completions", chat);
  app.all("/v1/chat/completions", methodNotAllowed("POST"));

  app.notFound((c) => {
    const path = new URL(c.req.url).pathname.slice(0, 200);
    return new ApiError(404, "not_found", `There is no ${c.req.method} ${path}.`).toResponse();
  });
  app.onError((error) => {
    const known = toApiError(error);
    if (!(error instanceof ApiError) && known.status >= 500) onError(error);
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
