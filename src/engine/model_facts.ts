/** What programs may know of a loaded model, from its folder. */

import type { ModelConfig } from "../model/loading/config.ts";
import type { GenerationDefaults } from "../model/loading/generation_defaults.ts";
import type { ModelFacts } from "./loaded_model.ts";

/** Ids that end an answer, each once: end of text, end of turn, and what else the folder lists. */
export function endTokenIds(
  { eosTokenId, otherEndTokenIds = [] }: ModelConfig,
  { endTokenIds = [] }: GenerationDefaults,
  eotToken: number | undefined,
): readonly number[] {
  const eot = eotToken === undefined ? [] : [eotToken];
  return [...new Set([eosTokenId, ...eot, ...otherEndTokenIds, ...endTokenIds])];
}

/** Sizes and ids of a model. */
export function factsOf(config: ModelConfig, endTokenIds: readonly number[]): ModelFacts {
  const { modelType, maskTokenId, vocabSize, embeddingSize, maxSequenceLength } = config;
  const { hiddenSize, layers, heads, kvHeads, headDim, ffnSize } = config;
  return {
    modelType,
    maskTokenId,
    endTokenIds,
    vocabSize,
    embeddingSize,
    contextLength: maxSequenceLength,
    hiddenSize,
    layers,
    heads,
    kvHeads,
    headDim,
    ffnSize,
  };
}
