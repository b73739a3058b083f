/**
 * Measures how many tokens of a draft a target accepts, on the states of the target's own greedy
 * answer. The target commits tokens in its own order, so what counts is not the place of a token in
 * the text but its rank: how many commits of the target from that state it comes.
 */

import { denoise } from "../denoise/denoise.ts";
import { type Commit, GREEDY, type Prediction, type Predictor } from "../denoise/predictor.ts";
import { STRATEGY_NAMES, type StrategyName, strategyOf } from "../denoise/strategy.ts";
import { BY_CONFIDENCE, selectCommits } from "../denoise/selection.ts";
import { applyCommits, maskedPositions, newSequence, type Sequence } from "../denoise/sequence.ts";

/**
 * Strategies that are run: those with a draft whose answer may be another than the target's, and beside
 * them what the target reaches alone, which likewise commits all that it is sure of.
 */
const RUN: readonly StrategyName[] = [
  ...STRATEGY_NAMES.filter((name) => strategyOf(name).needsDraft && !strategyOf(name).lossless),
  "threshold",
];

/** Depths of `lossless` that are told. */
export const DEPTHS = [1, 2, 4, 8] as const;

/** Ranks that are told apart, from 1. */
const RANKS = 16;

/** States of one forward pass. */
const STATES_AT_ONCE = 16;

/** How an answer is denoised. */
export interface AnswerOptions {
  readonly maskTokenId: number;
  readonly eosTokenId: number;
  /** Ids that end an answer; the run ends where the answer is decided. */
  readonly endTokens: readonly number[];
  readonly genLength: number;
  readonly blockLength: number;
  /** Denoising steps, a multiple of the number of blocks. */
  readonly steps: number;
}

/** A step of the target's answer. */
interface TargetStep {
  /** State before the step. */
  readonly sequence: Sequence;
  /** End of the step's block. */
  readonly blockEnd: number;
  /** What the target commits. */
  readonly commits: readonly Commit[];
}

/** Sums over rounds: a round drafts some tokens, and has one pass of the target. */
export interface RoundCount {
  readonly rounds: number;
  /** Tokens that the draft proposed. */
  readonly proposed: number;
  /** Those of them that the target accepted. */
  readonly accepted: number;
  /** Tokens that were committed, the target's own ones included. */
  readonly committed: number;
  /** Passes of the draft. */
  readonly draftPasses: number;
  /** States that the target saw; shadow rows count as their share of one. */
  readonly targetStates: number;
}

/** Counts of one answer, or of several. */
export interface DraftAcceptance {
  /** Steps of the target alone, and the tokens that they committed. */
  readonly steps: number;
  readonly tokens: number;
  /**
   * `[i - 1]`: over all states, how often the draft's token at the place of the target's i-th commit
   * from there is the target's.
   */
  readonly byRank: readonly { readonly states: number; readonly same: number }[];
  /** Rounds by way to use a draft; see {@linkcode draftAcceptance}. */
  readonly rounds: Readonly<Record<string, RoundCount>>;
}

/** One round that begins in a state of the target's answer. */
type Round = Omit<RoundCount, "rounds">;

/** A state of the target's answer, and the draft's predictions at all its masked positions. */
interface DraftedState extends TargetStep {
  readonly draft: ReadonlyMap<number, Prediction>;
}

/**
 * Denoises an answer with the target, asks the draft in every state of it, and counts what rounds of
 * each strategy accept.
 *
 * `order`: one pass of the draft predicts all tokens. Accepted are the leading ones in the order of
 * the target's commits from that state, and the target adds the next: the expected accepted length by
 * rank. `lossless k`: the draft makes up to k steps; accepted are the leading ones that equal the
 * target's steps, of which it adds the next. Both are read off the target's answer, since an accepted
 * step leads to its next state; the next round begins where one ended. `gate`, `commit_verify`
 * and `threshold`, which has no draft, commit in another order and so meet other states: they are run,
 * with their default options.
 */
export async function draftAcceptance(
  target: Predictor,
  draft: Predictor,
  prompt: ArrayLike<number>,
  options: AnswerOptions,
): Promise<DraftAcceptance> {
  const steps = await Array.fromAsync(targetSteps(target, prompt, options));
  const states = await draftStates(draft, steps);
  const order = states.flatMap(({ commits }) => commits);
  const agreed = states.map(sameStep);
  const rounds: Record<string, RoundCount> = {
    order: chain(states, (t) => orderRound(states, order, t)),
  };
  for (const depth of DEPTHS) {
    rounds[`lossless ${depth}`] = chain(states, (t) => losslessRound(states, agreed, t, depth));
  }
  for (const name of RUN) {
    rounds[name] = await strategyRounds(name, target, draft, prompt, options);
  }
  return { steps: states.length, tokens: order.length, byRank: byRank(states, order), rounds };
}

async function* targetSteps(
  target: Predictor,
  prompt: ArrayLike<number>,
  options: AnswerOptions,
): AsyncGenerator<TargetStep, void, void> {
  const { genLength, blockLength, maskTokenId } = options;
  let sequence = newSequence(prompt, genLength, maskTokenId);
  const run = denoise([sequence], target, denoiseOptions(options));
  for await (const { block, commits: [commits] } of run) {
    const blockEnd = prompt.length + (block + 1) * blockLength;
    // With more steps than tokens the last ones of a block commit nothing.
    if (commits.length > 0) yield { sequence, blockEnd, commits };
    sequence = applyCommits(sequence, commits);
  }
}

