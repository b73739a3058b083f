/** Ctrl-C and requests to terminate. */

/** Milliseconds within which a second signal is taken for the same key press. */
const SAME_PRESS = 1000;

/** Exit codes that shells give to programs ended by these signals. */
const EXIT_CODES: Partial<Record<Deno.Signal, number>> = { SIGINT: 130, SIGTERM: 143 };

/**
 * Calls `listener` for Ctrl-C and for requests to terminate until disposed of. A terminal sends
 * Ctrl-C to `deno task` and to its child alike and the task passes it on: that counts once.
 * @param listener is told the exit code that stands for the signal, and how often it came before
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
