/**
 * A canvas whose length is the model's business: it begins small, is widened before the first step
 * while the model is not sure of ending within it, and goes on behind its end while the answer does.
 *
 * The method is that of DAEDAL (Li et al. 2025, arXiv 2508.00819), which asks the same question of
 * LLaDA: how probable are end tokens at the canvas's end, before anything is committed? It differs in
 * three ways. DAEDAL adds 8 masks a pass, so that 256 positions cost 25 passes; here the canvas doubles
 * and they cost 3. DAEDAL sums the probability of end of text where that is the likeliest token, and
 * divides by 32; here it is the mean over the last positions, whatever is likeliest there, and the end
 * of a turn counts too. DAEDAL later turns an unsure mask into 8 in the middle of a block, which moves
 * what stands behind it; here text never moves, and a canvas that is full without an end gets another
 * one behind it, as in dLLM-Var (arXiv 2510.24605), for which this model was not trained. CAL (arXiv
 * 2602.00476) searches the length of a hole between two texts, where no token tells the end; see
 * hole_length.ts.
 *
 * The sampler inside is any strategy; it sees what stands before its canvas as the prompt.
 */

import type { DenoiseStep } from "./denoise_step.ts";
import { GREEDY, type Predictor } from "./predictor.ts";
import {
  decidedUpToEnd,
  generationLength,
  maskedPositions,
  newSequence,
  type Sequence,
} from "./sequence.ts";
import { forwardSteps } from "./forward_steps.ts";
import { mergeTallies } from "./strategies/acceptance.ts";
import type { Models, Strategy, StrategyOptions, StrategyResult } from "./strategy_options.ts";

/** Positions of the first canvas, rounded up to whole blocks: DAEDAL's. */
export const FIRST_CANVAS = 64;
/**
 * Positions of the widest canvas. An answer that is longer goes on in another one. LLaDA repeats
 * itself on canvases above (its authors advise against blocks of 512).
 */
export const WIDEST_CANVAS = 512;
/** Least mean probability of an end at the canvas's end at which it is wide enough: DAEDAL's. */
export const SURE_OF_END = 0.5;
/** Positions at the canvas's end whose mean it is, or a quarter of a shorter canvas. */
const END_POSITIONS = 16;

/** Options of a free canvas; `steps` is one for each position of a canvas. */
export interface FreeOptions extends Omit<StrategyOptions, "steps"> {
  /** Most positions of the answer, a multiple of `blockLength`. */
  readonly most: number;
  /** Positions of the first canvas, rounded up to whole blocks; default {@linkcode FIRST_CANVAS}. */
  readonly first?: number;
  /** Most positions of a canvas, rounded up likewise; default {@linkcode WIDEST_CANVAS}. */
  readonly widest?: number;
}

/** Positions of the first canvas, before it is widened. */
export function firstCanvas(
  { most, blockLength, first = FIRST_CANVAS }: Pick<FreeOptions, "most" | "blockLength" | "first">,
): number {
  return Math.min(most, wholeBlocks(first, { blockLength }));
}

/**
 * How sure the model is of ending within a canvas: the mean probability of end tokens at its last
 * masked positions, in one forward pass. Of the probabilities only one a position is read back: that
 * of `eosToken`. Another end token counts where it is the likeliest.
 */
export async function sureOfEnd(
  sequence: Sequence,
  target: Predictor,
  { eosToken, endTokens }: Pick<StrategyOptions, "eosToken" | "endTokens">,
): Promise<number> {
  const { ids, promptLength, attentionMask } = sequence;
  const count = Math.max(1, Math.min(END_POSITIONS, (ids.length - promptLength) >> 2));
  const positions = maskedPositions(sequence, ids.length).slice(-count);
  const judged = new Uint32Array(positions.length).fill(eosToken);
  const [found] = await target.predict([{ ids, attentionMask, positions, judged, choice: GREEDY }]);
  const ends = found.map(({ token, confidence, judgedConfidence = 0 }) =>
    judgedConfidence + (token !== eosToken && endTokens.includes(token) ? confidence : 0)
  );
  return ends.reduce((sum, end) => sum + end, 0) / ends.length;
}

