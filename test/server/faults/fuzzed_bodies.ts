/** Bodies of all routes, made wrong: each is answered, or refused in the words of its API. */

import * as fc from "fast-check";
import { BODIES } from "./bodies.ts";
import type { Fault, Happening } from "./fault.ts";
import { mutated, type SentBody } from "./mutations.ts";

/** How many are sent at the same time. */
const AT_ONCE = 6;
/** Milliseconds after which an answer counts as one that never ends. */
const PATIENCE = 120_000;
/** Milliseconds after which a whole answer has begun, with spaces. */
const BEGINS = 5000;
const JSON_TYPE = "application/json";

interface Reference {
  readonly paths: Readonly<
    Record<string, {
      readonly post?: {
        readonly requestBody?: {
          readonly content: {
            readonly "application/json": {
              readonly schema: {
                readonly properties: Readonly<Record<string, Record<string, unknown>>>;
              };
            };
          };
        };
      };
    }>
  >;
}

/** Bodies for each route that the server's own reference lists. @throws where one has no right body */
async function bodiesOf(url: string, count: number, seed: number): Promise<readonly SentBody[]> {
  const { paths } = await (await fetch(`${url}/openapi.json`)).json() as Reference;
  const fieldsOf = (path: string) =>
    paths[path].post?.requestBody?.content["application/json"].schema.properties ?? {};
  const chat = fieldsOf("/v1/chat/completions");
  const routes = Object.keys(paths).filter((path) => paths[path].post).map((path) => {
    if (!(path in BODIES)) throw new Error(`bodies.ts has none for ${path}`);
    // Other APIs pass the fields of a chat on.
    return mutated(path, BODIES[path], { ...chat, ...fieldsOf(path) });
  });
  return fc.sample(fc.oneof(...routes), { numRuns: count, seed });
}

/** What is wrong with a refusal; undefined for one that its API's clients can read. */
function misread(path: string, text: string): string | undefined {
  const isText = (value: unknown) => typeof value === "string" && value !== "";
  const body = JSON.parse(text);
  const known = path.startsWith("/api/")
    ? isText(body.error)
    : path.startsWith("/v1/messages")
    ? body.type === "error" && isText(body.error?.type) && isText(body.error?.message)
    : isText(body.error?.message) && isText(body.error?.type) && isText(body.error?.code);
  return known ? undefined : "it is not its API's error body";
}

/** What is wrong with an answer that was begun; undefined for one that is whole. */
function broken(contentType: string, text: string): string | undefined {
  if (/internal_error|The engine failed/.test(text)) return "it ends in an internal error";
  if (contentType.startsWith("application/json")) JSON.parse(text);
  else if (contentType.startsWith("application/x-ndjson")) {
    for (const line of text.trim().split("\n")) JSON.parse(line);
  } else if (text.trim() === "") return "an empty stream";
  return undefined;
}

/** Sends one body. @returns what came of it */
async function send(url: string, body: SentBody, client: Deno.HttpClient): Promise<string> {
  const response = await fetch(`${url}${body.path}`, {
    method: "POST",
    headers: { "Content-Type": body.contentType },
    body: body.bytes,
    signal: AbortSignal.timeout(PATIENCE),
    client,
  });
  const text = await response.text();
  const { status } = response;
  if (status >= 500) throw new Error(`status ${status}: ${text.slice(0, 300)}`);
  const wrong = status >= 400
    ? misread(body.path, text)
    : broken(response.headers.get("content-type") ?? "", text);
  if (wrong) throw new Error(`status ${status}, ${wrong}: ${text.slice(-300)}`);
  return `${status}`;
}

async function happen({ server, count, seed, tell, fail, load }: Happening): Promise<void> {
  const bodies = await bodiesOf(server.url, count, seed);
  const client = Deno.createHttpClient({ poolMaxIdlePerHost: AT_ONCE });
  // What is made wrong is right before.
  for (const [path, right] of Object.entries(BODIES)) {
    const bytes = new TextEncoder().encode(JSON.stringify(right));
    const status = await send(server.url, { path, bytes, contentType: JSON_TYPE }, client);
    if (status !== "200") fail(`${path}: its right body is refused: ${status}`);
  }
  let next = 0;
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < bodies.length) {
      const body = bodies[next++];
      const begun = performance.now();
      try {
        tell(await send(server.url, body, client), performance.now() - begun);
      } catch (error) {
        const took = performance.now() - begun;
        // A whole answer that has begun can tell its error only so.
        if (String(error).includes("error reading a body") && took > BEGINS) {
          tell("broken off", took);
          continue;
        }
        tell("wrong", performance.now() - begun);
        const sent = new TextDecoder().decode(body.bytes);
        const shown = sent.length > 1500 ? `${sent.slice(0, 1500)} … (${sent.length})` : sent;
        const seconds = ((performance.now() - begun) / 1000).toFixed(1);
        fail(`${body.path} ${body.contentType} after ${seconds} s: ${error}\n    ${shown}`);
      }
    }
  }));
  client.close();
  await load.more(3);
}

export const fuzzedBodies: Fault = {
  kind: "fuzzed bodies",
  server: "task",
  counts: { short: 45, full: 2000 },
  happen,
};
