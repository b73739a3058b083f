/** Suffix pruning on the canvas: far masks are left out of the pass, as if they were not there. */
import { assert, assertEquals } from "@std/assert";
import { type BlockOptions, denoiseBlocks } from "../../src/denoise/strategies/blocks.ts";
import type { DenoiseStep } from "../../src/denoise/denoise_step.ts";
import type { Predictor } from "../../src/denoise/predictor.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import { someTwins } from "../denoise/some_twins.ts";
import { anyGpu } from "../gpu/device.ts";
import { goldenModel } from "./models.ts";

const PROMPT = Uint32Array.of(17, 250, 3, 99, 41, 5, 230);
const GENERATION = 32;

async function run(predictor: Predictor, maskToken: number, more: Partial<BlockOptions>) {
  const steps: DenoiseStep[] = [];
  const options: BlockOptions = {
    rule: { kind: "threshold", threshold: 0.7 },
    blockLength: 8,
    steps: GENERATION,
    seeds: [3],
    eosToken: 1,
    endTokens: [1],
    stopAtEnd: false,
    ...more,
  };
  const generator = denoiseBlocks(newSequence(PROMPT, GENERATION, maskToken), predictor, options);
  let next = await generator.next();
  for (; !next.done; next = await generator.next()) steps.push(next.value);
  return { steps: steps.map(({ commits }) => commits), ids: [...next.value.sequences[0].ids] };
}

Deno.test("a pruned pass on the canvas is a pass over the shorter sequence", async () => {
  const model = await goldenModel(anyGpu, "mha-f32");
  const { maskTokenId } = model.config;
  const stepwise: Predictor = { predict: (inputs) => model.predict(inputs) };
  const whole = await run(model, maskTokenId, {});
  const guided = { suffixWindow: 3, cfgScale: 1.5 };
  const narrow = await run(model, maskTokenId, guided);
  assertEquals(narrow, await run(stepwise, maskTokenId, guided));
  assertEquals(
    await run(model, maskTokenId, { ...guided, cache: "dual", refreshInterval: 1 }),
    narrow,
  );
  for (const suffixWindow of [0, 3, 8, GENERATION]) {
    const canvas = await run(model, maskTokenId, { suffixWindow });
    assertEquals(canvas, await run(stepwise, maskTokenId, { suffixWindow }));
    assert(canvas.ids.every((id) => id !== maskTokenId));
    if (suffixWindow === GENERATION) assertEquals(canvas, whole);
    // Refreshed at every step, a cache changes nothing: pruned as well.
    for (const cache of ["prefix", "dual"] as const) {
      const refreshed = await run(model, maskTokenId, { suffixWindow, cache, refreshInterval: 1 });
      assertEquals(refreshed, canvas);
      const cached = await run(model, maskTokenId, { suffixWindow, cache });
      const { predictor: twinless } = someTwins(model, () => false);
      assertEquals(await run(twinless, maskTokenId, { suffixWindow, cache }), cached);
      assert(cached.ids.every((id) => id !== maskTokenId));
    }
  }
  const pruned = await run(model, maskTokenId, { suffixWindow: 0 });
  assert(pruned.ids.join() !== whole.ids.join(), "pruning changed nothing: the test shows nothing");
});
