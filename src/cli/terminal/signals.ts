/** Ctrl-C and requests to terminate. */

/** Milliseconds within which a second signal counts as the same key press. */
const SAME_PRESS = 1000;

/** Exit codes that shells give to programs ended by these signals. */
const EXIT_CODES: Partial<Record<Deno.Signal, number>> = { SIGINT: 130, SIGTERM: 143 };

/**
 * Calls `listener` for Ctrl-C and requests to terminate, until it is disposed of. A terminal sends
 * Ctrl-C to `deno task` and to its child, and the task passes it on: both count as one.
 * @param listener called with the signal's exit code and the number of signals before it
 */
export function onStop(listener: (exitCode: number, before: number) => void): Disposable {
  let count = 0;
  let last = -Infinity;
  const signals: Deno.Signal[] = ["SIGINT", Deno.build.os === "windows" ? "SIGBREAK" : "SIGTERM"];
  const handlers = signals.map((signal) => () => {
    const now = performance.now();
    if (now - last < SAME_PRESS) return;
    last = now;
    listener(EXIT_CODES[signal] ?? 130, count++);
  });
  signals.forEach((signal, i) => Deno.addSignalListener(signal, handlers[i]));
  return {
    [Symbol.dispose]() {
      signals.forEach((signal, i) => Deno.removeSignalListener(signal, handlers[i]));
    },
  };
}
