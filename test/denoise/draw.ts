/** Random answers to denoise, and a stream of steps gathered up. */

import fc from "fast-check";
import { CONFIDENCE_MEASURES } from "../../src/denoise/confidence.ts";
import type { DenoiseOptions, DenoiseStep } from "../../src/denoise/denoise_step.ts";
import { BY_CONFIDENCE, REMASKINGS } from "../../src/denoise/selection.ts";
import { newSequence } from "../../src/denoise/sequence.ts";
import { MASK, VOCABULARY } from "./toy_model.ts";

/** Ends an answer of the toy. */
export const END = 3;

/** More steps than any draw can need: an endless loop fails instead of hanging. */
const MOST_STEPS = 200;

/** Everything a generator of steps yields, and what it returns. */
export async function gather<R>(stream: AsyncGenerator<DenoiseStep, R, void>) {
  const steps: DenoiseStep[] = [];
  while (true) {
    const next = await stream.next();
    if (next.done) return { steps, result: next.value };
    steps.push(next.value);
    if (steps.length > MOST_STEPS) throw new Error(`more than ${MOST_STEPS} steps`);
  }
}

/** How positions are ranked: by each measure of confidence, and by whatever else there is. */
export const rankingArb = fc.constantFrom<Pick<DenoiseOptions, "remasking" | "confidence">>(
  ...CONFIDENCE_MEASURES.map((confidence) => ({ remasking: BY_CONFIDENCE, confidence })),
  ...REMASKINGS.filter((name) => name !== BY_CONFIDENCE).map((remasking) => ({ remasking })),
);

/** The ranking as far as a strategy takes it that compares confidences. */
export const comparable = <O extends Pick<DenoiseOptions, "remasking" | "confidence">>(
  options: O,
) => ({
  ...options,
  remasking: BY_CONFIDENCE,
  confidence: options.confidence === "entropy" ? "margin" as const : options.confidence,
});

/** One sequence, now and then with pads on the left or masks in its prompt, and options that fit. */
export const drawArb = fc.record({
  prompt: fc.array(fc.integer({ min: 0, max: VOCABULARY }), { maxLength: 6 }),
  pads: fc.constantFrom(0, 0, 2),
  blocks: fc.integer({ min: 1, max: 4 }),
  blockLength: fc.integer({ min: 1, max: 5 }),
  stepsPerBlock: fc.integer({ min: 1, max: 6 }),
  seed: fc.maxSafeNat(),
  ranking: rankingArb,
  temperature: fc.constantFrom(0, 0.7),
  cfgScale: fc.constantFrom(0, 0, 1.5),
  logitsEosInf: fc.boolean(),
  confidenceEosEotInf: fc.boolean(),
  stopAtEnd: fc.boolean(),
  stepsPerReadback: fc.integer({ min: 1, max: 5 }),
}).map(({ prompt, pads, blocks, blockLength, stepsPerBlock, seed, ranking, ...rest }) => {
  const shown = prompt.map((_, i) => i < pads ? 0 : 1);
  const mask = pads > 0 ? shown : undefined;
  const options: DenoiseOptions = {
    ...rest,
    ...ranking,
    blockLength,
    steps: blocks * stepsPerBlock,
    seeds: [seed],
    eosToken: END,
    eotToken: 4,
    endTokens: [END, 4],
  };
  return { sequence: newSequence(prompt, blocks * blockLength, MASK, mask), options };
});
