import { assert, assertEquals } from "@std/assert";
import { timeFirstPasses } from "../../../src/engine/batching/first_passes.ts";
import type { ForwardInput } from "../../../src/denoise/predictor.ts";

/** A predictor whose passes take `cost` milliseconds of a made-up clock. */
function timedPasses(cost: (rows: number) => number) {
  const rows: number[] = [];
  let time = 0;
  const predict = (inputs: readonly ForwardInput[]) => {
    rows.push(inputs[0].ids.length);
    time += cost(inputs[0].ids.length);
    return Promise.resolve([[]]);
  };
  return { predictor: { predict }, rows, now: () => time };
}

const FACTS = { contextLength: 256, maskTokenId: 7 };

Deno.test("passes of a few sizes are timed, several of each, as long as the context allows", async () => {
  const { predictor, rows, now } = timedPasses(() => 1);
  await timeFirstPasses(predictor, FACTS, now);
  assertEquals(rows, [1, 1, 1, 32, 32, 32, 128, 128, 128]);
});

Deno.test("on a slow device no larger pass follows one that was long", async () => {
  const { predictor, rows, now } = timedPasses((rows) => 3 * rows);
  await timeFirstPasses(predictor, FACTS, now);
  assert(Math.max(...rows) === 32, `${rows}`);
});
