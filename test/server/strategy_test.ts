/** Strategies over HTTP, with the embedded pair on a real adapter. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { WorkerEngine } from "../../src/engine/worker_engine.ts";
import { createApp } from "../../src/server/app.ts";
import type { CompletionUsage, DiffusionCounts } from "../../src/server/openai.ts";
import { chatInit } from "./malformed.ts";

const PROMPT = "Hi! Do you know how you write text?";
const SETTINGS: readonly (readonly [Record<string, unknown>, boolean])[] = [
  [{ strategy: "plain" }, true],
  [{ strategy: "plain", cache: "dual" }, true],
  [{ strategy: "threshold", threshold: 0.95 }, false],
  [{ strategy: "threshold", cache: "dual" }, false],
  [{ strategy: "factor", factor: 1.5, cache: "prefix" }, false],
  [{ strategy: "lossless", draft_depth: 3 }, true],
  [{ strategy: "lossless", cache: "dual" }, true],
  [{ strategy: "self", draft_depth: 4, rounds: 2 }, true],
  [{ strategy: "self", cache: "prefix" }, true],
  [{ strategy: "threshold", threshold: 0.9, confidence: "margin" }, false],
  [{ strategy: "plain", confidence: "entropy" }, false],
  [{ strategy: "gate", draft_threshold: 0.9, target_threshold: 0.6 }, false],
  [{ strategy: "commit_verify", draft_depth: 3, back_threshold: 0.2, rounds: 1 }, false],
  [{ strategy: "commit_verify", cache: "dual", refresh_interval: 2 }, false],
  [{ strategy: "threshold", cache: "dual", cfg_scale: 1 }, false],
  [{ strategy: "self", cache: "prefix", suffix_window: 8, cfg_scale: 1 }, false],
  [{ strategy: "auto" }, true],
  [{ strategy: "auto", quality: "fast" }, false],
  [{}, true],
];

/** What holds for the figures of an answer, and of several. */
function checkFigures(counts: DiffusionCounts): void {
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const { accepted_lengths: lengths, acceptance } = counts;
  assertEquals(sum(lengths.map((rounds, length) => rounds * length)), counts.accepted);
  assertEquals(acceptance !== undefined, counts.proposed > 0);
  const totals = Object.values(acceptance ?? {})
    .map((by) => [sum(by.map((one) => one.proposed)), sum(by.map((one) => one.accepted))]);
  for (const total of totals) assertEquals(total, totals[0]);
  const { target_seconds, draft_seconds, readback_seconds, seconds } = counts;
  const charged = target_seconds + draft_seconds;
  assert(target_seconds > 0 && readback_seconds <= seconds);
  // Charges are sums of shares, which are rounded.
  assert(charged <= readback_seconds * (1 + 1e-9), `${charged} s of ${readback_seconds} s`);
  assertEquals(draft_seconds > 0, counts.draft_forwards > 0);
}

Deno.test("every strategy answers over HTTP, the lossless ones alike", async () => {
  const engine = new WorkerEngine(EMBEDDED_TARGET);
  try {
    await engine.ready;
    const app = createApp(engine);
    const ask = async (fields: Record<string, unknown>) => {
      const messages = [{ role: "user", content: PROMPT }];
      const shape = {
        max_tokens: 32,
        block_length: 16,
        temperature: 0.4,
        seed: 5,
        include_diffusion: true,
      };
      const init = chatInit({ messages, ...shape, ...fields });
      const response = await app.request("/v1/chat/completions", init);
      return { status: response.status, body: await response.json() };
    };
    const usages: CompletionUsage[] = [];
    const plain = new Map<unknown, string>();
    for (const cache of ["none", "prefix", "dual"]) {
      const { body } = await ask({ strategy: "plain", cache });
      usages.push(body.usage);
      plain.set(cache, body.choices[0].message.content);
    }
    for (const [fields, lossless] of SETTINGS) {
      const { status, body } = await ask(fields);
      assertEquals(status, 200, JSON.stringify(body));
      usages.push(body.usage);
      const { strategy, cache, forwards, proposed, accepted } = body.usage.diffusion;
      checkFigures(body.usage.diffusion);
      assertEquals(strategy, fields.strategy ?? "auto");
      assertEquals(cache, fields.cache ?? "none");
      assert(forwards > 0 && accepted <= proposed);
      assert(body.choices[0].message.content.length > 0);
      if (!lossless) continue;
      assertEquals(body.choices[0].message.content, plain.get(cache), JSON.stringify(fields));
    }
    for (
      const [fields, param, message] of [
        [{ strategy: "gate", cache: "dual" }, "cache", /gate does not use cache/],
        [{ strategy: "plain", draft_depth: 3 }, "draft_depth", /choose lossless or self/],
        [{ strategy: "gate", back_threshold: 0.2 }, "back_threshold", /choose commit_verify/],
        [{ strategy: "commit_verify", back_threshold: 2 }, "back_threshold", /from 0 to 1/],
        [{ strategy: "commit_verify", cache: "none", draft_depth: 0 }, "draft_depth", /from 1/],
        [{ strategy: "threshold", remasking: "random" }, "remasking", /by confidence/],
        [{ strategy: "factor", confidence: "entropy" }, "confidence", /in \[0, 1\]/],
        [{ remasking: "random", confidence: "margin" }, "confidence", /ranks by noise/],
        [{ strategy: "gate", confidence: "margin" }, "confidence", /gate does not use confidence/],
      ] as const
    ) {
      const { status, body } = await ask(fields);
      assertEquals([status, body.error.param], [400, param], JSON.stringify(body));
      assertMatch(body.error.message, message);
    }
    const stats = await (await app.request("/v1/stats")).json();
    assertEquals([stats.answers, stats.unfinished], [usages.length, 0]);
    for (const figure of ["forwards", "draft_forwards", "cache_refreshes", "proposed"] as const) {
      const sum = usages.reduce((total, { diffusion }) => total + diffusion![figure], 0);
      assertEquals(stats[figure], sum, figure);
      assert(sum > 0, figure);
    }
    checkFigures(stats);
  } finally {
    await engine.close();
  }
});
