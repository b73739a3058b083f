/** Scratch memory of a run, and the most that the runs of any requests take of it. */

import type { Readback } from "../../gpu/readback.ts";
import type { Scratch } from "../../gpu/scratch.ts";
import { mostWords, type Tensor } from "../../gpu/tensor.ts";
import { mostChunkWords, takeChunks } from "../../kernels/attention.ts";
import { LOG_ENTRY_WORDS } from "../../kernels/commit.ts";
import { takeSums } from "../../kernels/matmul.ts";
import { PLACE_WORDS } from "../../kernels/place.ts";
import { PREDICTION_WORDS } from "../../kernels/predict.ts";
import { ASKED_WORDS, STEP_PLAN_WORDS } from "../../kernels/step_plan.ts";
import { paddedInner } from "../../quant/scheme.ts";
import { headShape } from "../forward_pass.ts";
import { mostLinearSums } from "../linear.ts";
import type { PredictionContext } from "../prediction_pass.ts";
import { resultWords } from "../results.ts";
import type { KeyValuePool } from "./key_value_pool.ts";
import { inParts, type Regions, roomFor } from "./regions.ts";
import { MOST_PASSES, MOST_SCALES, MOST_SEQUENCES, type RunLimits } from "./run_limits.ts";

/** What a run uses. */
export interface RunSpace {
  readonly context: PredictionContext;
  readonly readback: Readback;
  readonly pool: KeyValuePool;
  readonly regions: Regions;
}

/** Elements that a tensor of a run has at least, so that it seldom grows. */
const LEAST_ROOM = 64;

/** Tokens of all sequences. */
export function runIds(scratch: Scratch, ids: number): Tensor {
  return scratch.get("run ids", roomFor(ids, LEAST_ROOM));
}

/** `[sequences]` that steps run */
export function finishedOf(scratch: Scratch, sequences: number): Tensor {
  return scratch.get("finished", roomFor(sequences, LEAST_ROOM));
}

/** What steps commit. */
export function commitLog(scratch: Scratch, entries: number): Tensor {
  return scratch.get("commit log", LOG_ENTRY_WORDS * roomFor(entries, LEAST_ROOM));
}

/** `[sequences]` that a call of the head commits to */
export function countsOf(scratch: Scratch, sequences: number): Tensor {
  return scratch.get("counts", roomFor(sequences, LEAST_ROOM));
}

/** What one call of the head is asked. */
export function askedOf(
  scratch: Scratch,
  scaleNumber: number,
  entries: number,
): { readonly asked: Tensor; readonly rows: Tensor } {
  return {
    asked: scratch.get(`asked ${scaleNumber}`, ASKED_WORDS * entries),
    // Room for a pair each, so that a scale may be any guidance or none.
    rows: scratch.get(`asked rows ${scaleNumber}`, 2 * entries),
  };
}

/** The most words of sums of a layer's products; few rows may take more than many. */
function mostSums({ gpu, weights, config }: PredictionContext, rows: number): number {
  const known = new Map<string, number>();
  const stride = paddedInner(config.hiddenSize);
  for (const matrix of weights.layers.flatMap(({ attentionOut, down }) => [attentionOut, down])) {
    const { blocks, columns, tiles } = matrix;
    const key = JSON.stringify([blocks, columns, tiles]);
    if (!known.has(key)) known.set(key, mostLinearSums(gpu, matrix, stride, rows));
  }
  return Math.max(0, ...known.values());
}

/**
 * Takes the scratch memory that runs within these limits take for lists, questions and results, whatever
 * their requests. What depends on the rows of a pass, or on what is asked of one, those passes take.
 * @param isDraft whether no request asks for rankings or logits
 */
export async function takeRunMemory(
  { context, readback, pool, regions }: RunSpace,
  { rows, entries, listed }: RunLimits,
  isDraft: boolean,
): Promise<void> {
  const { gpu, recorder, scratch, config } = context;
  runIds(scratch, listed);
  finishedOf(scratch, MOST_SEQUENCES);
  // Each sequence has an entry of its own before its commits.
  const log = commitLog(scratch, MOST_PASSES * (MOST_SEQUENCES + entries));
  countsOf(scratch, MOST_SEQUENCES);
  for (let scale = 0; scale < MOST_SCALES; scale++) askedOf(scratch, scale, entries);
  scratch.get("predictions", PREDICTION_WORDS * entries);
  const ranges = new Uint32Array(4 * MOST_SEQUENCES);
  const parts = 1 + 2 * MOST_PASSES;
  const words = {
    lists: listed + 3 * rows * MOST_PASSES,
    "shadow keys": 2 * rows,
    ranges: inParts(Array.from({ length: parts }, () => ranges)).words.length,
    plans: STEP_PLAN_WORDS * MOST_SEQUENCES * MOST_PASSES,
    places: PLACE_WORDS * MOST_SEQUENCES * MOST_PASSES,
  };
  // Where no buffer holds so much, such runs fail, and smaller ones do not.
  if (Object.values(words).reduce((sum, count) => sum + roomFor(count, 0), 0) <= mostWords(gpu)) {
    for (const [name, count] of Object.entries(words)) regions.reserve(name, count);
    regions.upload(context);
  }
  const sums = mostSums(context, rows);
  if (sums > 0) takeSums(scratch, sums);
  const chunks = mostChunkWords(gpu, headShape(config), config.maxSequenceLength);
  if (chunks > 0) takeChunks(scratch, chunks);
  pool.takePage();
  const guesses = PREDICTION_WORDS * entries + log.byteLength / 4;
  const results = isDraft ? Math.min(guesses, resultWords(context)) : resultWords(context);
  await readback.read(recorder, scratch.get("run results", results), 4 * results);
}
