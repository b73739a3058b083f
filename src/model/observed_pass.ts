/** A forward pass whose hidden states and logits are all read back, for inspection. */

import type { Readback } from "../gpu/readback.ts";
import type { Tensor } from "../gpu/tensor.ts";
import { paddedInner } from "../quant/scheme.ts";
import type { RowBatch } from "./forward_pass.ts";
import { createKvCache } from "./kv_cache.ts";
import { readLogits } from "./logits.ts";
import { normAsked, type PredictionContext, uploadScratch } from "./prediction_pass.ts";
import { unpad } from "./rows.ts";

/**
 * Runs all layers and the head on every row of a batch.
 * @param pass.kept whether to compute like a pass that keeps keys and values
 * @returns logits `[rows, embeddingSize]`, and hidden states `[rows, hiddenSize]` by name
 */
export async function observedPass(
  context: PredictionContext,
  readback: Readback,
  pass: { readonly batch: RowBatch; readonly kept: boolean },
): Promise<{ readonly logits: Float32Array; readonly hidden: ReadonlyMap<string, Float32Array> }> {
  const { gpu, recorder, scratch, config, kvCache, family } = context;
  const { rows } = pass.batch;
  const width = paddedInner(config.hiddenSize);
  const copies = new Map<string, Tensor>();
  const keep = (name: string, states: Tensor) => {
    const copy = scratch.get(`observed ${name}`, rows * width);
    recorder.copy(states, copy, 4 * rows * width);
    copies.set(name, copy);
  };
  const kept = pass.kept ? createKvCache(gpu, config, rows, kvCache) : undefined;
  let x: Tensor;
  try {
    const groups = pass.batch.groups.map((group) => ({ ...group, kept }));
    x = family.forward(context, { ...pass.batch, groups }, { hidden: keep });
  } finally {
    for (const { k, v } of kept?.layers ?? []) [k, v].forEach((made) => recorder.retire(made));
  }
  const all = Uint32Array.from({ length: rows }, (_, row) => row);
  const normed = normAsked(context, x, uploadScratch(context, "asked_rows", all), rows);
  keep("final_norm", normed);
  const hidden = new Map<string, Float32Array>();
  for (const [name, copy] of copies) {
    const bytes = await readback.read(recorder, copy, 4 * rows * width);
    hidden.set(name, unpad(new Float32Array(bytes), rows, width, config.hiddenSize));
  }
  return { logits: await readLogits(context, readback, normed, rows), hidden };
}
