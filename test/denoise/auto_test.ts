import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import { autoExact, autoFast } from "../../src/denoise/auto.ts";
import { denoiseBlocks } from "../../src/denoise/blocks.ts";
import { type Choice, Controller, FAST_CHOICES } from "../../src/denoise/controller.ts";
import { denoise } from "../../src/denoise/denoise.ts";
import { comparable, drawArb, gather } from "./draw.ts";
import { ToyCanvasModel, ToyModel } from "./toy_model.ts";

/** Takes what it is told to, one choice after another. */
class Told extends Controller {
  readonly #choices: readonly Choice[];
  readonly #trying: boolean;
  taken = 0;

  constructor(choices: readonly Choice[], trying: boolean) {
    super();
    this.#choices = choices;
    this.#trying = trying;
  }

  override choose(hasDraft: boolean): Choice {
    assert(hasDraft);
    return this.#choices[this.taken++ % this.#choices.length];
  }

  override isTrying(): boolean {
    return this.#trying;
  }
}

const depth = fc.integer({ min: 1, max: 5 });
const choiceArb: fc.Arbitrary<Choice> = fc.oneof(
  fc.constant({ strategy: "plain" } as const),
  depth.map((depth) => ({ strategy: "self", depth }) as const),
  depth.map((depth) => ({ strategy: "lossless", depth }) as const),
);

Deno.test("exact: whatever is chosen on the way, the plain schedule's commits", async () => {
  const taken = new Set<string>();
  let switched = 0;
  await fc.assert(
    fc.asyncProperty(
      drawArb,
      fc.array(choiceArb, { minLength: 1, maxLength: 4 }),
      fc.boolean(),
      async ({ sequence, options }, choices, trying) => {
        const expected = await gather(denoise([sequence], new ToyModel(), options));
        for (const Toy of [ToyModel, ToyCanvasModel]) {
          const target = new Toy();
          const draft = new Toy({ disagreement: 0.2, salt: 8 });
          const controller = new Told(choices, trying);
          const stream = autoExact(sequence, { target, draft }, { ...options, controller });
          const { steps, result } = await gather(stream);
          assertEquals(
            steps.map(({ step, block, commits }) => ({ step, block, commits })),
            expected.steps.map(({ step, block, commits }) => ({ step, block, commits })),
          );
          assertEquals(result.sequence, expected.result.sequences[0]);
          const named = Object.values(result.choices).reduce((sum, count) => sum + count, 0);
          assertEquals(named, steps.length);
          for (const name of Object.keys(result.choices)) taken.add(name.split(" ")[0]);
          if (Object.keys(result.choices).length > 1) switched++;
          // Guidance's second sequence has no second beginning, and no proposals.
          if (options.cfgScale! > 0) assertEquals(Object.keys(result.choices), ["plain"]);
          if (Toy === ToyModel) {
            const states = target.batches.reduce((sum, count) => sum + count, 0);
            assertEquals(
              [target.batches.length, states, draft.batches.length],
              [result.targetForwards, result.targetStates, result.draftForwards],
            );
          }
          const nfes = steps.map(({ nfe }) => nfe);
          assertEquals(nfes, nfes.toSorted((a, b) => a - b));
          assert(nfes.at(-1)! <= result.targetForwards);
        }
      },
    ),
    { numRuns: 250 },
  );
  assertEquals([...taken].sort(), ["lossless", "plain", "self"]);
  assert(switched > 0);
});

Deno.test("fast: threshold with the chosen cache, and none with guidance", async () => {
  await fc.assert(fc.asyncProperty(
    drawArb,
    fc.constantFrom(...FAST_CHOICES),
    fc.constantFrom(undefined, 0.2),
    async ({ sequence, options: drawn }, chosen, threshold) => {
      const options = comparable(drawn);
      class Chosen extends Controller {
        override chooseFast() {
          return chosen;
        }
      }
      const target = new ToyCanvasModel();
      const controller = new Chosen();
      const { steps, result } = await gather(
        autoFast(sequence, { target }, { ...options, controller, threshold }),
      );
      const other = new ToyCanvasModel();
      const expected = await gather(denoiseBlocks(sequence, other, {
        ...options,
        rule: { kind: "threshold", threshold: threshold ?? 0.9 },
        cache: options.cfgScale! > 0 ? "none" : chosen,
      }));
      assertEquals(steps, expected.steps);
      assertEquals(target.steps, other.steps);
      assertEquals(result.sequence, expected.result.sequences[0]);
      const { nfe, idleForwards } = expected.result;
      assertEquals([result.targetForwards, result.idleForwards], [nfe, idleForwards]);
    },
  ));
});
