/** Bodies and headers that never end, and such that lie about their length. */

import { gzipSync } from "fflate";
import type { Fault, Happening } from "./fault.ts";
import { headOf, statusOf } from "./raw_request.ts";
import { RawSocket } from "./raw_socket.ts";

/** What a client sends; its status, or whether the connection may just be closed. */
interface Lie {
  readonly name: string;
  readonly head: string;
  /** Sent behind the header, once. */
  readonly body?: string | Uint8Array<ArrayBuffer>;
  /** Sent again and again until the server ends it. */
  readonly endless?: string | Uint8Array<ArrayBuffer>;
  /** Whether the client then sends no more. */
  readonly ends?: boolean;
  readonly statuses: readonly number[];
  /** Mebibytes that it may be sent, if more than {@linkcode MOST}: chunks' names are looked at each second. */
  readonly most?: number;
  /** Seconds within which the server must have had enough, if that is more than {@linkcode BOUND}. */
  readonly bound?: number;
}

/** Seconds within which the server must answer or close. */
const BOUND = 30;
/** Most mebibytes that the server may be sent of something endless. */
const MOST = 64;
const PATH = "/v1/chat/completions";
const GOOD = JSON.stringify({
  messages: [{ role: "user", content: "What is 7 times 8?" }],
  strategy: "threshold",
  max_tokens: 4,
  seed: 1,
});
const CHUNKED = { "Transfer-Encoding": "chunked" };
const LINE = "x".repeat(65_536);
const CHUNK = `10000\r\n${LINE}\r\n`;
const BOMB = gzipSync(new Uint8Array(32 * 2 ** 20)) as Uint8Array<ArrayBuffer>;
const chunkOf = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;

const LIES: readonly Lie[] = [
  { name: "endless chunks", head: headOf(PATH, CHUNKED), endless: CHUNK, statuses: [413] },
  {
    name: "endless body of a length",
    head: headOf(PATH, { "Content-Length": 2 ** 40 }),
    endless: LINE,
    statuses: [413],
  },
  {
    name: "endless header",
    head: `POST ${PATH} HTTP/1.1\r\nHost: localhost\r\nX-Long: `,
    endless: LINE,
    statuses: [400, 431],
  },
  {
    name: "endless headers",
    head: `POST ${PATH} HTTP/1.1\r\nHost: localhost\r\n`,
    endless: "X-Many: 1\r\n".repeat(5000),
    statuses: [400, 431],
  },
  { name: "endless address", head: "GET /", endless: LINE, statuses: [400, 414, 431] },
  {
    name: "endless chunk extension",
    head: `${headOf(PATH, CHUNKED)}1;`,
    endless: LINE,
    statuses: [400, 413, 431],
    most: 2048,
  },
  {
    name: "endless trailers",
    head: `${headOf(PATH, CHUNKED)}${chunkOf(GOOD)}0\r\n`,
    endless: "X-Many: 1\r\n".repeat(5000),
    statuses: [400, 413, 431],
  },
  {
    name: "a bomb of zeros",
    head: headOf(PATH, { "Content-Encoding": "gzip", "Content-Length": BOMB.length }),
    body: BOMB,
    statuses: [413],
  },
  {
    name: "endless gzip",
    head: headOf(PATH, { "Content-Encoding": "gzip", ...CHUNKED }),
    endless: CHUNK,
    statuses: [400, 413],
  },
  {
    name: "shorter than its length",
    head: headOf(PATH, { "Content-Length": GOOD.length + 1 }),
    body: GOOD,
    ends: true,
    statuses: [400],
  },
  {
    name: "longer than its length",
    head: headOf(PATH, { "Content-Length": GOOD.length - 5 }),
    body: GOOD,
    statuses: [400],
  },
  {
    name: "chunks cut off",
    head: headOf(PATH, CHUNKED),
    body: chunkOf(GOOD),
    ends: true,
    statuses: [400],
  },
  {
    name: "a negative length",
    head: headOf(PATH, { "Content-Length": -1 }),
    body: GOOD,
    statuses: [400],
  },
  {
    name: "a length that is no number",
    head: headOf(PATH, { "Content-Length": "0x10" }),
    body: GOOD,
    statuses: [400],
  },
  {
    name: "a length beyond all numbers",
    head: headOf(PATH, { "Content-Length": "99999999999999999999999" }),
    body: GOOD,
    statuses: [400],
  },
  {
    name: "two lengths",
    head: headOf(PATH, { "Content-Length": GOOD.length, "content-length": 3 }),
    body: GOOD,
    statuses: [400],
  },
  {
    name: "a length and chunks",
    head: headOf(PATH, { "Content-Length": GOOD.length, ...CHUNKED }),
    body: chunkOf(GOOD) + "0\r\n\r\n",
    statuses: [400],
  },
  {
    name: "a chunk of no length",
    head: headOf(PATH, CHUNKED),
    body: `zz\r\n${GOOD}\r\n`,
    statuses: [400],
  },
  {
    name: "a chunk beyond all lengths",
    head: headOf(PATH, CHUNKED),
    body: `ffffffffffffffffff\r\n${GOOD}\r\n`,
    statuses: [400],
  },
];
/** Take the time that a body has. */
const PATIENT: readonly Lie[] = [
  {
    name: "a length and nothing",
    head: headOf(PATH, { "Content-Length": 99, Expect: "100-continue" }),
    statuses: [408],
    bound: 60,
  },
  {
    name: "a body, a byte a second",
    head: headOf(PATH, { "Content-Length": 4096 }),
    endless: " ",
    statuses: [408],
    bound: 60,
  },
];

