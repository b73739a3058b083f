/**
 * Strategy `auto` with quality `exact`: the controller chooses among ways that do not change the
 * result.
 */

import { mergeTallies, NO_ACCEPTANCE } from "../strategies/acceptance.ts";
import { type Choice, choiceName, Controller } from "./controller.ts";
import type { DenoiseOptions, DenoiseStep } from "../denoise_step.ts";
import { loadAt, pricesOf } from "./prices.ts";
import { timedPredictor } from "./timed_predictor.ts";
import type { ProposalResult } from "../strategies/proposal_run.ts";
import { forwardSteps } from "../forward_steps.ts";
import { planSteps } from "../schedule.ts";
import {
  applyCommits,
  decidedUpToEnd,
  generationLength,
  isBegun,
  type Sequence,
} from "../sequence.ts";
import type { Models, Strategy } from "../strategy_options.ts";

/** The cost of a finished answer, and the choices made for it. */
export interface AutoResult extends ProposalResult {
  /** Denoising steps taken by each choice, such as `plain` or `self 4`. */
  readonly choices: Readonly<Record<string, number>>;
}

/**
 * Takes the steps of the plain schedule, a few at a time, in the lossless way that the controller
 * expects to be fastest. It does not draft if drafting is slower, and leaves off midway if it is now,
 * as others have come with whom it shares passes. With guidance or sampling, or where
 * part of the answer is given, it is always plain.
 * @param ways strategies that the controller chooses from
 * @throws as `denoise`
 */
export async function* autoExact(
  sequence: Sequence,
  models: Models,
  options: DenoiseOptions & { readonly controller?: Controller },
  ways: Readonly<Record<Choice["strategy"], Pick<Strategy, "run">>>,
): AsyncGenerator<DenoiseStep, AutoResult, void> {
  const { blockLength, steps, controller = new Controller() } = options;
  if (isBegun(sequence)) return yield* plainOnly(sequence, models, options, ways.plain);
  const total = planSteps({ genLength: generationLength(sequence), blockLength, steps }).length;
  const rows = sequence.ids.length;
  const prices = () => pricesOf(rows, models);
  const target = timedPredictor(models.target, {
    predicted: ({ length }, { milliseconds }) =>
      controller.learnVerify(length, milliseconds / prices().verify(length)),
    ran: (steps, { milliseconds }) =>
      controller.learnPlain(milliseconds / steps.length / prices().verify(1)),
  });
  const draft = models.draft && timedPredictor(models.draft, {
    predicted: (_answers, { milliseconds }) => controller.learnDraft(milliseconds / prices().draft),
    ran: (steps, { milliseconds }) =>
      controller.learnDraft(milliseconds / steps.length / prices().draft),
  });
  const count = {
    targetForwards: 0,
    targetStates: 0,
    draftForwards: 0,
    readbacks: 0,
    idleForwards: 0,
  };
  const proposed: number[] = [];
  const accepted: number[] = [];
  let acceptance = NO_ACCEPTANCE;
  const choices: Record<string, number> = {};
  // Steps with sampling take other times than those that the controller compares.
  const alone = (options.cfgScale ?? 0) > 0 || options.sampling !== undefined;
  const finished = () =>
    options.finished?.() || (options.stopAtEnd && decidedUpToEnd(state, options.endTokens));
  let state = sequence;
  let t = 0;
  while (t < total && !finished()) {
    // With guidance the run cannot start again midway: the second sequence starts at the first
    // step.
    const load = loadAt(prices());
    const hasDraft = draft !== undefined;
    const choice: Choice = alone
      ? { strategy: "plain", steps: total }
      : controller.choose(hasDraft, prices());
    const until = Math.min(total, t + choice.steps);
    const begun = t;
    // A run that was told once that it is finished must be told so again; it takes a step at least.
    let turned = false;
    const turns = () =>
      turned ||= !alone && t > begun &&
        controller.turnsFrom(choice, load, hasDraft, prices());
    const depth = "depth" in choice ? choice.depth : undefined;
    const run = ways[choice.strategy].run(state, { target, draft }, {
      ...options,
      from: t,
      until,
      depth,
      finished: () => options.finished?.() || turns(),
    });
    const before = count.targetForwards;
    const name = choiceName(choice);
    const result = yield* forwardSteps(run, (step): DenoiseStep => {
      state = applyCommits(state, step.commits[0]);
      t = step.step + 1;
      choices[name] = (choices[name] ?? 0) + 1;
      return { ...step, nfe: before + step.nfe };
    });
    controller.took(choice, t - begun);
    count.targetForwards += result.targetForwards;
    count.targetStates += result.targetStates;
    count.draftForwards += result.draftForwards;
    count.readbacks += result.readbacks;
    count.idleForwards += result.idleForwards;
    proposed.push(...result.proposed);
    accepted.push(...result.accepted);
    acceptance = mergeTallies(acceptance, result.acceptance);
    if ("depth" in choice) {
      result.proposed.forEach((proposals, i) =>
        controller.learnAcceptance(choice.strategy, proposals, result.accepted[i])
      );
    }
  }
  return { sequence: state, ...count, proposed, accepted, acceptance, choices };
}

/** An answer of which part is given: its blocks take as many steps as they have masks. */
async function* plainOnly(
  sequence: Sequence,
  models: Models,
  options: DenoiseOptions,
  plain: Pick<Strategy, "run">,
): AsyncGenerator<DenoiseStep, AutoResult, void> {
  let steps = 0;
  const result = yield* forwardSteps(plain.run(sequence, models, options), (step) => {
    steps++;
    return step;
  });
  return { ...result, choices: { plain: steps } };
}