/**
 * Denoises an answer of up to `most` positions behind a prompt. Steps, blocks and passes are counted
 * through all its canvases; the passes that widen them count too.
 * @param prompt a sequence without a generation
 * @throws as the strategy
 */
export async function* denoiseFreely(
  prompt: Sequence,
  strategy: Pick<Strategy, "run">,
  models: Models,
  options: FreeOptions,
): AsyncGenerator<DenoiseStep, StrategyResult, void> {
  const { blockLength, most, endTokens } = options;
  const answerStart = prompt.answerStart ?? prompt.promptLength;
  let total: StrategyResult | undefined;
  let before = prompt;
  let answered = 0;
  let steps = 0;
  let shown = firstCanvas(options);
  for (;;) {
    const { canvas, passes } = await openCanvas(before, most - answered, models.target, options);
    const length = generationLength(canvas);
    const taken = { steps, passes: (total?.targetForwards ?? 0) + passes };
    const end = answered + length;
    const run = strategy.run(canvas, models, { ...options, steps: length });
    const result = yield* forwardSteps(run, (step): DenoiseStep => {
      steps = taken.steps + step.step + 1;
      const grown = end === shown ? undefined : { grown: end };
      shown = end;
      return {
        ...step,
        ...grown,
        step: steps - 1,
        block: answered / blockLength + step.block,
        nfe: taken.passes + step.nfe,
      };
    });
    total = added(total, result, passes);
    answered = end;
    const { sequence } = result;
    const isFull = maskedPositions(sequence, sequence.ids.length).length === 0;
    const isOver = options.finished?.() ||
      (options.stopAtEnd && decidedUpToEnd(sequence, endTokens));
    if (isOver || !isFull || answered >= most) break;
    before = { ...sequence, promptLength: sequence.ids.length, answerStart };
  }
  return { ...total, sequence: { ...total.sequence, promptLength: prompt.promptLength } };
}

/** Widens a canvas until the model is sure of ending in it. @returns it, and the passes spent */
async function openCanvas(
  before: Sequence,
  room: number,
  target: Predictor,
  options: FreeOptions,
): Promise<{ readonly canvas: Sequence; readonly passes: number }> {
  const widest = Math.min(room, wholeBlocks(options.widest ?? WIDEST_CANVAS, options));
  let length = Math.min(widest, firstCanvas(options));
  for (let passes = 0;; passes++) {
    const canvas = masked(before, length);
    if (length === widest) return { canvas, passes };
    options.signal?.throwIfAborted();
    if (await sureOfEnd(canvas, target, options) >= SURE_OF_END) {
      return { canvas, passes: passes + 1 };
    }
    length = Math.min(widest, 2 * length);
  }
}

/** The sequence with masks behind it. */
function masked(before: Sequence, length: number): Sequence {
  const { ids, maskToken, attentionMask, answerStart } = before;
  return { ...newSequence(ids, length, maskToken, attentionMask), answerStart };
}

function wholeBlocks(length: number, { blockLength }: Pick<FreeOptions, "blockLength">): number {
  return Math.ceil(length / blockLength) * blockLength;
}

/** Adds a canvas's cost to that of the canvases before it. */
function added(
  total: StrategyResult | undefined,
  result: StrategyResult,
  passes: number,
): StrategyResult {
  const choices = total?.choices || result.choices ? { ...total?.choices } : undefined;
  for (const [name, steps] of Object.entries(result.choices ?? {})) {
    choices![name] = (choices![name] ?? 0) + steps;
  }
  return {
    sequence: result.sequence,
    targetForwards: (total?.targetForwards ?? 0) + result.targetForwards + passes,
    targetStates: (total?.targetStates ?? 0) + result.targetStates + passes,
    draftForwards: (total?.draftForwards ?? 0) + result.draftForwards,
    proposed: [...total?.proposed ?? [], ...result.proposed],
    accepted: [...total?.accepted ?? [], ...result.accepted],
    acceptance: total ? mergeTallies(total.acceptance, result.acceptance) : result.acceptance,
    readbacks: (total?.readbacks ?? 0) + result.readbacks + passes,
    idleForwards: (total?.idleForwards ?? 0) + result.idleForwards,
    choices,
  };
}
