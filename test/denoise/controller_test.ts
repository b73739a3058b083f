import { assert, assertEquals } from "@std/assert";
import { Controller } from "../../src/denoise/controller.ts";
import { measured, randomFrom } from "./simulated_device.ts";

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
): { readonly total: number; readonly byChoice: Record<string, number> } {
  let total = 0;
  const byChoice: Record<string, number> = {};
  const spend = (cost: number) => {
    total += cost;
    return measured(cost, random);
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
/** Steps of a hundred answers. */
const STEPS = 3200;

for (
  const [name, device, expected] of [
    ["every state costs a pass: plain, within 3%", BOUND_BY_ARITHMETIC, "plain"],
    [
      "states are nearly free, the draft is not: self",
      { ...BOUND_BY_ARITHMETIC, state: 0.03 },
      "self",
    ],
    [
      "states and draft are nearly free, and the draft is better: lossless",
      { ...BOUND_BY_ARITHMETIC, state: 0.03, draft: 0.03, draftAcceptance: 0.95 },
      "lossless",
    ],
  ] as const
) {
  Deno.test(`exact, ${name}`, () => {
    for (let seed = 0; seed < 20; seed++) {
      const random = randomFrom(seed);
      const { total, byChoice } = denoiseAll(device, new Controller(), STEPS, random);
      const shown = `seed ${seed}: ${JSON.stringify(byChoice)}, ${total.toFixed(0)}`;
      assert(byChoice[expected] > 0.8 * STEPS, shown);
      assert(total < (expected === "plain" ? 1.03 : 0.6) * STEPS * device.pass, shown);
    }
  });
}

Deno.test("exact: a measurement that was far off does not turn the choice for good", () => {
  const controller = new Controller();
  const random = randomFrom(1);
  denoiseAll(BOUND_BY_ARITHMETIC, controller, 400, random);
  for (let i = 0; i < 3; i++) controller.learnPlain(50);
  assertEquals(controller.choose(true).strategy, "plain");
});
