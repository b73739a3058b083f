/**
 * How many tokens a hole in a text has. Every length is a state of its own, so all that are tried go
 * through the model in one batch.
 *
 * CAL (Niu et al. 2026, arXiv 2602.00476) takes the length at which the hole's masks are surest on
 * average, divided by a bias that was fitted to a model, and climbs from 8, a pass a length. On the
 * embedded model that finds 21 of 40 lengths without the bias, and none with that of LLaDA-8B. What is
 * asked here too is how well the text beside the hole goes with it: the probability of each of its
 * nearest tokens if it alone were masked, which a shadow row gives (`ForwardInput.shadows`). A hole that
 * is too short or too long makes the text behind it improbable. That finds 37 of the 40, and needs no
 * bias. Where holes stand close together there is less text beside them, and it is right less often.
 * Filling the holes of the best few lengths, to compare what comes out, cost three times the passes
 * and found no more.
 */

import { type ForwardInput, GREEDY, NO_TOKEN, type Predictor } from "./predictor.ts";
import type { Sequence } from "./sequence.ts";

/** Decided tokens on each side of a hole that are judged: none before the answer. */
const BEFORE = 1;
const BEHIND = 3;

/** A canvas with a hole of one of the lengths that are tried. */
export interface HoleState {
  readonly sequence: Sequence;
  /** First position of the hole, absolute. */
  readonly first: number;
  readonly length: number;
}

/** Lengths to try first, up to the most: the short ones, and further ones a third apart. */
export function lengthsToTry(most: number): number[] {
  const lengths: number[] = [];
  for (let length = 1; length < most; length += Math.max(1, Math.floor(length / 3))) {
    lengths.push(length);
  }
  return [...lengths, most];
}

/**
 * The surest of some states: the one with the highest sum of log-probabilities of the hole's likeliest
 * tokens and of the tokens beside it, less {@linkcode PER_TOKEN} a token.
 * @returns its index, the first of several
 */
export async function surestState(
  states: readonly HoleState[],
  target: Predictor,
): Promise<number> {
  const inputs = states.map(questionOf);
  const answers = await target.predict(inputs);
  const scores = answers.map((predictions, i) => {
    const sum = predictions.reduce(
      (sum, { logProbability, judgedConfidence }, place) =>
        sum +
        (inputs[i].judged![place] === NO_TOKEN
          ? logProbability
          : Math.max(LOWEST, Math.log(judgedConfidence ?? 0))),
      0,
    );
    return sum - PER_TOKEN * states[i].length;
  });
  return scores.indexOf(Math.max(...scores));
}

/**
 * What each token of a hole costs, so that of lengths that are nearly as sure the shortest is taken:
 * masks that are too many say again what stands beside them, and are sure of it.
 */
const PER_TOKEN = 0.2;

/** A token that cannot stand there counts as this, so that one does not decide all. */
const LOWEST = -20;

function questionOf({ sequence, first, length }: HoleState): ForwardInput {
  const { ids, attentionMask, promptLength, maskToken } = sequence;
  const end = first + length;
  const beside = [
    ...range(Math.max(promptLength, first - BEFORE), first),
    ...range(end, Math.min(ids.length, end + BEHIND)),
  ].filter((position) => ids[position] !== maskToken);
  const positions = Uint32Array.from([...beside, ...range(first, end)]).sort();
  return {
    ids,
    attentionMask,
    positions,
    judged: positions.map((position) =>
      position >= first && position < end ? NO_TOKEN : ids[position]
    ),
    shadows: Uint32Array.from(beside),
    choice: GREEDY,
  };
}

function range(first: number, end: number): number[] {
  return Array.from({ length: Math.max(0, end - first) }, (_, i) => first + i);
}
