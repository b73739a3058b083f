/**
 * Denoises an answer under a constraint: whatever the model predicts, the text is one of the
 * constraint's language.
 *
 * Blocks are denoised from left to right. The states behind everything before a block are known, so
 * `Window` knows which tokens each of its masks may become, and every commit goes through it. Since a
 * mask of a completable block always has such a token, nothing is ever tried twice or taken back.
 * This counts masks exactly, as Suresh et al. 2025 do with dynamic programming (DINGO, arXiv
 * 2505.23061), and also the room behind the block, so the text is complete where the room ends.
 */

import type { DenoiseStep } from "../denoise/denoise_step.ts";
import type { Commit } from "../denoise/prediction.ts";
import { logitChanges, type SamplingOptions } from "../denoise/sampling.ts";
import { withoutProposals } from "../denoise/strategies/proposal_run.ts";
import type { StrategyResult } from "../denoise/strategy.ts";
import { DEAD } from "../constraint/automaton.ts";
import type { TokenAutomaton } from "../constraint/token_automaton.ts";
import { Window } from "../constraint/window.ts";
import { Turns } from "../constraint/work.ts";
import { type RankedRow, type Ranking, TRIES } from "../model/ranked_pass.ts";
import { chooseAllowed, chooseOf, type StepChoice } from "./constrained_choice.ts";

/**
 * Looks at states that a block may take each time that one of its tokens is decided, some 0.1 s of the
 * thread that answers others: a block whose constraint has more is shorter.
 */
const MOST_LOOKS = 500_000;

/** The model, as far as constrained denoising uses it. */
export interface LogitSource {
  /** Logits at some positions of a sequence, `[positions, vocabulary]`. */
  logitsAt(asked: { ids: Uint32Array; positions: Uint32Array }): Promise<Float32Array>;
  /** The best tokens at some positions, and all logits of the first of them. */
  rankAt(
    asked: { ids: Uint32Array; positions: Uint32Array },
    choice: StepChoice,
    k: number,
  ): Promise<Ranking>;
}

/** How an answer is denoised. */
export interface ConstrainedOptions {
  readonly promptIds: Uint32Array;
  /** Positions that the model sees at first. */
  readonly canvas: number;
  /** Positions at most: the canvas grows by a block where the text goes on. */
  readonly most: number;
  readonly blockLength: number;
  /** Tokens that a step commits; or the least confidence of those that it commits. */
  readonly rule: { readonly count: number } | { readonly threshold: number };
  readonly temperature: number;
  readonly seed: number;
  readonly maskToken: number;
  /** The end token that fills what lies behind the end. */
  readonly endToken: number;
  /** Tokens that end an answer; penalties do not count them. */
  readonly ends: readonly number[];
  /** Penalties, biases, filters and reported scores. */
  readonly sampling?: SamplingOptions;
  /** Tokens of a text. */
  encode(text: string): number[];
  /** Whether to end before the next step, at a deadline. */
  finished?(): boolean;
  /** Told then of what completes the text as shortly as it can be: no commits of the model's. */
  onRest?(rest: readonly Commit[]): void;
  readonly signal?: AbortSignal;
}

