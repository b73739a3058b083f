/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** Runs the engine in a Worker, so that waiting for the GPU does not block the HTTP thread. */

import { RecoveringEngine } from "./recovering_engine.ts";
import type { GenerateRequest, TextQuestion } from "./request.ts";
import { type FromWorker, toPlain, type ToWorker } from "./worker_messages.ts";
import { ALIVE_INTERVAL } from "./worker_watch.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;
/** Milliseconds between two reports of progress. */
const PROGRESS_INTERVAL = 100;
const CANCELLED = new DOMException("The request was cancelled", "AbortError");

let engine: RecoveringEngine | undefined;
const running = new Map<number, AbortController>();

function send(message: FromWorker): void {
  scope.postMessage(message);
}

function load({ dir, options }: ToWorker & { type: "load" }): void {
  let last = 0;
  engine = new RecoveringEngine(dir, {
    ...options,
    onProvider: (line) => send({ type: "provided", line }),
    onPlan: (line, plan) => send({ type: "planned", line, plan }),
    onProgress(done, total) {
      const now = performance.now();
      if (done < total && now - last < PROGRESS_INTERVAL) return;
      last = now;
      send({ type: "progress", done, total });
    },
    onState: tellState,
    onWait: (waits) => send({ type: "alive", waits }),
  });
  setInterval(() => send({ type: "alive", waits: false, load: engine?.load }), ALIVE_INTERVAL);
}

function tellState(): void {
  const { state, failure: reason = "unknown", engine: loaded } = engine!;
  if (state === "failed") send({ type: "failed", reason });
  else if (state === "loading") send({ type: "lost", reason });
  else send({ type: "ready", model: loaded!.summary, adapter: loaded!.model.gpu.name });
}

function tellTotals({ totals, load }: RecoveringEngine): void {
  send({ type: "totals", totals, load });
}

async function generate(id: number, request: GenerateRequest): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    if (!engine) throw new Error("no model is loaded");
    for await (const event of engine.generate(request, controller.signal)) {
      // Sent before the event, so that the load includes the answer, and at its end the totals.
      if (event.type === "start" || event.type === "end") tellTotals(engine);
      send({ type: "event", id, event });
    }
    tellTotals(engine);
    send({ type: "done", id });
  } catch (error) {
    if (engine) tellTotals(engine);
    send({ type: "error", id, error: toPlain(error) });
  } finally {
    running.delete(id);
  }
}

async function answerText(id: number, question: TextQuestion): Promise<void> {
  try {
    if (!engine) throw new Error("no model is loaded");
    send({ type: "text", id, answer: await engine.text(question) });
  } catch (error) {
    send({ type: "error", id, error: toPlain(error) });
  }
}

/** Ends running answers, then frees the GPU: a driver that is unloaded while it works may crash. */
async function close(): Promise<void> {
  for (const controller of running.values()) controller.abort(CANCELLED);
  while (running.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  await engine?.close();
  send({ type: "closed" });
}

scope.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === "load") load(data);
  else if (data.type === "generate") generate(data.id, data.request);
  else if (data.type === "text") answerText(data.id, data.question);
  else if (data.type === "cancel") running.get(data.id)?.abort(CANCELLED);
  else if (data.type === "close") close();
  else data satisfies never;
};
