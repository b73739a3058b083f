/** The reference model with a canvas: keys and values kept for a sequence and for its guidance. */

import type { Canvas, ForwardInput, Predictor } from "../../src/denoise/predictor.ts";
import { firstVisible } from "../../src/denoise/sequence.ts";
import type { Element } from "../../src/gpu/kernel.ts";
import type { KeptKeys } from "./kept_keys.ts";
import type { ReferenceLlada } from "./llada.ts";
import { sampledRow } from "./sampling.ts";

/** The positions that a pass runs, as in a canvas's step. */
type Cache = Parameters<Canvas["predict"]>[1];

/** Two sequences, each with its own kept state: `logits = uncond + (scale + 1) (cond - uncond)`. */
export class KeptReference {
  #own: KeptKeys = [];
  #twin: KeptKeys = [];

  /** @param element what keys and values are kept, and read, as */
  constructor(readonly reference: ReferenceLlada, readonly element: Element) {}

  /**
   * Logits of all positions, `[length, embedding_size]`; only those of the part carry a meaning. A
   * refresh keeps keys and values of both sequences.
   * @param keeps whether those of a part are kept as well: by a step, but not by a state that is asked
   */
  logits(
    { ids, guidance, attentionMask }: Pick<ForwardInput, "ids" | "guidance" | "attentionMask">,
    cache: Cache,
    keeps = cache === "refresh",
  ): Float64Array {
    const run = (ids: Uint32Array, kept: KeptKeys): Float64Array => {
      const { element } = this;
      const part = cache === "refresh" ? { first: 0, end: ids.length } : cache;
      return this.reference.forward(ids, attentionMask, { kept, element, ...part }).logits;
    };
    const logits = run(ids, keeps ? this.#own : [...this.#own]);
    if (!guidance) return logits;
    const free = run(guidance.unconditionalIds, keeps ? this.#twin : [...this.#twin]);
    return logits.map((logit, i) => free[i] + (guidance.scale + 1) * (logit - free[i]));
  }
}

/** A predictor whose canvas keeps keys and values, and takes no steps itself: all are asked. */
export function keptCanvas(reference: ReferenceLlada, element: Element): Predictor {
  return {
    predict: (inputs) => reference.predict(inputs),
    openCanvas: ([{ attentionMask: mask }]) => {
      const kept = new KeptReference(reference, element);
      const predict: Canvas["predict"] = (asked, cache) =>
        Promise.resolve(asked.map(({ ids, positions, guidance, choice, judged }) => {
          const attentionMask = mask?.subarray(0, ids.length);
          const logits = kept.logits({ ids, guidance, attentionMask }, cache);
          const columns = reference.config.embedding_size;
          return Array.from(positions, (position, i) => {
            const row = logits.subarray(position * columns, (position + 1) * columns);
            const shown = position - firstVisible(attentionMask);
            return { ...sampledRow(row, shown, choice, judged?.[i]), position };
          });
        }));
      return Promise.resolve({
        hasTwin: () => false,
        run: () => Promise.reject(new Error("every step is asked")),
        predict,
        setIds: () => {},
        destroy: () => {},
      });
    },
  };
}
