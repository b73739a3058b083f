/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/** The engine in a Worker: the thread that waits for the GPU is not the one that answers HTTP. */

import type { Engine } from "./engine.ts";
import { loadEngine } from "./load.ts";
import { type FromWorker, toPlain, type ToWorker } from "./worker_messages.ts";

const scope = self as unknown as DedicatedWorkerGlobalScope;
/** Milliseconds between two reports of progress. */
const PROGRESS_INTERVAL = 100;
const CANCELLED = new DOMException("The request was cancelled", "AbortError");

let engine: Engine | undefined;
const running = new Map<number, AbortController>();

function send(message: FromWorker): void {
  scope.postMessage(message);
}

async function load({ dir, options }: ToWorker & { type: "load" }): Promise<void> {
  let last = 0;
  try {
    engine = await loadEngine(dir, {
      ...options,
      onPlan: (line, plan) => send({ type: "planned", line, plan }),
      onProgress(done, total) {
        const now = performance.now();
        if (done < total && now - last < PROGRESS_INTERVAL) return;
        last = now;
        send({ type: "progress", done, total });
      },
    });
    send({ type: "ready", model: engine.summary, adapter: engine.model.gpu.name });
  } catch (error) {
    send({ type: "failed", reason: toPlain(error).message });
  }
}

async function generate(id: number, request: Parameters<Engine["generate"]>[0]): Promise<void> {
  const controller = new AbortController();
  running.set(id, controller);
  try {
    if (!engine) throw new Error("no model is loaded");
    for await (const event of engine.generate(request, controller.signal)) {
      // Who sees the end of an answer finds it in the totals.
      if (event.type === "end") send({ type: "totals", totals: engine.totals });
      send({ type: "event", id, event });
    }
    send({ type: "done", id });
  } catch (error) {
    if (engine) send({ type: "totals", totals: engine.totals });
    send({ type: "error", id, error: toPlain(error) });
    try {
      engine?.model.gpu.throwIfFaulty();
    } catch (fault) {
      send({ type: "failed", reason: toPlain(fault).message });
    }
  } finally {
    running.delete(id);
  }
}

/** Ends what runs, then frees the GPU: a driver that is torn down while it works may crash. */
async function close(): Promise<void> {
  for (const controller of running.values()) controller.abort(CANCELLED);
  while (running.size > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  engine?.[Symbol.dispose]();
  send({ type: "closed" });
}

scope.onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === "load") load(data);
  else if (data.type === "generate") generate(data.id, data.request);
  else if (data.type === "cancel") running.get(data.id)?.abort(CANCELLED);
  else close();
};
