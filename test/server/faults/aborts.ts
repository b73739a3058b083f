/** Clients that leave: at any time, in any way, whatever they asked for. */

import { BODIES } from "./bodies.ts";
import type { Fault, Happening } from "./fault.ts";
import { isWhole, requestOf } from "./raw_request.ts";
import { type Leaving, RawSocket } from "./raw_socket.ts";

/** How many leave at the same time. */
const AT_ONCE = 8;
/** Milliseconds within which the server must begin to answer. */
const PATIENCE = 60_000;

const STAGES = ["in the header", "in the body", "before", "during", "at the end"] as const;
const LEAVINGS: readonly Leaving[] = ["fin", "reset", "vanish"];
/** Where a conversation may be sent, and what asks for a stream there. */
const ROUTES = ["/v1/chat/completions", "/v1/messages", "/api/chat", "/v1/responses"];

/** One client that leaves. */
async function leave({ server, random, tell, fail }: Happening, index: number): Promise<void> {
  const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)];
  const stage = STAGES[index % STAGES.length];
  const how = pick(LEAVINGS);
  const path = pick(ROUTES);
  const stream = random() < 0.6;
  const body = JSON.stringify({ ...BODIES[path], stream });
  const request = requestOf(path, body);
  const head = request.length - body.length;
  const sent = stage === "in the header"
    ? random() * head
    : stage === "in the body"
    ? head + random() * body.length
    : request.length;
  const begun = performance.now();
  const connection = await RawSocket.connect(server.port);
  await connection.sendAll(request.slice(0, Math.floor(sent)));
  const wait = (milliseconds: number) =>
    new Promise<void>((resolve) => setTimeout(resolve, milliseconds));
  if (stage === "during") {
    const first = await connection.readUntil("\r\n\r\n", PATIENCE);
    if (!first) fail(`${path}: no answer began in ${PATIENCE / 1000} s`);
    await wait(random() * 150);
  } else if (stage === "at the end") {
    const end = performance.now() + PATIENCE;
    while (!isWhole(connection.text) && !connection.ended && performance.now() < end) {
      if (connection.read(Math.floor(64 + random() * 4096)) === 0) await wait(1);
    }
    if (!isWhole(connection.text)) {
      fail(`${path}: cut, or no end in ${PATIENCE / 1000} s: ${connection.text.slice(-200)}`);
    }
  } else await wait(random() * 60);
  if (/^HTTP\/1\.1 [45]/.test(connection.text)) fail(`${path}: ${connection.text.slice(0, 600)}`);
  connection.leave(how);
  tell(stage, performance.now() - begun);
}

export const aborts: Fault = {
  kind: "clients that leave",
  server: "task",
  counts: { short: 25, full: 200 },
  async happen(happening) {
    let next = 0;
    await Promise.all(Array.from({ length: AT_ONCE }, async () => {
      while (next < happening.count) await leave(happening, next++);
    }));
    // Others go on while the last of them are noticed.
    await happening.load.more(3);
  },
};
