/** A model of a few lines whose answer at a position depends on every visible token. */

import { assert, assertEquals } from "@std/assert";
import type {
  Canvas,
  CanvasSequence,
  CanvasStep,
  Commit,
  ForwardInput,
  Prediction,
  Predictor,
} from "../../src/denoise/predictor.ts";
import { hash, predictRow, uniform } from "../../src/denoise/noise.ts";
import { selectCommits } from "../../src/denoise/selection.ts";
import { firstVisible } from "../../src/denoise/sequence.ts";
import type { RankChoice } from "../../src/model/ranked_pass.ts";
import { rankRow } from "../reference/ranking.ts";

/** Tokens 0 to 9; the mask comes behind them and is never chosen. */
export const VOCABULARY = 10;
/** The toy's mask. */
export const MASK = VOCABULARY;

/** What sort of toy. */
export interface ToyOptions {
  /** Share of rows at which it answers otherwise than the plain toy: a draft. */
  readonly disagreement?: number;
  /** Tells drafts of the same disagreement apart. */
  readonly salt?: number;
  /** Stretches the logits: confidences further apart, and higher. Default 1. */
  readonly sharpness?: number;
  /** It may choose the mask. */
  readonly choosesMask?: boolean;
}

/** Counts what is asked of it. */
export class ToyModel implements Predictor {
  /** Batch size of every call of `predict`. */
  readonly batches: number[] = [];
  readonly #options: ToyOptions;

  constructor(options: ToyOptions = {}) {
    this.#options = options;
  }

  predict(inputs: readonly ForwardInput[]): Promise<Prediction[][]> {
    this.batches.push(inputs.length);
    return Promise.resolve(inputs.map((input) => this.answer(input)));
  }

