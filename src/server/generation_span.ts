/**
 * A span a generation, for OpenTelemetry. Deno makes a span of each request itself and exports both,
 * if it is started with `OTEL_DENO=true`; otherwise there is no tracer, and nothing is done. Deno 2.9
 * does not tell a handler of `node:http` its request's span: where the client sent a `traceparent`,
 * both stand below the client's span, and otherwise each for itself.
 */
import type { GenerateEvent } from "../engine/request.ts";
import { VERSION } from "../engine/version.ts";

/** Where tracers and the span under way are found: the global place of `@opentelemetry/api`. */
const API = Symbol.for("opentelemetry.js.api.1");

type Attributes = Readonly<Record<string, string | number | readonly string[]>>;

/** The parts of OpenTelemetry's interfaces that are used. */
interface Span {
  setAttributes(attributes: Attributes): void;
  setStatus(status: { readonly code: number }): void;
  addEvent(name: string): void;
  end(): void;
}
interface Tracing {
  readonly trace?: {
    getTracer(name: string, version: string): {
      startSpan(name: string, options: { readonly attributes: Attributes }, context: unknown): Span;
    };
  };
  readonly context?: { active(): unknown };
  readonly propagation?: {
    extract(context: unknown, headers: Headers, getter: typeof HEADERS): unknown;
  };
}

/** How the client's trace is read from a request. */
const HEADERS = {
  get: (headers: Headers, name: string) => headers.get(name) ?? undefined,
  keys: (headers: Headers) => [...headers.keys()],
};

/** The status of a span whose work failed. */
const FAILED = 2;

/** One generation, from the moment that it is asked for. It holds no text of it. */
export class GenerationSpan {
  readonly #span: Span | undefined;
  #hasText = false;

  /** Starts the span. @param headers those of the request that is answered */
  constructor(requestId: string, headers: Headers) {
    const { trace, context, propagation } = (globalThis as { readonly [API]?: Tracing })[API] ?? {};
    if (!trace || !context || !propagation) return;
    const parent = propagation.extract(context.active(), headers, HEADERS);
    const attributes = { "gen_ai.operation.name": "chat", "unmask.request_id": requestId };
    this.#span = trace.getTracer("unmask", VERSION)
      .startSpan("generate", { attributes }, parent);
  }

  /** Marks when the engine began, which is after others' turns, and when there was text. */
  see(event: GenerateEvent): void {
    if (event.type === "start") this.#span?.addEvent("start");
    if (event.type === "step" && event.delta !== "" && !this.#hasText) {
      this.#hasText = true;
      this.#span?.addEvent("first text");
    }
    if (event.type !== "end") return;
    const { usage, stats, finishReason } = event;
    this.#span?.setAttributes({
      "gen_ai.usage.input_tokens": usage.promptTokens,
      "gen_ai.usage.output_tokens": usage.completionTokens,
      "gen_ai.response.finish_reasons": [finishReason],
      "unmask.strategy": stats.strategy,
      "unmask.forwards": stats.forwards,
      "unmask.draft_forwards": stats.draftForwards,
      "unmask.proposed": stats.proposed,
      "unmask.accepted": stats.accepted,
    });
  }

  /** Ends the span. @param complete whether the generation came to its end */
  end(complete: boolean): void {
    if (!complete) this.#span?.setStatus({ code: FAILED });
    this.#span?.end();
  }
}
