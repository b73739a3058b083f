/** `GET /metrics`: counts, and times of answers, for Prometheus. They contain no text. */
import type { Context } from "hono";
import type { GenerateEvent, TextEngine } from "../engine/request.ts";
import type { EngineTotals } from "../engine/stats.ts";
import type { ApiKey } from "./api_keys.ts";
import { engineWith } from "./engine_with.ts";
import type { ApiError } from "./errors.ts";
import { LOAD_COUNTERS, LOAD_GAUGES, loadOf } from "./load_metrics.ts";

/** Upper bounds of histograms: seconds, and numbers of tokens or passes. */
const SECONDS = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300];
const COUNTS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096];

/** Totals of the engine: name, meaning, value. Each counts since the model was loaded. */
const TOTALS: readonly (readonly [string, string, (totals: EngineTotals) => number])[] = [
  ["answers", "Answers that were completed", (t) => t.answers],
  ["answers_unfinished", "Answers that were cancelled or failed", (t) => t.unfinished],
  ["prompt_tokens", "Tokens of the prompts of completed answers", (t) => t.promptTokens],
  ["completion_tokens", "Tokens of completed answers", (t) => t.completionTokens],
  ["target_forwards", "Forward passes of the target", (t) => t.forwards],
  ["target_states", "States in forward passes of the target", (t) => t.targetStates],
  ["draft_forwards", "Forward passes of the draft", (t) => t.draftForwards],
  ["drafted", "Steps or tokens that were proposed", (t) => t.proposed],
  ["accepted", "Proposals that were accepted", (t) => t.accepted],
  ["cache_refreshes", "Passes that recomputed cached keys and values", (t) => t.cacheRefreshes],
  ["denoising_seconds", "Seconds from first forward to last commit", (t) => t.seconds],
  [
    "readback_seconds",
    "Seconds that answers waited for results of their passes",
    (t) => t.readbackSeconds,
  ],
];

/** Histograms, an observation for each completed answer: name, meaning, bounds. */
const HISTOGRAMS = {
  wait: [
    "wait_seconds",
    "Seconds from the request to its start, when others' turns were over",
    SECONDS,
  ],
  first_text: ["first_text_seconds", "Seconds from the request to its first text", SECONDS],
  total: ["answer_seconds", "Seconds from the request to its end", SECONDS],
  tokens: ["answer_tokens", "Tokens of an answer", COUNTS],
  forwards: ["answer_forwards", "Forward passes of the target for an answer", COUNTS],
  per_forward: ["tokens_per_forward", "Tokens of an answer per forward pass", [
    ...[0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 6, 8, 16, 32],
  ]],
} as const;

type Observed = { readonly [name in keyof typeof HISTOGRAMS]: number };

/** Statuses of requests that were refused for what the server is, and not for what they ask. */
const REFUSED: readonly number[] = [401, 403, 408, 413, 429, 503];

/** Counts that the server keeps itself. */
interface Counts {
  /** Refused requests, by reason. */
  readonly refused: Map<string, number>;
  /** Requests for answers, and tokens, by the names of their keys. */
  readonly keys: Map<string, { requests: number; tokens: number }>;
}

/** The figures of one server. */
interface Figures {
  observe(observed: Observed): void;
  written(): Promise<{ readonly text: string; readonly contentType: string }>;
}

/** An engine whose answers are measured, and the route that tells of them. */
export interface Measured {
  readonly engine: TextEngine;
  readonly route: (c: Context) => Promise<Response>;
  /** How many answers are under way, those that wait for their turn among them. */
  readonly running: () => number;
  /** Counts a response that is an error. */
  readonly countError: (error: ApiError) => void;
  /** Counts a request for an answer whose key has a name. */
  readonly countKey: (key: ApiKey, tokens: number) => void;
}

