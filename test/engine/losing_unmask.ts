/**
 * `unmask` with an engine that loses its device on SIGUSR2, and gets no other one until SIGCONT. It
 * says on standard error when a request goes to the engine.
 */

class LosingWorker extends Worker {
  constructor(_: string | URL, options?: WorkerOptions) {
    super(new URL("./losing_worker.ts", import.meta.url), options);
    Deno.addSignalListener("SIGUSR2", () => super.postMessage({ type: "lose" }));
    Deno.addSignalListener("SIGCONT", () => super.postMessage({ type: "replace" }));
  }

  override postMessage(message: { readonly type: string }): void {
    // What comes after this line finds the engine at work.
    super.postMessage(message);
    if (message.type === "generate") console.error("answering");
  }
}
globalThis.Worker = LosingWorker;
await import("../../src/cli/main.ts");
