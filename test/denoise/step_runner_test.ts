import { assert, assertEquals, assertRejects } from "@std/assert";
import fc from "fast-check";
import { CACHE_POLICIES } from "../../src/denoise/cache_plan.ts";
import { denoise } from "../../src/denoise/denoise.ts";
import type { Canvas } from "../../src/denoise/predictor.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import { strategyOf } from "../../src/denoise/strategy.ts";
import { drawArb, gather } from "./draw.ts";
import { someTwins } from "./some_twins.ts";
import { MASK, ToyCanvasModel } from "./toy_model.ts";

/** Which steps have a twin: none, or some between others that have not. */
const TWINS: readonly Canvas["hasTwin"][] = [
  () => false,
  ({ choices: [{ step }] }) => step % 3 > 0,
];

Deno.test("a step without a twin commits what its twin would, guidance and stops included", async () => {
  let mixed = 0;
  await fc.assert(fc.asyncProperty(drawArb, async ({ sequence, options }) => {
    const expected = await gather(denoise([sequence], new ToyCanvasModel(), options));
    for (const hasTwin of TWINS) {
      const target = new ToyCanvasModel();
      const { predictor, counts } = someTwins(target, hasTwin);
      const found = await gather(denoise([sequence], predictor, options));
      assertEquals(found.steps, expected.steps);
      assertEquals(found.result.sequences, expected.result.sequences);
      assertEquals(found.result.readbacks, counts.runs + counts.predicts);
      assertEquals([target.opened, target.destroyed], [1, 1]);
      if (hasTwin === TWINS[0]) assertEquals([counts.runs, found.result.nfe], [0, counts.predicts]);
      if (counts.runs > 0 && counts.predicts > 0) mixed++;
    }
  }));
  assert(mixed > 0);
});

Deno.test("a step without a twin keeps and reuses keys and values on the canvas", async () => {
  const arb = fc.record({
    draw: drawArb,
    cache: fc.constantFrom(...CACHE_POLICIES),
    refreshInterval: fc.constantFrom(1, 2, Infinity),
    suffixWindow: fc.constantFrom(undefined, 2),
  });
  await fc.assert(fc.asyncProperty(arb, async ({ draw, ...passes }) => {
    const { sequence } = draw;
    const options = { ...draw.options, ...passes };
    const run = (target: ToyCanvasModel, hasTwin?: Canvas["hasTwin"]) => {
      const predictor = hasTwin ? someTwins(target, hasTwin).predictor : target;
      return gather(strategyOf("plain").run(sequence, { target: predictor }, options));
    };
    const expected = await run(new ToyCanvasModel());
    for (const hasTwin of TWINS) {
      const found = await run(new ToyCanvasModel(), hasTwin);
      assertEquals(found.steps, expected.steps);
      assertEquals(found.result.sequence, expected.result.sequence);
    }
  }));
});

Deno.test("strategies with a draft come to the same where the draft's steps have no twin", async () => {
  await fc.assert(
    fc.asyncProperty(
      drawArb,
      fc.constantFrom("lossless", "commit_verify"),
      async ({ sequence, options: drawn }, name) => {
        const options = { ...drawn, remasking: undefined, confidence: undefined };
        const run = (hasTwin: Canvas["hasTwin"]) => {
          const models = {
            target: new ToyCanvasModel(),
            draft: someTwins(new ToyCanvasModel({ disagreement: 0.2 }), hasTwin).predictor,
          };
          return gather(strategyOf(name).run(sequence, models, options));
        };
        const expected = await run(() => true);
        for (const hasTwin of TWINS) {
          const found = await run(hasTwin);
          assertEquals(found.steps, expected.steps);
          assertEquals(found.result.sequence, expected.result.sequence);
          assertEquals(found.result.draftForwards, expected.result.draftForwards);
        }
      },
    ),
  );
});

Deno.test("a step that fails alone leaves no canvas behind", async () => {
  const target = new ToyCanvasModel();
  const { predictor } = someTwins(target, () => false);
  const broken = { ...predictor, predict: () => Promise.reject(new Error("device lost")) };
  const options = { blockLength: 8, steps: 8, seeds: [1], eosToken: 3, endTokens: [3] };
  const stream = denoise([newSequence([1], 8, MASK)], broken, { ...options, stopAtEnd: false });
  await assertRejects(() => stream.next(), Error, "device lost");
  assertEquals([target.opened, target.destroyed], [1, 1]);
});
