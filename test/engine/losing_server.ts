/** `unmask` with an engine that loses its device on SIGUSR2. */

class LosingWorker extends Worker {
  constructor(_: string | URL, options?: WorkerOptions) {
    super(new URL("./losing_worker.ts", import.meta.url), options);
    Deno.addSignalListener("SIGUSR2", () => this.postMessage({ type: "lose" }));
  }
}
globalThis.Worker = LosingWorker;
await import("../../src/cli/main.ts");
