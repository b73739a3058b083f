/** The GPU's memory is used up while clients stream: who needs more of it is told so, nobody else notices. */

import type { Fault } from "./fault.ts";
import { ASKED } from "./light_load.ts";

/** Needs larger buffers than any answer before, and than the passes that are timed after loading: two rows a position. */
const LARGE = { strategy: "plain", max_tokens: 400, block_length: 400, steps: 1, cfg_scale: 1 };

export const outOfMemory: Fault = {
  kind: "memory used up",
  server: "failing",
  counts: { short: 4, full: 40 },
  async happen({ server, count, tell, fail, load }) {
    await load.more(3);
    const from = server.stderr.text.length;
    server.kill("SIGUSR1");
    await server.stderr.match(/^starving\n/m, from);
    for (let i = 0; i < count; i++) {
      const begun = performance.now();
      const stream = i % 2 === 0;
      const response = await fetch(`${server.url}/v1/chat/completions`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ ...ASKED[0], ...LARGE, stream }),
      });
      const text = await response.text();
      if (!text.includes('"code":"out_of_memory"')) {
        fail(`an answer without memory: ${response.status} ${text.slice(-300)}`);
      }
      tell(stream ? "told in the stream" : `told ${response.status}`, performance.now() - begun);
    }
    await load.more(3);
    server.kill("SIGUSR1");
    await server.stderr.match(/^fed\n/m, from);
    const begun = performance.now();
    const response = await fetch(`${server.url}/v1/chat/completions`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ ...ASKED[0], ...LARGE }),
    });
    await response.text();
    if (response.status !== 200) fail(`with memory again: ${response.status}`);
    tell("answered with memory again", performance.now() - begun);
  },
};
