/** A canvas that grows, on the GPU: widened before the first step, and appended to. */
import { assert, assertEquals } from "@std/assert";
import { denoiseFreely, type FreeOptions } from "../../src/denoise/free_canvas.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import { STRATEGY_NAMES, strategyOf } from "../../src/denoise/strategy.ts";
import { EMBEDDED_TARGET } from "../../src/engine/embedded_models.ts";
import { loadEngine } from "../../src/engine/load.ts";
import EVAL_PUBLIC from "../../models/eval-public.json" with { type: "json" };

Deno.test("a story ends by itself, whatever the canvas begins with, in every strategy", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const { maskTokenId, endTokenIds } = engine.facts;
  const story = "Tell me a short story about brave Ben the owl who finds a ring.";
  const prompt = engine.encodeChat([{ role: "user", content: story }]);
  const models = { target: engine.model, draft: engine.draft!.model };
  const run = async (strategy: typeof STRATEGY_NAMES[number], more: Partial<FreeOptions>) => {
    const steps = denoiseFreely(
      newSequence(prompt, 0, maskTokenId),
      strategyOf(strategy),
      models,
      {
        most: 256,
        blockLength: 8,
        seeds: [1],
        eosToken: endTokenIds[0],
        eotToken: engine.eotToken,
        endTokens: endTokenIds,
        stopAtEnd: true,
        ...more,
      },
    );
    let next = await steps.next();
    while (!next.done) next = await steps.next();
    const ids = Array.from(next.value.sequence.ids.subarray(prompt.length));
    const end = ids.findIndex((id) => endTokenIds.includes(id));
    return { length: ids.length, end, answer: ids.slice(0, end) };
  };
  const lossless = ["lossless", "self", "auto"];
  const plain = await run("plain", { first: 8 });
  const appended = await run("plain", { widest: 16 });
  const cached = await run("plain", { first: 8, cache: "dual" });
  for (const strategy of STRATEGY_NAMES) {
    // The story has more than 16 tokens, and the model says so of a canvas of 8 and of 16.
    const one = await run(strategy, { first: 8 });
    assert(one.length >= 32 && one.end >= 16, `${strategy}: ${one.end} of ${one.length}`);
    const several = await run(strategy, { widest: 16 });
    assert(several.length >= 32 && several.end >= 16, `${strategy}: ${several.end}`);
    if (!lossless.includes(strategy)) continue;
    assertEquals([one, several], [plain, appended], strategy);
    if (strategy === "auto") continue;
    assertEquals(await run(strategy, { first: 8, cache: "dual" }), cached, strategy);
  }
});

/** The longest answers of the public prompts have 19 to 43 tokens; the model was trained up to 51. */
Deno.test("20 answers that are longer than the first canvas end by themselves", async () => {
  using engine = await loadEngine(EMBEDDED_TARGET);
  const { maskTokenId, endTokenIds } = engine.facts;
  const longest = EVAL_PUBLIC.items
    .toSorted((a, b) => b.expected_ids.length - a.expected_ids.length)
    .slice(0, 20);
  const exact = async (first: number) => {
    let count = 0;
    for (const { id, prompt_ids, expected_ids } of longest) {
      assert(expected_ids.length > 16);
      const steps = denoiseFreely(
        newSequence(prompt_ids, 0, maskTokenId),
        strategyOf("threshold"),
        { target: engine.model },
        {
          most: 256,
          blockLength: 8,
          seeds: [1],
          eosToken: endTokenIds[0],
          eotToken: engine.eotToken,
          endTokens: endTokenIds,
          stopAtEnd: true,
          first,
        },
      );
      let next = await steps.next();
      while (!next.done) next = await steps.next();
      const ids = Array.from(next.value.sequence.ids.subarray(prompt_ids.length));
      const end = ids.findIndex((token) => endTokenIds.includes(token));
      assert(end > 0 && !ids.slice(0, end).includes(maskTokenId), `${id} does not end`);
      if (ids.slice(0, end).join() === expected_ids.join()) count++;
    }
    return count;
  };
  const [widened, whole] = [await exact(16), await exact(64)];
  assert(widened >= whole, `${widened} exact answers, ${whole} on a canvas that is wide at once`);
});