async function lie({ server, tell, fail }: Happening, told: Lie): Promise<void> {
  const { name, head, body, endless, ends, statuses, bound = BOUND, most = MOST } = told;
  const begun = performance.now();
  const late = () => performance.now() - begun > 1000 * bound;
  using connection = await RawSocket.connect(server.port);
  await connection.sendAll(head);
  if (body !== undefined) await connection.sendAll(body);
  if (ends) connection.endSending();
  let sent = 0;
  const status = () => statusOf(connection.text.replace(/^HTTP\/1\.1 100 .*\r\n\r\n/, ""));
  while (endless !== undefined && !connection.ended && !late() && sent < most * 2 ** 20) {
    sent += Math.max(0, connection.send(endless));
    connection.read(65_536);
    const isSlow = endless.length === 1;
    if (isSlow && status() !== undefined) break;
    await new Promise((resolve) => setTimeout(resolve, isSlow ? 1000 : 1));
  }
  // Behind an answer a connection is kept for the next request.
  const end = /HTTP\/1\.1 [2-5]\d\d [^]*\r\n\r\n/;
  await connection.readUntil(end, Math.max(1000, 1000 * bound - (performance.now() - begun)));
  const took = performance.now() - begun;
  const got = status();
  if (sent >= most * 2 ** 20) fail(`${name}: ${most} MiB were taken`);
  else if (got === undefined && !connection.ended) fail(`${name}: no answer in ${bound} s`);
  else if (got !== undefined && !statuses.includes(got)) {
    fail(`${name}: ${connection.text.slice(0, 400)}`);
  }
  tell(got === undefined ? "closed" : `${got}`, took);
}

export const endlessBodies: Fault = {
  kind: "endless and lying bodies",
  server: "task",
  counts: { short: LIES.length, full: 3 * (LIES.length + PATIENT.length) },
  clients: 2,
  async happen(happening) {
    const { count, size, load } = happening;
    const lies = size === "full" ? [...LIES, ...PATIENT] : LIES;
    await Promise.all(
      Array.from({ length: count }, (_, i) => lie(happening, lies[i % lies.length])),
    );
    await load.more(2);
  },
};
