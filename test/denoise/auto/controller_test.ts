import { assert, assertEquals } from "@std/assert";
import { Controller, expectedSteps } from "../../../src/denoise/auto/controller.ts";
import { driftingLoad, measured, randomFrom } from "./simulated_device.ts";

/** What passes cost per row, and how often a proposal is right. */
interface ExactProfile {
  /** The target over one state. */
  readonly pass: number;
  /** What each further state adds. */
  readonly state: number;
  readonly draft: number;
  readonly selfAcceptance: number;
  readonly draftAcceptance: number;
}

/** Takes `steps` steps as the controller says. @returns what they cost without noise, by choice */
function denoiseAll(
  device: ExactProfile,
  controller: Controller,
  steps: number,
  random: () => number,
  load: () => number,
): { readonly total: number; readonly byChoice: Record<string, number> } {
  let total = 0;
  const byChoice: Record<string, number> = {};
  const spend = (cost: number) => {
    total += cost;
    return measured(load() * cost, random);
  };
  const verify = (states: number) =>
    controller.learnVerify(states, spend(device.pass + (states - 1) * device.state));
  const accepted = (share: number, proposals: number) => {
    let count = 0;
    while (count < proposals && random() < share) count++;
    return count;
  };
  for (let done = 0; done < steps;) {
    const choice = controller.choose(true);
    const end = Math.min(steps, done + choice.steps);
    const before = done;
    if (choice.strategy === "self") verify(1);
    while (done < end) {
      if (choice.strategy === "plain") {
        controller.learnPlain(spend(device.pass));
        done++;
        continue;
      }
      const { strategy, depth } = choice;
      const proposals = strategy === "self" ? depth - 1 : depth;
      for (let i = 0; strategy === "lossless" && i < depth; i++) {
        controller.learnDraft(spend(device.draft));
      }
      verify(strategy === "self" ? depth : depth + 1);
      const right = accepted(
        strategy === "self" ? device.selfAcceptance : device.draftAcceptance,
        proposals,
      );
      controller.learnAcceptance(strategy, proposals, right);
      done += 1 + right;
    }
    controller.took(choice, done - before);
    byChoice[choice.strategy] = (byChoice[choice.strategy] ?? 0) + done - before;
  }
  return { total, byChoice };
}

const BOUND_BY_ARITHMETIC: ExactProfile = {
  pass: 1,
  state: 0.95,
  draft: 0.65,
  selfAcceptance: 0.7,
  draftAcceptance: 0.85,
};
const SELF: ExactProfile = { ...BOUND_BY_ARITHMETIC, state: 0.03 };
const LOSSLESS: ExactProfile = { ...SELF, draft: 0.03, draftAcceptance: 0.95 };
const THIN: ExactProfile = { ...SELF, draft: 0.25, selfAcceptance: 0.4, draftAcceptance: 0.95 };
const ON_A_PAR: ExactProfile = { ...BOUND_BY_ARITHMETIC, state: 0.65 };
/** Steps of a hundred answers, and of one. */
const STEPS = 3200;
const STEPS_PER_ANSWER = 32;
const SEEDS = 40;

/** The best that one way all the time can do, milliseconds per row and step. */
function bestFixed(device: ExactProfile): number {
  const depths = [1, 2, 3, 4, 6, 8];
  const self = depths.slice(1).map((depth) =>
    (device.pass + (depth - 1) * device.state) / expectedSteps(device.selfAcceptance, depth - 1) +
    device.pass / STEPS_PER_ANSWER
  );
  const lossless = depths.map((depth) =>
    (depth * device.draft + device.pass + depth * device.state) /
    expectedSteps(device.draftAcceptance, depth)
  );
  return Math.min(device.pass, ...self, ...lossless);
}

for (
  const [name, device, expected, most] of [
    ["every state costs a pass: plain", BOUND_BY_ARITHMETIC, "plain", 0.02],
    ["states are nearly free, the draft is not: self", SELF, "self", 0.08],
    ["states and draft are nearly free, the draft is better: lossless", LOSSLESS, "lossless", 0.1],
    ["states are nearly free, the draft costs a quarter and is far better", THIN, "lossless", 0.1],
    ["proposing is on a par", ON_A_PAR, undefined, 0.04],
  ] as const
) {
  for (const drifting of [false, true]) {
    const machine = drifting ? "a machine whose load drifts" : "a quiet machine";
    Deno.test(`exact, ${name}; at most ${100 * most}% dearer than knowing it, ${machine}`, () => {
      let dearer = 0;
      for (let seed = 0; seed < SEEDS; seed++) {
        const random = randomFrom(seed);
        const load = drifting ? driftingLoad(random) : () => 1;
        const run = denoiseAll(device, new Controller(), STEPS, random, load);
        const shown = `seed ${seed}: ${JSON.stringify(run.byChoice)}, ${run.total.toFixed(0)}`;
        assert(expected === undefined || run.byChoice[expected] > 0.8 * STEPS, shown);
        dearer += (run.total / (STEPS * bestFixed(device)) - 1) / SEEDS;
      }
      assert(dearer < most, `${(100 * dearer).toFixed(1)}% dearer`);
    });
  }
}

Deno.test("exact: a measurement that was far off does not turn the choice for good", () => {
  const controller = new Controller();
  const random = randomFrom(1);
  denoiseAll(BOUND_BY_ARITHMETIC, controller, 400, random, () => 1);
  for (let i = 0; i < 3; i++) controller.learnPlain(50);
  assertEquals(controller.choose(true).strategy, "plain");
});
