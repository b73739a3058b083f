/** The configuration of GSAI-ML/LLaDA-8B-Instruct. */

import type { ModelConfig } from "../../../src/model/model_config.ts";

export const LLADA_8B: ModelConfig = {
  modelType: "llada",
  hiddenSize: 4096,
  layers: 32,
  heads: 32,
  kvHeads: 32,
  headDim: 128,
  ffnSize: 12288,
  vocabSize: 126464,
  embeddingSize: 126464,
  maxSequenceLength: 4096,
  normEpsilon: 1e-5,
  ropeTheta: 500000,
  tiedHead: false,
  maskTokenId: 126336,
  eosTokenId: 126081,
};
