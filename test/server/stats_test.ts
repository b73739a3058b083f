/** `GET /v1/stats`. */
import { assert, assertEquals } from "@std/assert";
import { createApp } from "../../src/server/app.ts";
import type { CompletionUsage } from "../../src/server/openai.ts";
import { FakeEngine } from "./fake_engine.ts";
import { chatInit } from "./malformed.ts";

const NOTHING = {
  object: "stats",
  model: "fake-llada",
  answers: 0,
  unfinished: 0,
  strategies: {},
  prompt_tokens: 0,
  completion_tokens: 0,
  tokens_per_second: 0,
  load: {
    running: 0,
    waiting: 0,
    passes: 0,
    requests_per_pass: 0,
    most_requests_per_pass: 0,
    rows_per_pass: 0,
    tokens_per_pass: 0,
    pages: { total: 0, used: 0, shared: 0 },
  },
  forwards: 0,
  target_states: 0,
  draft_forwards: 0,
  idle_forwards: 0,
  cache_refreshes: 0,
  proposed: 0,
  accepted: 0,
  accepted_lengths: [],
  tokens_per_forward: 0,
  readbacks: 0,
  target_seconds: 0,
  draft_seconds: 0,
  readback_seconds: 0,
  seconds: 0,
};

Deno.test("stats add up over answers, and hold no text", async () => {
  const app = createApp(new FakeEngine());
  const stats = async () => await (await app.request("/v1/stats")).json();
  assertEquals(await stats(), NOTHING);
  const secret = "my secret prompt";
  const usages: CompletionUsage[] = [];
  for (const max_tokens of [8, 16]) {
    const messages = [{ role: "user", content: secret }];
    const response = await app.request(
      "/v1/chat/completions",
      chatInit({ messages, max_tokens, block_length: 8, include_diffusion: true }),
    );
    usages.push((await response.json()).usage);
  }
  const text = await (await app.request("/v1/stats")).text();
  assert(!text.includes(secret) && !text.includes("Masks"), text);
  const found = JSON.parse(text);
  assertEquals(Object.keys(found), Object.keys(NOTHING));
  const sum = (of: (usage: CompletionUsage) => number) =>
    usages.reduce((total, usage) => total + of(usage), 0);
  assertEquals(found.answers, 2);
  assertEquals(found.strategies, { plain: 2 });
  assertEquals(found.completion_tokens, sum((usage) => usage.completion_tokens));
  assertEquals(found.forwards, sum((usage) => usage.diffusion!.forwards));
  assertEquals(found.tokens_per_forward, found.completion_tokens / found.forwards);
  assertEquals(found.tokens_per_second, found.completion_tokens / 2);
});

Deno.test("stats ask for a key, and wait for the model, as other routes do", async () => {
  const guarded = createApp(new FakeEngine(), { apiKeys: ["key"] });
  assertEquals((await guarded.request("/v1/stats")).status, 401);
  const init = { headers: { Authorization: "Bearer key" } };
  assertEquals((await guarded.request("/v1/stats", init)).status, 200);
  const loading = createApp(new FakeEngine({ state: "loading" }));
  assertEquals((await loading.request("/v1/stats")).status, 503);
});
