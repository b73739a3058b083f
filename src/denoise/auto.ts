/** The strategy that the controller drives: what pays here, and nothing that changes the result. */

import { mergeTallies, NO_ACCEPTANCE } from "./acceptance.ts";
import { denoiseBlocks } from "./blocks.ts";
import { type Choice, Controller, timed } from "./controller.ts";
import { denoise, type DenoiseOptions, type DenoiseStep } from "./denoise.ts";
import { lossless, selfDraft } from "./draft_verify.ts";
import type { Predictor } from "./predictor.ts";
import type { ProposalResult } from "./proposal_run.ts";
import { relay } from "./relay.ts";
import { planSteps } from "./schedule.ts";
import { applyCommits, decidedUpToEnd, generationLength, type Sequence } from "./sequence.ts";

/** Steps between two decisions, at least: a canvas is opened for each. */
const STEPS_PER_CHOICE = 8;
/** Steps of a first try, which may cost more than it brings. */
const STEPS_PER_TRY = 2;

/** What a finished answer cost, and what was chosen on the way. */
export interface AutoResult extends ProposalResult {
  /** Denoising steps taken by each choice, such as `plain` or `self 4`. */
  readonly choices: Readonly<Record<string, number>>;
}

/**
 * Takes the plain schedule's steps, a few at a time, in whichever lossless way the controller expects
 * to be fastest; when drafting does not pay, it does not draft. With guidance it is plain.
 * @throws as `denoise`
 */
export async function* autoExact(
  sequence: Sequence,
  models: { readonly target: Predictor; readonly draft?: Predictor },
  options: DenoiseOptions & { readonly controller?: Controller },
): AsyncGenerator<DenoiseStep, AutoResult, void> {
  const { blockLength, steps, controller = new Controller() } = options;
  const total = planSteps({ genLength: generationLength(sequence), blockLength, steps }).length;
  const rows = sequence.ids.length;
  const target = timed(
    models.target,
    (states, milliseconds) => controller.learnVerify(states, milliseconds / rows),
    (milliseconds) => controller.learnPlain(milliseconds / rows),
  );
  const draft = models.draft && timed(
    models.draft,
    () => {},
    (milliseconds) => controller.learnDraft(milliseconds / rows),
  );
  const count = { targetForwards: 0, targetStates: 0, draftForwards: 0, readbacks: 0 };
  const proposed: number[] = [];
  const accepted: number[] = [];
  let acceptance = NO_ACCEPTANCE;
  const choices: Record<string, number> = {};
  const guided = (options.cfgScale ?? 0) > 0;
  const finished = () =>
    options.finished?.() || (options.stopAtEnd && decidedUpToEnd(state, options.endTokens));
  let state = sequence;
  let t = 0;
  while (t < total && !finished()) {
    const choice: Choice = guided ? { strategy: "plain" } : controller.choose(draft !== undefined);
    const trying = controller.isTrying(draft !== undefined);
    const length = choice.strategy !== "plain" && trying ? STEPS_PER_TRY : STEPS_PER_CHOICE;
    // Guidance's second sequence follows the commits from the first step on: no second beginning.
    const until = guided ? total : Math.min(total, t + length);
    const part = { ...options, from: t, until };
    const run = take(choice, state, target, draft, part);
    const before = count.targetForwards;
    const name = choice.strategy === "plain" ? "plain" : `${choice.strategy} ${choice.depth}`;
    const result = yield* relay(run, (step): DenoiseStep => {
      state = applyCommits(state, step.commits[0]);
      t = step.step + 1;
      choices[name] = (choices[name] ?? 0) + 1;
      return { ...step, nfe: before + step.nfe };
    });
    count.targetForwards += result.targetForwards;
    count.targetStates += result.targetStates;
    count.draftForwards += result.draftForwards;
    count.readbacks += result.readbacks;
    proposed.push(...result.proposed);
    accepted.push(...result.accepted);
    acceptance = mergeTallies(acceptance, result.acceptance);
    if (choice.strategy !== "plain") {
      result.proposed.forEach((proposals, i) =>
        controller.learnAcceptance(
          choice.strategy as "self" | "lossless",
          proposals,
          result.accepted[i],
        )
      );
    }
  }
  return { sequence: state, ...count, proposed, accepted, acceptance, choices };
}

/**
 * By threshold, with whichever cache has been fastest here; the result is not the plain schedule's.
 * With guidance there is no cache.
 * @throws as `denoiseBlocks`
 */
export async function* autoFast(
  sequence: Sequence,
  models: { readonly target: Predictor },
  options: DenoiseOptions & { readonly controller?: Controller; readonly threshold?: number },
): AsyncGenerator<DenoiseStep, AutoResult & { readonly idleForwards: number }, void> {
  const { controller = new Controller(), threshold = 0.9, cfgScale = 0 } = options;
  const cache = cfgScale > 0 ? "none" : controller.chooseFast();
  const start = performance.now();
  let waited = 0;
  let paused = 0;
  let tokens = 0;
  const rule = { kind: "threshold", threshold } as const;
  const run = denoiseBlocks(sequence, models.target, { ...options, rule, cache });
  const result = yield* relay(run, (step) => {
    tokens += step.commits[0].length;
    paused = performance.now();
    return step;
  }, () => waited += performance.now() - paused);
  if (cfgScale === 0) controller.learnFast(cache, tokens, performance.now() - start - waited);
  const { sequences, nfe, readbacks, idleForwards = 0 } = result;
  return {
    sequence: sequences[0],
    targetForwards: nfe,
    targetStates: nfe,
    draftForwards: 0,
    proposed: [],
    accepted: [],
    acceptance: NO_ACCEPTANCE,
    readbacks,
    idleForwards,
    choices: { [`threshold, cache ${cache}`]: nfe },
  };
}

/** Some steps of the schedule, in the chosen way. */
async function* take(
  choice: Choice,
  state: Sequence,
  target: Predictor,
  draft: Predictor | undefined,
  options: DenoiseOptions,
): AsyncGenerator<DenoiseStep, ProposalResult, void> {
  if (choice.strategy === "self") {
    return yield* selfDraft(state, target, { ...options, depth: choice.depth });
  }
  if (choice.strategy === "lossless") {
    return yield* lossless(state, target, draft!, { ...options, depth: choice.depth });
  }
  const { sequences, nfe, readbacks } = yield* denoise([state], target, options);
  return {
    sequence: sequences[0],
    targetForwards: nfe,
    targetStates: nfe,
    draftForwards: 0,
    proposed: [],
    accepted: [],
    acceptance: NO_ACCEPTANCE,
    readbacks,
  };
}