/** Yields a step for each forward pass, and for commits that need none. */
export async function* constrainedSteps(
  model: LogitSource,
  automaton: TokenAutomaton,
  options: ConstrainedOptions,
): AsyncGenerator<DenoiseStep, StrategyResult, void> {
  const { promptIds, blockLength, most, signal } = options;
  const first = promptIds.length;
  const ids = new Uint32Array(first + most).fill(options.maskToken);
  ids.set(promptIds);
  let state = automaton.start;
  let canvas = Math.min(options.canvas, most);
  let [step, nfe] = [0, 0];
  const result = () => {
    const sequence = { ids, promptLength: first, maskToken: options.maskToken };
    return withoutProposals({ sequences: [sequence], nfe, readbacks: nfe });
  };
  for (let start = 0, block = 0; start < most && !automaton.isComplete(state); block++) {
    if (start >= canvas) canvas = Math.min(most, canvas + blockLength);
    const wanted = Math.min(blockLength, canvas - start);
    await automaton.explore(state, wanted, signal);
    const length = automaton.sight(state, wanted, MOST_LOOKS);
    const window = new Window(automaton, state, length, most - start - length);
    const commit = ({ position, token }: Commit) => {
      window.commit(position - first - start, token);
      ids[position] = token;
    };
    const made = (commits: readonly Commit[]): DenoiseStep => ({
      step: step++,
      block,
      nfe,
      grown: canvas,
      commits: [commits.toSorted((a, b) => a.position - b.position)],
    });
    while (true) {
      signal?.throwIfAborted();
      const free = await commitForced(automaton, window, first + start, options, commit);
      if (free.length > 0) yield made(free);
      const masked = window.masked;
      if (masked.length === 0) break;
      if (automaton.isComplete(only(window.statesAt(masked[0])))) break;
      if (options.finished?.()) {
        options.onRest?.(restOf(window, first + start));
        return result();
      }
      const positions = Uint32Array.from(masked, (i) => first + start + i);
      const seen = ids.slice(0, first + canvas);
      const choice = choiceOf(step, seen, options);
      const { rows, firstLogits } = await model.rankAt({ ids: seen, positions }, choice, TRIES);
      nfe++;
      let chosen = await chosenOf(window, rows, first + start, choice, options);
      if (chosen.length === 0) {
        // Everything before the first mask is decided, so that not many tokens need to be listed.
        const allowed = window.allowed(rows[0].position - first - start);
        chosen = [chooseOf(allowed, rows[0], firstLogits, choice)];
      }
      yield made(
        await commitEach(window, passing(chosen, options), first + start, options, commit),
      );
    }
    const [end = length] = window.masked;
    state = only(window.statesAt(end));
    start += length;
  }
  return result();
}

/** Log-probability of a token that no pass judged, as OpenAI's API writes a very unlikely one. */
const UNJUDGED = -9999;

/** What completes a text, from the masks of a block on. */
function restOf(window: Window, first: number): Commit[] {
  const { tokens, tail } = window.completion();
  const all = [
    ...window.masked.map((i) => [i, tokens[i]]),
    ...tail.map((token, i) => [tokens.length + i, token]),
  ];
  return all.map(([i, token]) => ({
    position: first + i,
    token,
    confidence: 0,
    logProbability: UNJUDGED,
  }));
}

/** How a step's tokens are chosen at a state. */
function choiceOf(step: number, ids: Uint32Array, options: ConstrainedOptions): StepChoice {
  const { temperature, seed, sampling, promptIds, maskToken, ends } = options;
  if (!sampling) return { temperature, seed, step };
  const sequence = { ids, promptLength: promptIds.length, maskToken };
  const changes = logitChanges(sequence, sampling, ends);
  return { temperature, seed, step, sampling: { ...sampling, changes } };
}

/** The state where everything before is decided. */
function only(states: ReadonlySet<number>): number {
  const [state] = states;
  return state;
}

/** A commit that the constraint alone decides. */
function certain(position: number, token: number): Commit {
  return { position, token, confidence: 1, logProbability: 0 };
}

