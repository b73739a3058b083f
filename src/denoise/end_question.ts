/**
 * How sure a model is of ending within a canvas, asked in a strategy's own first forward pass: the
 * positions at the canvas's end are predicted beside those that the step needs, so a canvas that is
 * wide enough costs no pass of its own.
 */

import { chargesOf } from "./auto/timed_predictor.ts";
import { type ForwardInput, GREEDY, type Prediction, type Predictor } from "./predictor.ts";
import { generationLength, maskedPositions, type Sequence } from "./sequence.ts";
import type { StrategyOptions } from "./strategy_options.ts";

/** Least mean probability of an end at the canvas's end at which it is wide enough: DAEDAL's. */
export const SURE_OF_END = 0.5;
/** Positions at the canvas's end whose mean it is, or a quarter of a shorter canvas. */
const END_POSITIONS = 16;

/** The end tokens that count. */
type Ends = Pick<StrategyOptions, "eosToken" | "endTokens">;

/** Thrown out of a strategy's first pass: the model is not sure of ending within the canvas. */
export class NarrowCanvas extends Error {
  /** @param passes forward passes that were spent to know it */
  constructor(readonly passes: number) {
    super("the model is not sure of ending within the canvas");
    this.name = "NarrowCanvas";
  }
}

/**
 * How sure the model is of ending within a canvas: the mean probability of end tokens at its last
 * masked positions, in one forward pass. Of the probabilities only one a position is read back: that
 * of `eosToken`. Another end token counts where it is the likeliest.
 */
export async function sureOfEnd(
  sequence: Sequence,
  target: Predictor,
  ends: Ends,
): Promise<number> {
  const { ids, attentionMask } = sequence;
  const positions = endPositions(sequence);
  const judged = new Uint32Array(positions.length).fill(ends.eosToken);
  const [found] = await target.predict([{ ids, attentionMask, positions, judged, choice: GREEDY }]);
  return meanEnd(found, ends);
}

/** A predictor whose first pass over a canvas also asks whether it is wide enough. */
export interface AskingPredictor extends Predictor {
  /** Passes that were spent on the question alone, so that who asked does not count them. */
  readonly passes: number;
  /** Asks now, in a pass of its own. @throws {NarrowCanvas} */
  ask(): Promise<void>;
}

/**
 * Wraps the predictor of a strategy that runs on a canvas without commits. Its first pass throws
 * {@linkcode NarrowCanvas} if the canvas is too narrow; all later ones are the predictor's own. The
 * question takes a pass of its own where the strategy's would answer another one: where it guides,
 * bans tokens, samples from changed logits, or leaves out the canvas's end.
 */
export function askingForEnd(target: Predictor, canvas: Sequence, ends: Ends): AskingPredictor {
  let passes = 0;
  let isKnown = false;
  const decide = (sure: number) => {
    isKnown = true;
    if (sure < SURE_OF_END) throw new NarrowCanvas(Math.max(1, passes));
  };
  const askAlone = async () => {
    passes++;
    decide(await sureOfEnd(canvas, target, ends));
  };
  /** Runs a pass by `run`, with the question if it is the first. */
  const ask = async <Input extends Asked>(
    inputs: readonly Input[],
    run: (inputs: readonly Input[]) => Promise<Prediction[][]>,
  ): Promise<Prediction[][]> => {
    if (isKnown || inputs.length === 0) return await run(inputs);
    const [first, ...others] = inputs;
    if (!answersToo(first, canvas)) {
      await askAlone();
      return await run(inputs);
    }
    const last = endPositions(canvas);
    const positions = Uint32Array.from(new Set([...first.positions, ...last])).sort();
    const judged = new Uint32Array(positions.length).fill(ends.eosToken);
    const [found, ...rest] = await run([{ ...first, positions, judged }, ...others]);
    decide(meanEnd(found.filter(({ position }) => last.includes(position)), ends));
    const own = found.filter(({ position }) => first.positions.includes(position));
    return [own.map(({ judgedConfidence: _, ...prediction }) => prediction), ...rest];
  };
  return {
    get passes() {
      return passes;
    },
    ...chargesOf(target),
    ask: askAlone,
    predict: (inputs) => ask(inputs, (all) => target.predict(all)),
    openCanvas: target.openCanvas && (async (sequences) => {
      const opened = await target.openCanvas!(sequences);
      return {
        // The first step is read back, as its predictions answer the question.
        hasTwin: (step) => isKnown && opened.hasTwin(step),
        run: (steps, signal) => opened.run(steps, signal),
        predict: (inputs, cache) => ask(inputs, (all) => opened.predict(all, cache)),
        setIds: (sequence, ids, unconditional) => opened.setIds(sequence, ids, unconditional),
        destroy: () => opened.destroy(),
      };
    }),
  };
}

/** What of an input the question looks at, or adds to. */
type Asked =
  & Pick<ForwardInput, "ids" | "positions" | "choice">
  & Partial<Pick<ForwardInput, "judged" | "shadows" | "guidance">>;

/** Whether a pass over this input tells how probable ends are at the end of the canvas. */
function answersToo(
  { ids, judged, shadows, guidance, choice }: Asked,
  canvas: Sequence,
): boolean {
  if (judged || shadows || guidance || choice.sampling) return false;
  if (choice.bannedTokens.length > 0 || choice.unconfidentTokens.length > 0) return false;
  return ids.length === canvas.ids.length && ids.every((id, i) => id === canvas.ids[i]);
}

/** Positions at which an end is asked for: the last masks of a canvas. */
function endPositions(canvas: Sequence): Uint32Array {
  const count = Math.max(1, Math.min(END_POSITIONS, generationLength(canvas) >> 2));
  return maskedPositions(canvas, canvas.ids.length).slice(-count);
}

/** The mean probability of an end token, of predictions that judge `eosToken`. */
function meanEnd(found: readonly Prediction[], { eosToken, endTokens }: Ends): number {
  const ends = found.map(({ token, confidence, judgedConfidence = 0 }) =>
    judgedConfidence + (token !== eosToken && endTokens.includes(token) ? confidence : 0)
  );
  return ends.reduce((sum, end) => sum + end, 0) / ends.length;
}