  /** The predictions for one input, uncounted. */
  answer(input: ForwardInput): Prediction[] {
    return predictToy(input, this.#options);
  }

  /** All logits at some positions, `[positions, VOCABULARY]`. */
  logitsAt({ ids, positions }: Pick<ForwardInput, "ids" | "positions">): Promise<Float32Array> {
    const rows = Array.from(positions, (position) => this.#rowAt(ids, position));
    return Promise.resolve(Float32Array.from(rows.flatMap((row) => [...row])));
  }

  /** The best tokens at some positions. */
  rankAt(
    { ids, positions }: Pick<ForwardInput, "ids" | "positions">,
    choice: RankChoice,
    k: number,
  ) {
    const rows = Array.from(positions, (position) => this.#rowAt(ids, position));
    return Promise.resolve({
      rows: rows.map((row, i) => rankRow(row, positions[i], choice, k)),
      firstLogits: rows[0],
    });
  }

  #rowAt(ids: Uint32Array, position: number): Float32Array {
    return Float32Array.from(logitsAt(ids, position, undefined, this.#options));
  }
}

/**
 * The toy with a canvas, written from the canvas's contract: ids changed in place, row by row. Of
 * what it keeps, positions outside a part are answered as they were at the refresh.
 */
export class ToyCanvasModel extends ToyModel {
  /** Steps of every `run`. */
  readonly runs: number[] = [];
  /** Every step run. */
  readonly steps: CanvasStep[] = [];
  /** How many canvases were opened, and destroyed. */
  opened = 0;
  destroyed = 0;

  openCanvas(sequences: readonly CanvasSequence[]): Promise<Canvas> {
    return Promise.resolve(this.canvas(sequences));
  }

  /** The canvas, at once. */
  canvas(sequences: readonly CanvasSequence[]): Canvas {
    this.opened++;
    const rows = sequences.map((sequence) => ({
      sequence,
      ids: sequence.ids.slice(),
      unconditional: sequence.guidance?.unconditionalIds.slice(),
    }));
    /** Of the sequence, and of its unconditional twin: each sees only what it kept itself. */
    const kept = { sequence: new ToyKeys(), twin: new ToyKeys() };
    /** What a pass over some ids, and over those of their twin, sees. */
    const seen = (
      ids: Uint32Array,
      guidance: ForwardInput["guidance"],
      cache: CanvasStep["cache"],
    ): Pick<ForwardInput, "ids" | "guidance"> => {
      if (cache === undefined) return { ids, guidance };
      if (rows.length > 1) throw new RangeError("keys and values are kept for one sequence");
      return {
        ids: kept.sequence.seen(ids, cache),
        guidance: guidance && {
          ...guidance,
          unconditionalIds: kept.twin.seen(guidance.unconditionalIds, cache),
        },
      };
    };
    const predict: Canvas["predict"] = (asked, cache) => {
      this.batches.push(asked.length);
      if (cache === "refresh") assertEquals(asked.length, 1);
      const [{ sequence }] = rows;
      return Promise.resolve(asked.map(({ ids, positions, guidance, choice }) => {
        assertEquals(guidance?.scale, sequence.guidance?.scale);
        const { first, end } = cache === "refresh" ? { first: 0, end: ids.length } : cache;
        assert(positions.every((position) => position >= first && position < end));
        const attentionMask = sequence.attentionMask?.subarray(0, ids.length);
        return this.answer({ ...seen(ids, guidance, cache), attentionMask, positions, choice });
      }));
    };
    const run = (steps: readonly CanvasStep[]) => {
      this.runs.push(steps.length);
      this.steps.push(...steps);
      return Promise.resolve(
        steps.map((step) =>
          rows.map(({ sequence, ids, unconditional }, row): Commit[] => {
            const { promptLength, maskToken, endTokens, attentionMask, guidance } = sequence;
            const answer = Array.from(ids.subarray(promptLength));
            const end = answer.findIndex((token) => endTokens.includes(token));
            const mask = answer.indexOf(maskToken);
            if (step.stopAtEnd && end >= 0 && (mask < 0 || mask > end)) return [];
            const shown = ids.subarray(0, step.horizon);
            const positions = [...shown.keys()].filter((i) =>
              i >= (step.blockStart ?? 0) && i < step.blockEnd && ids[i] === maskToken &&
              attentionMask?.[i] !== 0
            );
            const predictions = this.answer({
              ...seen(
                shown,
                guidance && {
                  scale: guidance.scale,
                  unconditionalIds: unconditional!.subarray(0, step.horizon),
                },
                step.cache,
              ),
              attentionMask: attentionMask?.subarray(0, step.horizon),
              positions: Uint32Array.from(positions),
              choice: step.choices[row],
            });
            const { seed, step: index } = step.choices[row];
            const origin = firstVisible(attentionMask);
            const ranking = { remasking: step.remasking, seed, step: index, origin };
            const commits = selectCommits(predictions, step.commits, ranking, step.rule);
            for (const { position, token } of commits) {
              ids[position] = token;
              if (unconditional) unconditional[position] = token;
            }
            return commits;
          })
        ),
      );
    };
    const setIds = (sequence: number, ids: Uint32Array, unconditional?: Uint32Array) => {
      rows[sequence].ids.set(ids);
      if (unconditional) rows[sequence].unconditional!.set(unconditional);
    };
    const hasTwin = () => true;
    const destroy = () => void this.destroyed++;
    return { hasTwin, run, predict, setIds, destroy };
  }
}

/** Keys and values of one sequence, for which its ids at the last refresh stand. */
export class ToyKeys {
  #ids: Uint32Array | undefined;

  /** What a pass over `ids` sees, of which a refresh keeps a copy. */
  seen(ids: Uint32Array, cache: NonNullable<CanvasStep["cache"]>): Uint32Array {
    if (cache === "refresh") return this.#ids = ids.slice();
    const kept = this.#ids;
    if (!kept) throw new RangeError("nothing is kept yet");
    if (ids.every((id, i) => id === kept[i])) return ids;
    // Elsewhere each position has been seen in the light of what was there at the refresh.
    const light = kept.reduce((state, id, i) => hash(state, i, id, 0), 1);
    const { first, end } = cache;
    return ids.map((id, i) => i >= first && i < end ? id : hash(light, i, id, 0));
  }
}

function predictToy(input: ForwardInput, options: ToyOptions): Prediction[] {
  const { ids, attentionMask, positions, shadows, guidance, choice, judged } = input;
  return Array.from(positions, (position, i) => {
    const seen = (ids: Uint32Array) => shadows?.includes(position) ? ids.with(position, MASK) : ids;
    const logits = logitsAt(seen(ids), position, attentionMask, options);
    if (guidance) {
      const uncond = logitsAt(seen(guidance.unconditionalIds), position, attentionMask, options);
      for (let i = 0; i < logits.length; i++) {
        logits[i] = uncond[i] + (guidance.scale + 1) * (logits[i] - uncond[i]);
      }
    }
    const shown = position - firstVisible(attentionMask);
    return { ...predictRow(logits, shown, choice, judged?.[i]), position };
  });
}

/** Small whole numbers, so that tokens and positions tie often. */
function logitsAt(
  ids: Uint32Array,
  position: number,
  attentionMask: Uint8Array | undefined,
  { disagreement = 0, salt = 0, sharpness = 1, choosesMask = false }: ToyOptions,
): Float64Array {
  let state = 1;
  ids.forEach((id, i) => {
    if (attentionMask?.[i] !== 0) state = hash(state, i, id, 0);
  });
  if (uniform(hash(state, 2, position, salt)) < disagreement) {
    state = hash(state, 3, position, salt);
  }
  return Float64Array.from(
    { length: choosesMask ? VOCABULARY + 1 : VOCABULARY },
    (_, token) => sharpness * Math.floor(6 * uniform(hash(state, 1, position, token))),
  );
}