/** Commits what needs no model: forced text at the front, and masks with one token left. */
async function commitForced(
  automaton: TokenAutomaton,
  window: Window,
  first: number,
  { encode, endToken, signal }: ConstrainedOptions,
  commit: (commit: Commit) => void,
): Promise<Commit[]> {
  const turns = new Turns();
  const ends = new Set(automaton.ends);
  const made: Commit[] = [];
  const take = (position: number, token: number) => {
    const taken = certain(first + position, token);
    commit(taken);
    made.push(taken);
  };
  for (let before = -1; before < made.length;) {
    before = made.length;
    const [front] = window.masked;
    if (front === undefined) break;
    for (
      const [i, token] of forcedTokens(automaton, only(window.statesAt(front)), encode).entries()
    ) {
      const position = front + i;
      if (!window.masked.includes(position) || !window.allows(position, token)) break;
      take(position, token);
      if (turns.isOver) await turns.give(signal);
    }
    for (const position of window.masked) {
      if (turns.isOver) await turns.give(signal);
      const allowed = window.allowed(position, ends.size + 1);
      if (allowed.length === 1) take(position, allowed[0]);
      else if (allowed.every((token) => ends.has(token)) && allowed.includes(endToken)) {
        take(position, endToken);
      }
    }
  }
  return made;
}

/**
 * Tokens of the text that must follow a state, as the tokenizer cuts it. The last one is left to the
 * model, unless the text ends with it: another token may begin with its bytes and go on.
 */
function forcedTokens(
  automaton: TokenAutomaton,
  state: number,
  encode: (text: string) => number[],
): number[] {
  const bytes = automaton.forced(state);
  if (bytes.length === 0) return [];
  // Half a character at the end is left out.
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes, { stream: true });
  const tokens: number[] = [];
  let at = state;
  for (const token of encode(text)) {
    at = automaton.step(at, token);
    // A tokenizer that normalizes may spell the text otherwise.
    if (at === DEAD) return tokens;
    tokens.push(token);
  }
  return automaton.isComplete(at) ? tokens : tokens.slice(0, -1);
}

/** The best allowed token of each row that has one, the most confident first. */
async function chosenOf(
  window: Window,
  rows: readonly RankedRow[],
  first: number,
  choice: StepChoice,
  { signal }: ConstrainedOptions,
): Promise<Commit[]> {
  const turns = new Turns();
  const chosen: Commit[] = [];
  for (const row of rows) {
    const allows = (token: number) => window.allows(row.position - first, token);
    const candidate = chooseAllowed(row, allows, choice);
    if (candidate) chosen.push(candidate);
    if (turns.isOver) await turns.give(signal);
  }
  return chosen.sort((a, b) => b.logProbability - a.logProbability || a.position - b.position);
}

/** Of the chosen tokens, the most confident first, those that a step may commit. */
function passing(chosen: readonly Commit[], { rule }: ConstrainedOptions): readonly Commit[] {
  return "count" in rule
    ? chosen.slice(0, rule.count)
    : chosen.filter(({ confidence }, i) => i === 0 || confidence >= rule.threshold);
}

/** Commits the chosen tokens, each if it is still allowed behind the others. */
async function commitEach(
  window: Window,
  chosen: readonly Commit[],
  first: number,
  { signal }: ConstrainedOptions,
  commit: (commit: Commit) => void,
): Promise<Commit[]> {
  const turns = new Turns();
  const made: Commit[] = [];
  for (const candidate of chosen) {
    if (!window.allows(candidate.position - first, candidate.token)) continue;
    commit(candidate);
    made.push(candidate);
    if (turns.isOver) await turns.give(signal);
  }
  return made;
}

/** Probability that an answer begins like a text of the constraint, from one forward pass. */
export async function beginningProbability(
  model: LogitSource,
  automaton: TokenAutomaton,
  { promptIds, canvas, most, maskToken }: ConstrainedOptions,
): Promise<number> {
  const length = Math.min(canvas, most);
  const ids = new Uint32Array(promptIds.length + length).fill(maskToken);
  ids.set(promptIds);
  const positions = Uint32Array.of(promptIds.length);
  const logits = await model.logitsAt({ ids, positions });
  const first = new Window(automaton, automaton.start, 1, most - 1).allowed(0);
  let max = -Infinity;
  for (const logit of logits) max = Math.max(max, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  return first.reduce((share, token) => share + Math.exp(logits[token] - max), 0) / sum;
}
