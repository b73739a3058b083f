/**
 * `unmask` with an engine whose GPU fails on signals: on SIGUSR2 it loses its device and gets no other
 * one until SIGCONT; on SIGHUP it loses its device, and there is no adapter any more; on SIGUSR1 the
 * device has memory for what it had so far only, until the next SIGUSR1. With HELD in the environment it
 * gets no device before SIGCONT. A request whose first message is `hang`, `throw`, `reject` or `close`
 * does that to the engine's Worker, and one of `lose` loses its device. It says on standard error when a
 * request goes to the engine, and when the device's memory has changed.
 */

class FailingWorker extends Worker {
  constructor(_: string | URL, options?: WorkerOptions) {
    super(new URL("./failing_worker.ts", import.meta.url), options);
    const signals = { SIGUSR2: "lose", SIGCONT: "replace", SIGHUP: "unplug", SIGUSR1: "starve" };
    for (const [signal, type] of Object.entries(signals)) {
      Deno.addSignalListener(signal as Deno.Signal, () => super.postMessage({ type }));
    }
  }

  override postMessage(message: { readonly type: string }): void {
    // What comes after this line finds the engine at work.
    super.postMessage(message);
    if (message.type === "generate") console.error("answering");
  }
}
globalThis.Worker = FailingWorker;
// What takes the device's memory away needs more than a server is left with.
Deno.permissions.revokeSync = Deno.permissions.querySync;
await import("../../src/cli/main.ts");
