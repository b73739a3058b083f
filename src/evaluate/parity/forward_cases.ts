/** Forward and batch cases of `unmask parity`. */

import { join } from "node:path";
import { GREEDY } from "../../denoise/predictor.ts";
import type { Model } from "../../model/model.ts";
import { SafetensorsFile } from "../../weights/safetensors.ts";
import {
  type ForwardFile,
  type ParityResult,
  readGolden,
  readGoldenTensor,
} from "./golden_files.ts";

/** Expected values of one sequence. */
interface Expected {
  readonly logits: Float32Array;
  readonly hidden: ForwardFile["cases"][number]["hidden"];
}

/** Differences of one sequence from the expected values. */
interface Differences {
  logits: number;
  confidence: number;
  hiddenMean: number;
  hiddenRms: number;
  wrongTokens: number;
  tokens: number;
}

const none = (): Differences => ({
  logits: 0,
  confidence: 0,
  hiddenMean: 0,
  hiddenRms: 0,
  wrongTokens: 0,
  tokens: 0,
});

/** Runs every case of forward/<name>.json. */
export async function* forwardCases(
  dir: string,
  name: string,
  model: Model,
): AsyncGenerator<ParityResult> {
  const golden = readGolden<ForwardFile>(dir, "forward", `${name}.json`)!;
  using tensors = new SafetensorsFile(join(dir, "forward", `${name}.safetensors`));
  for (const { name: caseName, ids, hidden } of golden.cases) {
    const logits = readGoldenTensor(tensors, `${caseName}.logits`);
    const found = none();
    const rows = await compareForward(model, ids, undefined, { logits, hidden }, found);
    const positions = Uint32Array.from(ids.keys());
    const [predictions] = await model.predict([
      { ids: Uint32Array.from(ids), positions, choice: GREEDY },
    ]);
    const argmax = readGoldenTensor(tensors, `${caseName}.argmax`);
    const confidence = readGoldenTensor(tensors, `${caseName}.confidence`);
    for (const [i, prediction] of predictions.entries()) {
      found.tokens++;
      if (prediction.token !== argmax[i] || largest(rows.logits, i, model) !== argmax[i]) {
        found.wrongTokens++;
      }
      found.confidence = Math.max(
        found.confidence,
        difference(prediction.confidence, confidence[i]),
      );
    }
    yield verdict(`forward/${name} ${caseName}`, found, golden.tolerance);
  }
  if (!golden.batch) return;
  for (const masked of [false, true]) {
    const found = await compareBatch(model, golden.batch, masked, tensors);
    const answer = masked ? "key_mask" : "mask_ignored";
    yield verdict(`forward/${name} batch ${answer}`, found, golden.tolerance);
  }
}

async function compareForward(
  model: Model,
  ids: readonly number[],
  attentionMask: Uint8Array | undefined,
  expected: Expected,
  found: Differences,
) {
  const result = await model.forward(Uint32Array.from(ids), { attentionMask });
  const columns = model.config.embeddingSize;
  for (const [row, position] of result.positions.entries()) {
    for (let column = 0; column < columns; column++) {
      found.logits = Math.max(
        found.logits,
        difference(
          result.logits[row * columns + column],
          expected.logits[position * columns + column],
        ),
      );
    }
  }
  for (const { name, mean, rms } of expected.hidden) {
    const states = result.hidden.get(name);
    if (!states) throw new Error(`hidden state ${name} is not known`);
    const sum = states.reduce((total, value) => total + value, 0);
    const squares = states.reduce((total, value) => total + value * value, 0);
    found.hiddenMean = Math.max(found.hiddenMean, difference(sum / states.length, mean));
    found.hiddenRms = Math.max(
      found.hiddenRms,
      difference(Math.sqrt(squares / states.length) / rms, 1),
    );
  }
  return result;
}

/**
 * Compares a padded batch: logits of each sequence, then tokens and confidences in one forward
 * pass.
 */
async function compareBatch(
  model: Model,
  batch: NonNullable<ForwardFile["batch"]>,
  masked: boolean,
  tensors: SafetensorsFile,
): Promise<Differences> {
  const found = none();
  const all = readGoldenTensor(tensors, `batch.logits_${masked ? "key_mask" : "mask_ignored"}`);
  const columns = model.config.embeddingSize;
  const length = batch.ids[0].length;
  const masks = batch.attention_mask.map((mask) => masked ? Uint8Array.from(mask) : undefined);
  const predictions = await model.predict(batch.ids.map((ids, i) => ({
    ids: Uint32Array.from(ids),
    attentionMask: masks[i],
    positions: Uint32Array.from(ids.keys()).filter((position) => masks[i]?.[position] !== 0),
    choice: GREEDY,
  })));
  for (const [i, ids] of batch.ids.entries()) {
    const logits = all.subarray(i * length * columns, (i + 1) * length * columns);
    await compareForward(model, ids, masks[i], { logits, hidden: [] }, found);
    for (const { position, token, confidence } of predictions[i]) {
      found.tokens++;
      const row = logits.subarray(position * columns, (position + 1) * columns);
      const best = row.indexOf(row.reduce((most, value) => Math.max(most, value), -Infinity));
      if (token !== best) found.wrongTokens++;
      const sum = row.reduce((total, value) => total + Math.exp(value - row[best]), 0);
      found.confidence = Math.max(found.confidence, difference(confidence, 1 / sum));
    }
  }
  return found;
}

/** Distance of two numbers; Infinity if one is NaN. */
function difference(found: number, expected: number): number {
  const distance = Math.abs(found - expected);
  return Number.isNaN(distance) ? Infinity : distance;
}

function largest(logits: Float32Array, row: number, model: Model): number {
  const { embeddingSize } = model.config;
  const values = logits.subarray(row * embeddingSize, (row + 1) * embeddingSize);
  return values.indexOf(values.reduce((most, value) => Math.max(most, value), -Infinity));
}

function verdict(
  name: string,
  found: Differences,
  tolerance: ForwardFile["tolerance"],
): ParityResult {
  const passed = found.wrongTokens === 0 && found.logits <= tolerance.logits_abs &&
    found.confidence <= tolerance.confidence_abs &&
    found.hiddenMean <= tolerance.hidden_mean_abs && found.hiddenRms <= tolerance.hidden_rms_rel;
  const near = (value: number) => value.toExponential(1);
  return {
    name,
    passed,
    detail: `logits ${near(found.logits)} (${near(tolerance.logits_abs)} allowed), confidence ` +
      `${near(found.confidence)}, hidden ${near(found.hiddenMean)} and ${near(found.hiddenRms)}, ` +
      `argmax ${found.tokens - found.wrongTokens} of ${found.tokens}`,
  };
}
