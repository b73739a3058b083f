/// <reference no-default-lib="true" />
/// <reference lib="deno.worker" />
/**
 * The engine's Worker, which stops in the way that a request's text names: see worker_watch_test.ts. `close` ends
 * the thread without a word. */

const scope = self as unknown as DedicatedWorkerGlobalScope;
await import("../../src/engine/worker.ts");
const handle = scope.onmessage!;
scope.onmessage = (event) => {
  const text = event.data.request?.messages[0].content;
  if (text === "close") scope.close();
  if (text === "hang") { for (;;); }
  if (text === "throw") throw new Error("thrown on purpose");
  if (text === "reject") void Promise.reject(new Error("rejected on purpose"));
  handle.call(scope, event);
};
