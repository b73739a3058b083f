/** `GET /health`, and the gate that holds work back until the engine is ready. */
import type { Context } from "hono";
import type { ModelSummary, TextEngine } from "../engine/request.ts";
import type { Drain } from "./drain.ts";
import { ApiError, LOADING_RETRY_SECONDS, NO_RETRY } from "./errors.ts";

/**
 * Makes the route's handler. It answers 200 `{"status":"ok"}`, 503 `loading` with Retry-After (and
 * the reason, if it loads again after a device failure), or 503 `failed` with the reason.
 */
export function health(engine: TextEngine): (c: Context) => Response {
  return (c) => {
    switch (engine.state) {
      case "ready":
        return c.json({ status: "ok" });
      case "loading":
        return c.json({ status: "loading", reason: reasonOf(engine) }, 503, {
          "Retry-After": LOADING_RETRY_SECONDS,
        });
      case "failed":
        return c.json({ status: "failed", reason: reasonOf(engine) ?? "unknown" }, 503);
    }
  };
}

/**
 * Makes the handler of `GET /ready`: as `/health`, but 503 `leaving` from the moment on at which the
 * server was told to stop. Whoever shares requests out asks this one.
 */
export function readiness(engine: TextEngine, drain: Drain): (c: Context) => Response {
  const answer = health(engine);
  return (c) => drain.isLeaving ? c.json({ status: "leaving" }, 503) : answer(c);
}

/** Why the engine does not answer, without the places of this machine's files: clients read it. */
export function reasonOf({ failure }: TextEngine): string | undefined {
  return failure?.replace(/\S*[/\\][^\s:]*/g, "[path]");
}

/**
 * The loaded model.
 * @throws {ApiError} 503 while it loads, or if loading failed
 */
export function loadedModel(engine: TextEngine): ModelSummary {
  if (engine.state === "failed") {
    const reason = reasonOf(engine) ?? "unknown reason";
    throw new ApiError(
      503,
      "model_failed",
      `The model is not available: ${reason.replace(/\.$/, "")}. Restart the server.`,
      { headers: NO_RETRY },
    );
  }
  if (engine.state === "loading" || engine.model === undefined) {
    throw new ApiError(503, "model_loading", "The model is still loading. Try again shortly.", {
      headers: { "Retry-After": LOADING_RETRY_SECONDS },
    });
  }
  return engine.model;
}