async function draftStates(
  draft: Predictor,
  steps: readonly TargetStep[],
): Promise<DraftedState[]> {
  const states: DraftedState[] = [];
  for (let first = 0; first < steps.length; first += STATES_AT_ONCE) {
    const some = steps.slice(first, first + STATES_AT_ONCE);
    const drafted = await draft.predict(some.map(({ sequence }) => ({
      ids: sequence.ids,
      positions: maskedPositions(sequence, sequence.ids.length),
      choice: GREEDY,
    })));
    some.forEach((step, i) =>
      states.push({ ...step, draft: new Map(drafted[i].map((one) => [one.position, one])) })
    );
  }
  return states;
}

/** Runs a strategy and counts its rounds. */
async function strategyRounds(
  name: StrategyName,
  target: Predictor,
  draft: Predictor,
  prompt: ArrayLike<number>,
  options: AnswerOptions,
): Promise<RoundCount> {
  const sequence = newSequence(prompt, options.genLength, options.maskTokenId);
  let shadowed = 0;
  const counted: Predictor = {
    predict(inputs) {
      for (const { ids, shadows } of inputs) shadowed += (shadows?.length ?? 0) / ids.length;
      return target.predict(inputs);
    },
    openCanvas: target.openCanvas && ((sequences) => target.openCanvas!(sequences)),
  };
  const run = strategyOf(name).run(sequence, { target: counted, draft }, denoiseOptions(options));
  let committed = 0;
  let next = await run.next();
  for (; !next.done; next = await run.next()) committed += next.value.commits[0].length;
  const { targetForwards, targetStates, draftForwards, proposed, accepted } = next.value;
  const sum = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);
  return {
    rounds: targetForwards,
    proposed: sum(proposed),
    accepted: sum(accepted),
    committed,
    draftPasses: draftForwards,
    targetStates: targetStates + shadowed,
  };
}

function denoiseOptions({ blockLength, steps, eosTokenId, endTokens }: AnswerOptions) {
  return { blockLength, steps, seeds: [0], eosToken: eosTokenId, endTokens, stopAtEnd: true };
}

/** Adds up rounds, each of which begins where the one before it ended. */
function chain(states: readonly DraftedState[], round: (t: number) => Round): RoundCount {
  let sum = NO_ROUNDS;
  for (let t = 0; t < states.length;) {
    const one = round(t);
    sum = addRounds(sum, { rounds: 1, ...one });
    let decided = 0;
    while (t < states.length && decided < one.committed) decided += states[t++].commits.length;
  }
  return sum;
}

const NO_ROUNDS: RoundCount = {
  rounds: 0,
  proposed: 0,
  accepted: 0,
  committed: 0,
  draftPasses: 0,
  targetStates: 0,
};

function addRounds(a: RoundCount, b: RoundCount): RoundCount {
  const sum: Record<string, number> = {};
  for (const key of Object.keys(NO_ROUNDS) as (keyof RoundCount)[]) sum[key] = a[key] + b[key];
  return sum as unknown as RoundCount;
}

/** Whether the draft's token at the place of a commit is the target's. */
function isSame({ draft }: DraftedState, { position, token }: Commit): boolean {
  return draft.get(position)?.token === token;
}

function orderRound(
  states: readonly DraftedState[],
  order: readonly Commit[],
  t: number,
): Round {
  const from = order.indexOf(states[t].commits[0]);
  let end = from;
  while (end < order.length && isSame(states[t], order[end])) end++;
  const accepted = end - from;
  const committed = accepted + (end < order.length ? 1 : 0);
  const proposed = order.length - from;
  return { proposed, accepted, committed, draftPasses: 1, targetStates: 1 };
}

/** Whether the draft's step in a state is the target's. */
function sameStep({ draft, blockEnd, commits }: DraftedState): boolean {
  const candidates = [...draft.values()].filter(({ position }) => position < blockEnd);
  const ranking = { remasking: BY_CONFIDENCE, seed: 0, step: 0 };
  const own = selectCommits(candidates, commits.length, ranking);
  return own.every(({ position, token }, i) =>
    position === commits[i].position && token === commits[i].token
  );
}

function losslessRound(
  states: readonly DraftedState[],
  agreed: readonly boolean[],
  t: number,
  depth: number,
): Round {
  // The last step needs no guess: the target makes it itself.
  const drafted = Math.min(depth, states.length - 1 - t);
  let kept = 0;
  while (kept < drafted && agreed[t + kept]) kept++;
  const tokens = (from: number, end: number) =>
    states.slice(from, end).reduce((sum, { commits }) => sum + commits.length, 0);
  return {
    proposed: tokens(t, t + drafted),
    accepted: tokens(t, t + kept),
    committed: tokens(t, t + kept + 1),
    draftPasses: drafted,
    targetStates: drafted + 1,
  };
}

function byRank(
  states: readonly DraftedState[],
  order: readonly Commit[],
): DraftAcceptance["byRank"] {
  const counts = Array.from({ length: RANKS }, () => ({ states: 0, same: 0 }));
  for (const state of states) {
    const from = order.indexOf(state.commits[0]);
    for (const [i, commit] of order.slice(from, from + RANKS).entries()) {
      counts[i].states++;
      if (isSame(state, commit)) counts[i].same++;
    }
  }
  return counts;
}

/** Adds up the counts of several answers. */
export function addAcceptances(all: readonly DraftAcceptance[]): DraftAcceptance {
  return all.reduce((a, b) => ({
    steps: a.steps + b.steps,
    tokens: a.tokens + b.tokens,
    byRank: a.byRank.map(({ states, same }, i) => ({
      states: states + b.byRank[i].states,
      same: same + b.byRank[i].same,
    })),
    rounds: Object.fromEntries(
      Object.entries(a.rounds).map(([name, count]) => [name, addRounds(count, b.rounds[name])]),
    ),
  }));
}
