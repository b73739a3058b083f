/** Many requests of one engine at once, each of another kind. */

import { assert, assertEquals, assertRejects } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { loadEngine } from "../../src/engine/load.ts";
import { BusyError, type GenerateEvent, type GenerateRequest } from "../../src/engine/request.ts";
import { GREEDY } from "../../src/denoise/predictor.ts";

const messages = [{ role: "user", content: "Tell me of a cat." }];
const short = { maxTokens: 16, blockLength: 8, steps: 8, seed: 7 };

/** Ways to answer that ask the model in different ways. */
const KINDS: Readonly<Record<string, GenerateRequest>> = {
  plain: { ...short, strategy: "plain" },
  "another prompt": { ...short, strategy: "plain", prompt: "Two and two is" },
  threshold: { ...short, strategy: "threshold", threshold: 0.6 },
  factor: { ...short, strategy: "factor" },
  lossless: { ...short, strategy: "lossless" },
  self: { ...short, strategy: "self", stopAtEnd: false },
  gate: { ...short, strategy: "gate" },
  "commit, verify": { ...short, strategy: "commit_verify", cache: "dual" },
  prefix: { ...short, strategy: "plain", cache: "prefix", refreshInterval: 3 },
  dual: { ...short, strategy: "threshold", cache: "dual", stopAtEnd: false },
  guided: { ...short, strategy: "plain", cfgScale: 1.2 },
  sampled: { ...short, strategy: "plain", temperature: 0.9, topP: 0.8, topLogprobs: 2 },
  "as long as it likes": { maxTokens: 32, strategy: "plain", length: "auto", seed: 7 },
  "begun and scored": { ...short, strategy: "plain", prefill: "A cat", promptLogprobs: 1 },
  template: { template: ["The cat ", { mostTokens: 3 }, " here."], seed: 3 },
  "held to a schema": {
    ...short,
    strategy: "plain",
    constraint: {
      kind: "json_schema",
      schema: { type: "object", properties: { n: { type: "integer" } }, required: ["n"] },
    },
  } as GenerateRequest,
};

const VARIES = [
  "targetSeconds",
  "draftSeconds",
  "readbackSeconds",
  "seconds",
  "readbacks",
  "idleForwards",
];

/** The events of an answer without its times, and without how often it was read back and what ran behind its end. */
async function told(
  engine: Engine,
  request: GenerateRequest,
  signal?: AbortSignal,
  onStep = () => {},
) {
  const events: GenerateEvent[] = [];
  const asked = request.prompt === undefined ? { ...request, messages } : request;
  for await (const event of engine.generate(asked, signal)) {
    if (event.type === "step") onStep();
    if (event.type !== "end") events.push(event);
    else {
      const stats = Object.entries(event.stats).filter(([name]) => !VARIES.includes(name));
      events.push({ ...event, stats: Object.fromEntries(stats) as unknown as typeof event.stats });
    }
  }
  return events;
}

const settled = async (engine: Engine) => {
  for (let i = 0; engine.load.running > 0; i++) {
    assert(i < 20_000, "a request still runs");
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
};

Deno.test("answers of every kind side by side are those alone, bit by bit, and share passes", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const ids = engine.encodeChat(messages);
  const asked = { ids, positions: Uint32Array.of(ids.length - 1) };
  const direct = () =>
    Promise.all([
      engine.predict([{ ...asked, choice: GREEDY }]),
      engine.topTokens(asked, 3),
      engine.forward(ids).then(({ logits }) => logits.slice(-50)),
    ]);
  const alone: GenerateEvent[][] = [];
  for (const request of Object.values(KINDS)) alone.push(await told(engine, request));
  const directly = await direct();
  const before = engine.load;
  assertEquals([before.mostRequests, before.running], [1, 0]);
  const names = Object.keys(KINDS);
  const together = await Promise.all([
    ...names.map((name) => told(engine, KINDS[name])),
    direct(),
    direct(),
  ]);
  for (const [i, name] of names.entries()) assertEquals(together[i], alone[i], name);
  assertEquals(together.slice(names.length) as unknown[], [directly, directly]);
  await settled(engine);
  const { passes, passRequests, mostRequests, waiting, pages, committed } = engine.load;
  assertEquals([waiting, pages.used], [0, 0]);
  assert(mostRequests >= 4, `${mostRequests}`);
  const mean = (passRequests - before.passRequests) / (passes - before.passes);
  assert(mean > 1.5, `${mean} requests in a pass`);
  assertEquals(committed, 2 * before.committed);
});

Deno.test("some leave, one stops reading: the others are answered, and nothing stays", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET, { maxRunning: 4 });
  const expected = await told(engine, KINDS.plain);
  const stopped = engine.generate({ ...KINDS.dual, messages });
  await stopped.next();
  const abort = new AbortController();
  // They leave when each of them has shown a step, long before their ends.
  const shown = new Set<string>();
  const leaving = ["prefix", "lossless", "self"].map((name) => {
    const request = { ...KINDS[name], maxTokens: 128, steps: 128, ignoreEos: true };
    const leave = () => {
      if (shown.add(name).size === 3) abort.abort(new Error("enough"));
    };
    return assertRejects(() => told(engine, request, abort.signal, leave), Error, "enough");
  });
  const others = [1, 2, 3].map(() => told(engine, KINDS.plain));
  await Promise.all(leaving);
  for (const found of await Promise.all(others)) assertEquals(found, expected);
  // The answer of who stopped is ready, and its place free.
  await settled(engine);
  const rest: GenerateEvent[] = [];
  for await (const event of stopped) rest.push(event);
  assertEquals(rest.at(-1)?.type, "end");
  const { running, waiting, pages } = engine.load;
  assertEquals([running, waiting, pages.used], [0, 0, 0]);
});

Deno.test("beyond those that run, some wait and the rest are told when to come back", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET, { maxRunning: 2, maxWaiting: 2 });
  await told(engine, KINDS.plain);
  const asked = Array.from({ length: 6 }, () => told(engine, KINDS.plain));
  const found = await Promise.allSettled(asked);
  assertEquals(found.filter(({ status }) => status === "fulfilled").length, 4);
  for (const one of found) {
    if (one.status === "fulfilled") continue;
    assert(one.reason instanceof BusyError);
    const { retryAfter } = one.reason;
    assert(Number.isInteger(retryAfter) && retryAfter >= 1 && retryAfter <= 60, `${retryAfter}`);
  }
  assert(engine.load.mostRequests <= 2 && engine.load.answersPerSecond > 0);
});
