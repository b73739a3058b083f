/** A model in training as something that predicts, for evaluations. */

import type { ForwardInput, Prediction, Predictor } from "../../denoise/predictor.ts";
import { type LogitSource, predictions } from "../pass/logit_source.ts";
import type { TrainingSpace } from "../pass/training_space.ts";
import type { TrainingBatch } from "../training_batch.ts";

/** Lays sequences end to end; every asked position is a row whose prediction is read. */
function batchOf(inputs: readonly ForwardInput[]): TrainingBatch {
  const rows = inputs.reduce((sum, { ids }) => sum + ids.length, 0);
  const asked = inputs.reduce((sum, { positions }) => sum + positions.length, 0);
  const batch = {
    ids: new Uint32Array(rows),
    positions: new Uint32Array(rows),
    ranges: new Uint32Array(4 * inputs.length),
    rows: new Uint32Array(asked),
    targets: new Uint32Array(asked),
    weights: new Float32Array(asked),
  };
  let start = 0;
  let next = 0;
  for (const [i, { ids, positions }] of inputs.entries()) {
    batch.ids.set(ids, start);
    for (let position = 0; position < ids.length; position++) {
      batch.positions[start + position] = position;
    }
    batch.ranges.set([start, ids.length, start, ids.length], 4 * i);
    for (const position of positions) batch.rows[next++] = start + position;
    start += ids.length;
  }
  return batch;
}

/** Divides sequences, in order, so that each part has at most `rows` rows, or one sequence. */
function partsOf(inputs: readonly ForwardInput[], rows: number): ForwardInput[][] {
  const parts: ForwardInput[][] = [];
  let filled = Infinity;
  for (const input of inputs) {
    const { length } = input.ids;
    if (filled + length > rows) {
      parts.push([]);
      filled = 0;
    }
    parts.at(-1)!.push(input);
    filled += length;
  }
  return parts;
}

/**
 * Predicts greedily with weights as they are when it is asked.
 * @param rows most rows of a pass
 */
export function studentOf(space: TrainingSpace, source: LogitSource, rows: number): Predictor {
  return {
    async predict(inputs) {
      const results: Prediction[][] = [];
      for (const part of partsOf(inputs, rows)) {
        const { tokens, confidences } = await predictions(space, source, batchOf(part));
        let next = 0;
        for (const { positions } of part) {
          results.push(Array.from(positions, (position) => {
            const at = next++;
            return predictionOf(position, tokens[at], confidences[at]);
          }));
        }
      }
      return results;
    },
  };
}

function predictionOf(position: number, token: number, confidence: number): Prediction {
  const odds = (1 - confidence) / confidence;
  return {
    position,
    token,
    confidence,
    oddsAgainst: odds,
    uncertainty: odds,
    logProbability: Math.log(confidence),
    logSumExp: NaN,
  };
}
