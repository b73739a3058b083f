/** The GPU device is lost while clients stream. */

import type { Fault } from "./fault.ts";

/** Milliseconds that a busy machine may take to load. */
const PATIENCE = 120_000;

/** Waits for a status of `/health`. @returns whether it came in time */
export async function becomes(url: string, status: number): Promise<boolean> {
  for (const end = performance.now() + PATIENCE; performance.now() < end;) {
    const response = await fetch(`${url}/health`).catch(() => undefined);
    await response?.body?.cancel();
    if (response?.status === status) return true;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return false;
}

export const lostDevice: Fault = {
  kind: "lost device",
  server: "failing",
  counts: { short: 1, full: 5 },
  // Under way, waiting, and while it loads.
  told: ["device_lost", "model_loading", "broken off"],
  async happen({ server, count, tell, fail, load }) {
    for (let i = 0; i < count; i++) {
      await load.more(2);
      const begun = performance.now();
      server.kill("SIGUSR2");
      if (!await becomes(server.url, 503)) fail("the loss was not noticed");
      server.kill("SIGCONT");
      if (!await becomes(server.url, 200)) fail("it was not loaded again");
      await load.more(1);
      tell("loaded again and answered", performance.now() - begun);
    }
    await load.more(3);
  },
};
