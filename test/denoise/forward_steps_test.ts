import { assertEquals } from "@std/assert";
import { forwardSteps } from "../../src/denoise/forward_steps.ts";
import { QUALITIES, strategyOf } from "../../src/denoise/strategy.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import { MASK, ToyCanvasModel } from "./toy_model.ts";

Deno.test("steps are mapped in order, and the result comes through", async () => {
  async function* numbers() {
    yield 1;
    yield 2;
    return await Promise.resolve("done");
  }
  const relayed = forwardSteps(numbers(), (n) => 10 * n);
  assertEquals(await relayed.next(), { done: false, value: 10 });
  assertEquals(await relayed.next(), { done: false, value: 20 });
  assertEquals(await relayed.next(), { done: true, value: "done" });
});

for (const quality of QUALITIES) {
  Deno.test(`auto, ${quality}: a reader that leaves leaves no canvas behind`, async () => {
    const target = new ToyCanvasModel();
    const sequence = newSequence(Uint32Array.of(2, 3), 16, MASK);
    const steps = strategyOf("auto").run(sequence, { target }, {
      quality,
      blockLength: 8,
      steps: 16,
      seeds: [0],
      eosToken: 1,
      endTokens: [],
      stopAtEnd: false,
    });
    for await (const _ of steps) break;
    assertEquals([target.opened, target.destroyed], [1, 1]);
  });
}