/** Measures the answers of an engine. The library is loaded with the first of them. */
export function measured(engine: TextEngine): Measured {
  let figures: Promise<Figures> | undefined;
  let running = 0;
  const counts: Counts = { refused: new Map(), keys: new Map() };
  const load = () => figures ??= loadFigures(engine, () => running, counts);
  const generate = async function* (...[request, signal]: Parameters<TextEngine["generate"]>) {
    const begun = performance.now();
    running++;
    let firstText: number | undefined;
    let started: number | undefined;
    try {
      for await (const event of engine.generate(request, signal)) {
        const now = (performance.now() - begun) / 1000;
        if (hasText(event)) firstText ??= now;
        if (event.type === "start") started ??= now;
        if (event.type === "end") {
          const { stats, usage } = event;
          const observed: Observed = {
            wait: started ?? now,
            first_text: firstText ?? now,
            total: now,
            tokens: usage.completionTokens,
            forwards: stats.forwards,
            per_forward: usage.completionTokens / Math.max(1, stats.forwards),
          };
          // A library that cannot be loaded is told by the route, and is no fault of an answer.
          load().then((loaded) => loaded.observe(observed), () => {});
        }
        yield event;
      }
    } finally {
      running--;
    }
  };
  return {
    engine: engineWith(engine, generate),
    running: () => running,
    countError({ status, reason }) {
      if (!REFUSED.includes(status) || reason === null) return;
      counts.refused.set(reason, (counts.refused.get(reason) ?? 0) + 1);
    },
    countKey({ name }, tokens) {
      if (name === undefined) return;
      const { requests, tokens: before } = counts.keys.get(name) ?? { requests: 0, tokens: 0 };
      counts.keys.set(name, { requests: requests + 1, tokens: before + tokens });
    },
    async route() {
      const { text, contentType } = await (await load()).written();
      return new Response(text, { headers: { "Content-Type": contentType } });
    },
  };
}

function hasText(event: GenerateEvent): boolean {
  return event.type === "step" && event.delta !== "";
}

async function loadFigures(
  engine: TextEngine,
  running: () => number,
  counts: Counts,
): Promise<Figures> {
  const { default: prometheus } = await import("prom-client");
  const { Counter, Gauge, Histogram, Registry } = prometheus;
  const registry = new Registry();
  const registers = [registry];
  const counter = (name: string, help: string, value: () => number) =>
    new Counter({
      name: `unmask_${name}_total`,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(value());
      },
    });
  for (const [name, help, valueOf] of TOTALS) counter(name, help, () => valueOf(engine.totals));
  new Counter({
    name: "unmask_answers_by_strategy_total",
    help: "Answers that were completed, by strategy",
    labelNames: ["strategy"],
    registers,
    collect() {
      this.reset();
      for (const [strategy, count] of Object.entries(engine.totals.strategies)) {
        this.inc({ strategy }, count);
      }
    },
  });
  for (const [name, help, valueOf] of LOAD_COUNTERS) {
    counter(name, help, () => valueOf(loadOf(engine)));
  }
  for (const [name, help, valueOf] of LOAD_GAUGES) {
    new Gauge({
      name: `unmask_${name}`,
      help,
      registers,
      collect() {
        this.set(valueOf(loadOf(engine)));
      },
    });
  }
  new Counter({
    name: "unmask_refused_total",
    help: "Requests that were refused, by reason",
    labelNames: ["reason"],
    registers,
    collect() {
      this.reset();
      for (const [reason, count] of counts.refused) this.inc({ reason }, count);
    },
  });
  for (const what of ["requests", "tokens"] as const) {
    new Counter({
      name: `unmask_key_${what}_total`,
      help: `${what === "requests" ? "Requests for answers" : "Tokens"}, by the name of their key`,
      labelNames: ["key"],
      registers,
      collect() {
        this.reset();
        for (const [key, count] of counts.keys) this.inc({ key }, count[what]);
      },
    });
  }
  new Gauge({
    name: "unmask_requests_running",
    help: "Answers that are under way or wait for their turn",
    registers,
    collect() {
      this.set(running());
    },
  });
  new Gauge({
    name: "unmask_ready",
    help: "1 when the model is loaded, else 0",
    registers,
    collect() {
      this.set(engine.state === "ready" ? 1 : 0);
    },
  });
  const histograms = Object.entries(HISTOGRAMS).map(([key, [name, help, bounds]]) => {
    const histogram = new Histogram({
      name: `unmask_${name}`,
      help,
      buckets: [...bounds],
      registers,
    });
    return { key: key as keyof Observed, histogram };
  });
  return {
    observe(observed) {
      for (const { key, histogram } of histograms) histogram.observe(observed[key]);
    },
    async written() {
      return { text: await registry.metrics(), contentType: registry.contentType };
    },
  };
}
