/** `GET /metrics` of a server whose requests share forward passes. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { type LoadFigures, NO_LOAD } from "../../src/engine/load_figures.ts";
import { BusyError } from "../../src/engine/request.ts";
import { createApp } from "../../src/server/app.ts";
import { FakeEngine, type FakeOptions } from "./fake_engine.ts";
import { until } from "./fake_server.ts";
import { chatInit } from "./malformed.ts";

const PATH = "/v1/chat/completions";

function measured(options: FakeOptions = {}) {
  const engine = Object.assign(new FakeEngine(options), { load: NO_LOAD as LoadFigures });
  const app = createApp(engine);
  /** The figures, by name and labels. */
  const figures = async () => {
    const text = await (await app.request("/metrics")).text();
    const lines = text.split("\n").filter((line) => line && !line.startsWith("#"));
    return new Map(
      lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]),
    );
  };
  return { app, engine, figures };
}

Deno.test("figures of shared passes are the engine's, and their rates give the means", async () => {
  const { engine, figures } = measured();
  const before = await figures();
  assertEquals(before.get("unmask_passes_total"), 0);
  engine.load = {
    ...NO_LOAD,
    waiting: 3,
    running: 5,
    passes: 10,
    passRequests: 42,
    passRows: 1344,
    draftPasses: 4,
    draftRequests: 8,
    draftRows: 64,
    mostRequests: 6,
    committed: 77,
    pages: { total: 128, used: 40, shared: 8 },
    gpuSeconds: 1.5,
    answersPerSecond: 2.5,
  };
  const after = await figures();
  const expected = {
    passes_total: 10,
    pass_requests_total: 42,
    pass_rows_total: 1344,
    draft_passes_total: 4,
    draft_pass_requests_total: 8,
    draft_pass_rows_total: 64,
    committed_tokens_total: 77,
    gpu_seconds_total: 1.5,
    queue_depth: 3,
    answers_running: 5,
    most_pass_requests: 6,
    pages: 128,
    pages_used: 40,
    pages_shared: 8,
    answers_per_second: 2.5,
  };
  for (const [name, value] of Object.entries(expected)) {
    assertEquals(after.get(`unmask_${name}`), value, name);
  }
});

Deno.test("answers that run at once are each counted, timed, and waited for", async () => {
  const all = Promise.withResolvers<void>();
  const { app, engine, figures } = measured({ mayStart: all.promise, startDelay: 30 });
  const streams = Array.from(
    { length: 20 },
    (_, i) => app.request(PATH, chatInit({ max_tokens: 8, stream: i % 2 === 0 })),
  );
  await until(() => engine.running === 20);
  assertEquals((await figures()).get("unmask_requests_running"), 20);
  all.resolve();
  const texts = await Promise.all(streams.map(async (stream) => await (await stream).text()));
  const content = (text: string) =>
    [...text.matchAll(/"content":"([^"]*)"/g)].map(([, part]) => part).join("");
  assertEquals(new Set(texts.map(content)), new Set(["Masks fa"]));
  const after = await figures();
  assertEquals(after.get("unmask_requests_running"), 0);
  for (const name of ["wait", "first_text", "answer"]) {
    assertEquals(after.get(`unmask_${name}_seconds_count`), 20, name);
    assert(after.get(`unmask_${name}_seconds_sum`)! >= 20 * 0.025, name);
  }
});

Deno.test("refused requests are counted by why, and those that are wrong are not", async () => {
  const full = measured({ startError: new BusyError("64 requests are waiting", 2) });
  for (const stream of [true, false]) await full.app.request(PATH, chatInit({ stream }));
  await full.app.request(PATH, chatInit({ max_tokens: -7 }));
  await full.app.request("/nothing");
  await full.app.request("/health", { headers: { Host: "evil.example" } });
  const loading = measured({ state: "loading" });
  await loading.app.request(PATH, chatInit({}));
  const reasons = async ({ figures }: { figures: typeof full.figures }) =>
    [...await figures()].filter(([name]) => name.startsWith("unmask_refused"));
  assertEquals(await reasons(full), [
    ['unmask_refused_total{reason="queue_full"}', 2],
    ['unmask_refused_total{reason="host_not_allowed"}', 1],
  ]);
  assertEquals(await reasons(loading), [['unmask_refused_total{reason="model_loading"}', 1]]);
  assertMatch(
    await (await full.app.request("/metrics")).text(),
    /^# HELP unmask_refused_total Req/m,
  );
});
