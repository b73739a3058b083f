/** Connections that are never ended, as far as the client is concerned. */

import type { Fault, Happening } from "./fault.ts";
import { headOf, requestOf } from "./raw_request.ts";
import { type Leaving, RawSocket } from "./raw_socket.ts";
import { LONG_ANSWER, RECEIVE_BYTES } from "./slow_readers.ts";

/** What a client does before it says nothing more. */
interface Silence {
  readonly name: string;
  readonly says: (connection: RawSocket) => Promise<unknown>;
  /** Seconds after which the server must have closed. */
  readonly bound: number;
  /** The status of what it said last, if it said anything. */
  readonly status?: number;
}

const BODY = JSON.stringify({
  messages: [{ role: "user", content: "What is 7 times 8?" }],
  strategy: "threshold",
  max_tokens: 8,
  seed: 1,
});
const PATH = "/v1/chat/completions";

const SHORT: readonly Silence[] = [
  { name: "nothing", says: () => Promise.resolve(), bound: 10 },
  {
    name: "half a header",
    says: (connection) => connection.sendAll("GET /health HTTP/1.1\r\nHost: loc"),
    bound: 10,
    status: 408,
  },
];
/** What takes longer until it is closed. */
const LONG: readonly Silence[] = [
  {
    name: "half a body",
    says: (connection) => connection.sendAll(headOf(PATH, { "Content-Length": 99 }) + '{"a'),
    bound: 60,
    status: 408,
  },
  {
    name: "an answer that was read",
    says: async (connection) => {
      await connection.sendAll(requestOf(PATH, BODY));
      await connection.readUntil("}}", 60_000);
    },
    bound: 15,
    status: 200,
  },
  {
    name: "an answer that nobody reads",
    says: (connection) => connection.sendAll(requestOf(PATH, LONG_ANSWER)),
    bound: 120,
  },
];
/** Seconds more that a busy machine may take. */
const GRACE = 10;
const LEAVINGS: readonly Leaving[] = ["fin", "reset", "vanish"];

/** A client that waits until the server has had enough. */
async function wait({ server, tell, fail }: Happening, silence: Silence): Promise<void> {
  const { name, says, bound, status } = silence;
  const unread = silence.name === "an answer that nobody reads";
  using connection = await RawSocket.connect(server.port, unread ? RECEIVE_BYTES : undefined);
  await says(connection);
  const begun = performance.now();
  const patience = 1000 * (bound + GRACE);
  // Who does not read does not see the end either: the server's own files show it.
  if (unread) {
    tell(name, 0);
    await new Promise((resolve) => setTimeout(resolve, patience));
    await connection.readToEnd(60_000);
  } else await connection.readToEnd(patience);
  const took = performance.now() - begun;
  if (!connection.ended) fail(`${name}: still open after ${bound + GRACE} s`);
  else if (!unread) tell(name, took);
  if (status !== undefined && !connection.text.includes(`HTTP/1.1 ${status} `)) {
    fail(`${name}: not ${status}: ${connection.text.slice(0, 300)}`);
  }
}

/** A client that is gone, in one of the ways, after it has said so much. */
async function vanish({ server, tell }: Happening, silence: Silence, how: Leaving): Promise<void> {
  const begun = performance.now();
  const connection = await RawSocket.connect(server.port);
  await silence.says(connection);
  connection.leave(how);
  tell(`${how} after ${silence.name}`, performance.now() - begun);
}

export const halfOpen: Fault = {
  kind: "half-open connections",
  server: "task",
  counts: { short: 6, full: 60 },
  clients: 1,
  async happen(happening) {
    const { size, count } = happening;
    const silences = size === "full" ? [...SHORT, ...LONG] : SHORT;
    const all = [...SHORT, ...LONG];
    await Promise.all([
      ...Array.from({ length: count }, (_, i) => wait(happening, silences[i % silences.length])),
      ...Array.from(
        { length: count },
        (_, i) => vanish(happening, all[i % all.length], LEAVINGS[i % LEAVINGS.length]),
      ),
    ]);
    await happening.load.more(1);
  },
};
