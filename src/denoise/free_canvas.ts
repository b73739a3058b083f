/**
 * A canvas whose length is the model's business: it begins small, is widened before the first step
 * while the model is not sure of ending within it, and goes on behind its end while the answer does.
 *
 * The method is that of DAEDAL (Li et al. 2025, arXiv 2508.00819), which asks the same question of
 * LLaDA: how probable are end tokens at the canvas's end, before anything is committed? It differs in
 * three ways. DAEDAL adds 8 masks a pass, so that 256 positions cost 25 passes; here the canvas doubles,
 * and they cost 2: the pass that is sure is the first step. DAEDAL sums the probability of end of text
 * where that is the likeliest token, and divides by 32; here it is the mean over the last positions,
 * whatever is likeliest there, and the end of a turn counts too (end_question.ts). DAEDAL later turns an unsure mask into 8 in the middle of a block, which moves
 * what stands behind it; here text never moves, and a canvas that is full without an end gets another
 * one behind it, as in dLLM-Var (arXiv 2510.24605), for which this model was not trained. CAL (arXiv
 * 2602.00476) searches the length of a hole between two texts, where no token tells the end; see
 * hole_length.ts.
 *
 * The sampler inside is any strategy; it sees what stands before its canvas as the prompt.
 */

import type { DenoiseStep } from "./denoise_step.ts";
import { askingForEnd, NarrowCanvas } from "./end_question.ts";
import {
  decidedUpToEnd,
  generationLength,
  maskedPositions,
  newSequence,
  type Sequence,
} from "./sequence.ts";
import { forwardSteps } from "./forward_steps.ts";
import { timedPredictor } from "./auto/timed_predictor.ts";
import { mergeTallies } from "./strategies/acceptance.ts";
import type { Models, Strategy, StrategyOptions, StrategyResult } from "./strategy_options.ts";

/** Positions of the first canvas, rounded up to whole blocks: DAEDAL's. */
export const FIRST_CANVAS = 64;
/**
 * Positions of the widest canvas. An answer that is longer goes on in another one. LLaDA repeats
 * itself on canvases above (its authors advise against blocks of 512).
 */
export const WIDEST_CANVAS = 512;

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
 * Denoises an answer of up to `most` positions behind a prompt. Steps, blocks and passes are counted
 * through all its canvases; the passes that widen them count too.
 * @param prompt a sequence without a generation
 * @throws as the strategy
 */
export async function* denoiseFreely(
  prompt: Sequence,
  strategy: Pick<Strategy, "run" | "needsDraft">,
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
    const taken = { steps, passes: total?.targetForwards ?? 0 };
    const opened = openCanvas(before, most - answered, strategy, models, options);
    const { result, passes } = yield* forwardSteps(opened, ({ step, length, passes }) => {
      steps = taken.steps + step.step + 1;
      const end = answered + length;
      const grown = end === shown ? undefined : { grown: end };
      shown = end;
      return {
        ...step,
        ...grown,
        step: steps - 1,
        block: answered / blockLength + step.block,
        nfe: taken.passes + passes + step.nfe,
      };
    });
    total = added(total, result, passes);
    const { sequence } = result;
    answered += generationLength(sequence);
    const isFull = maskedPositions(sequence, sequence.ids.length).length === 0;
    const isOver = options.finished?.() ||
      (options.stopAtEnd && decidedUpToEnd(sequence, endTokens));
    if (isOver || !isFull || answered >= most) break;
    before = { ...sequence, promptLength: sequence.ids.length, answerStart };
  }
  return { ...total, sequence: { ...total.sequence, promptLength: prompt.promptLength } };
}

/** A step on a canvas, the canvas's length, and the passes that widened it. */
interface CanvasRun {
  readonly step: DenoiseStep;
  readonly length: number;
  readonly passes: number;
}

/**
 * Runs a strategy on a canvas that is widened until the model is sure of ending in it. A pass in which
 * it is sure is the strategy's first step; a strategy with a draft, whose first pass comes after
 * guesses, gets passes of their own.
 * @returns the result, and the passes that are not in it
 */
async function* openCanvas(
  before: Sequence,
  room: number,
  strategy: Pick<Strategy, "run" | "needsDraft">,
  models: Models,
  options: FreeOptions,
): AsyncGenerator<
  CanvasRun,
  { readonly result: StrategyResult; readonly passes: number },
  void
> {
  const widest = Math.min(room, wholeBlocks(options.widest ?? WIDEST_CANVAS, options));
  let length = Math.min(widest, firstCanvas(options));
  let passes = 0;
  // What auto drafted before it knew that a canvas was too narrow is in no result.
  let drafted = 0;
  let unused = 0;
  const counted = models.draft && timedPredictor(models.draft, {
    predicted: () => drafted++,
    ran: (steps) => drafted += steps.length,
  });
  for (;;) {
    drafted = 0;
    options.signal?.throwIfAborted();
    const canvas = masked(before, length);
    const asking = length === widest ? undefined : askingForEnd(models.target, canvas, options);
    try {
      if (asking && strategy.needsDraft) await asking.ask();
      const asked = { target: asking ?? models.target, draft: counted };
      const run = strategy.run(canvas, asked, { ...options, steps: length });
      const result = yield* forwardSteps(
        run,
        (step): CanvasRun => ({ step, length, passes: passes + (asking?.passes ?? 0) }),
      );
      const draftForwards = result.draftForwards + unused;
      return { result: { ...result, draftForwards }, passes: passes + (asking?.passes ?? 0) };
    } catch (error) {
      if (!(error instanceof NarrowCanvas)) throw error;
      passes += error.passes;
      unused += drafted;
      length = Math.min(widest, 2 * length);
    }
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
