/** Strategy auto by several clients at once, in time that passes of a recorded curve take. */

import { assert } from "@std/assert";
import { RECORDED_CURVES } from "../../../src/bench/simulation/recorded.ts";
import { Controller } from "../../../src/denoise/auto/controller.ts";
import { newSequence } from "../../../src/denoise/sequence.ts";
import { type StrategyName, strategyOf } from "../../../src/denoise/strategy.ts";
import { CostCurve, type MeasuredPass } from "../../../src/engine/batching/cost_curve.ts";
import { Scheduler } from "../../../src/engine/batching/scheduler.ts";
import type { JobResults, PassJob } from "../../../src/model/batch/pass_job.ts";
import { SteadyToy } from "../../denoise/auto/shared_device.ts";
import { gather } from "../../denoise/draw.ts";
import { MASK } from "../../denoise/toy_model.ts";
import { ToyBatchModel } from "./toy_batch_model.ts";

/** Milliseconds that went by. */
interface Clock {
  now: number;
}

/** A toy whose passes take the time of a curve. */
class TimedToy extends ToyBatchModel {
  readonly #curve: CostCurve;
  readonly #clock: Clock;

  constructor(toy: SteadyToy, points: readonly MeasuredPass[], clock: Clock) {
    super({ toy }, clock);
    this.#curve = CostCurve.from(points);
    this.#clock = clock;
  }

  override runTogether<const T extends readonly PassJob<unknown>[]>(
    jobs: T,
    passes: number,
  ): Promise<JobResults<T>> {
    for (let pass = 0; pass < passes; pass++) {
      const running = jobs.filter((job) => job.passes > pass);
      if (running.length === 0) break;
      this.#clock.now += this.#curve.cost(running.reduce((sum, { rows }) => sum + rows, 0));
    }
    return super.runTogether(jobs, passes);
  }
}

/** Tokens of an answer, and of its prompt: few enough that alone verifying is nearly free. */
const TOKENS = 14;
const PROMPT = 2;

/** Clients of a card, each asking again as soon as it is answered. */
function openCard(curve: string) {
  const clock = { now: 0 };
  const { points, draft } = RECORDED_CURVES[curve];
  const models = {
    target: new TimedToy(new SteadyToy(0.1), points, clock),
    draft: new TimedToy(new SteadyToy(0.05, 1), draft.points, clock),
  };
  const now = () => clock.now += 0.01;
  const scheduler = new Scheduler(models, { maxRunning: 16, maxWaiting: 16, now });
  const controller = new Controller();
  /** Answers a second, and steps by each choice of auto. */
  return async (name: StrategyName, clients: number, answers: number) => {
    const start = clock.now;
    const choices: Record<string, number> = {};
    let next = 0;
    await Promise.all(Array.from({ length: clients }, async () => {
      while (next < answers) {
        const prompt = Array.from({ length: PROMPT }, () => next % 10);
        next++;
        using lane = await scheduler.enter({ pages: 0 });
        const { result } = await gather(
          strategyOf(name).run(newSequence(prompt, TOKENS, MASK), lane, {
            blockLength: TOKENS,
            steps: TOKENS,
            seeds: [0],
            eosToken: MASK + 1,
            endTokens: [],
            stopAtEnd: false,
            controller,
          }),
        );
        for (const [choice, steps] of Object.entries(result.choices ?? {})) {
          choices[choice] = (choices[choice] ?? 0) + steps;
        }
      }
    }));
    return { rate: 1000 * answers / (clock.now - start), choices };
  };
}

Deno.test("auto drafts for one client and not for 16, short answers from their first step on", async () => {
  for (const curve of ["llada-8b-bf16", "llada-8b-matrix-units"]) {
    const serve = openCard(curve);
    const [plain, plainOf16] = [await serve("plain", 1, 4), await serve("plain", 16, 48)];
    await serve("auto", 1, 16);
    const alone = await serve("auto", 1, 16);
    const of16 = await serve("auto", 16, 64);
    const told = JSON.stringify({ plain, alone, plainOf16, of16 });
    assert(alone.rate > 1.4 * plain.rate, told);
    assert(of16.rate > 0.95 * plainOf16.rate, told);
    assert(of16.choices.plain > 0.95 * 64 * TOKENS, told);
    // And once the others are gone.
    assert((await serve("auto", 1, 4)).rate > 1.25 * plain.rate, curve);
  }
});
