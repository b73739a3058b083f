/** The thread of the engine ends, hangs or throws while clients stream. */

import type { Fault } from "./fault.ts";
import { becomes } from "./lost_device.ts";

/** In turn; one that hangs or ends is found out after some seconds only. */
const WAYS = { short: ["throw"], full: ["throw", "hang", "close"] } as const;

export const stoppedWorker: Fault = {
  kind: "stopped Worker",
  server: "failing",
  // After more in a row it is given up.
  counts: { short: 1, full: 3 },
  // Deno cannot end a thread that loops: it stays, with what it has open, until the process ends.
  leaves: 6,
  told: ["engine_restarted", "model_loading", "broken off"],
  async happen({ server, count, size, tell, fail, load }) {
    for (let i = 0; i < count; i++) {
      await load.more(2);
      const way = WAYS[size][i % WAYS[size].length];
      const begun = performance.now();
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ messages: [{ role: "user", content: way }], stream: true }),
        signal: AbortSignal.timeout(120_000),
      }).catch((error) => String(error));
      const told = typeof response === "string" ? response : await response.text();
      if (!told.includes('"code":"engine_restarted"')) fail(`${way}: the asker was told ${told}`);
      if (!await becomes(server.url, 200)) fail(`${way}: it was not started again`);
      await load.more(1);
      tell(`${way}: started again`, performance.now() - begun);
    }
    await load.more(3);
  },
};
