/** Clients that read a byte a second of a long answer. */

import type { Fault } from "./fault.ts";
import { requestOf } from "./raw_request.ts";
import { RawSocket } from "./raw_socket.ts";

/** Bytes that the system keeps of what comes: as few as it does. */
export const RECEIVE_BYTES = 1;
/** Seconds that they read. */
const SECONDS = { short: 2, full: 30 };
/** Milliseconds within which the engine must have done with all of them. */
const PATIENCE = 240_000;

/** An answer of half a megabyte in one pass. */
export const LONG_ANSWER = JSON.stringify({
  messages: [{ role: "user", content: "Count." }],
  stream: true,
  stream_events: true,
  logprobs: true,
  top_logprobs: 20,
  ignore_eos: true,
  max_tokens: 256,
  block_length: 256,
  steps: 1,
  strategy: "plain",
  seed: 1,
});

export const slowReaders: Fault = {
  kind: "slow readers",
  server: "task",
  counts: { short: 4, full: 20 },
  clients: 2,
  async happen({ server, count, size, tell, fail, load }) {
    const readers = await Promise.all(Array.from({ length: count }, async () => {
      const reader = await RawSocket.connect(server.port, RECEIVE_BYTES);
      await reader.sendAll(requestOf("/v1/chat/completions", LONG_ANSWER));
      return reader;
    }));
    // The engine has done with all of them although they do not read.
    const end = performance.now() + PATIENCE;
    for (;;) {
      for (const reader of readers) if (reader.text === "") reader.read(1);
      const { running, waiting } = await server.requests();
      const begun = readers.every(({ text }) => text !== "");
      if (begun && running + waiting <= 2) break;
      if (performance.now() > end) {
        fail(`slow readers hold the engine: ${running} running, ${waiting} waiting`);
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    const begun = performance.now();
    for (let second = 0; second < SECONDS[size]; second++) {
      for (const reader of readers) reader.read(1);
      await new Promise((resolve) => setTimeout(resolve, 1000));
    }
    // Nobody is held up by them.
    await load.more(3);
    for (const [i, reader] of readers.entries()) {
      if (reader.ended) fail(`a slow reader was cut: ${reader.text}`);
      else if (reader.text.length < SECONDS[size]) fail(`it got ${reader.text.length} bytes`);
      tell("a byte a second", performance.now() - begun);
      reader.leave(i % 2 === 0 ? "vanish" : "reset");
    }
  },
};
