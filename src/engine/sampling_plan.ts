/** Turns a request's sampling fields into checked options of denoising. */

import type { SamplingOptions } from "../denoise/sampling.ts";
import { strategiesUsing, type StrategyName, strategyOf } from "../denoise/strategy.ts";
import { LIST_TOKENS } from "../model/input.ts";
import { type GenerateRequest, RequestError } from "./request.ts";

/** What a plan says of sampling. */
export interface SamplingPlan {
  /** Absent if the request's fields change nothing and ask for no scores beyond the default. */
  readonly sampling?: SamplingOptions;
  /** Whether tokens that end an answer are never chosen. */
  readonly ignoreEos: boolean;
  /** Whether the answer's tokens are reported with their log-probabilities. */
  readonly reportsTokens: boolean;
}

/** Limits of the fields that are numbers, as OpenAI and vLLM have them. */
const BOUNDS = {
  topP: [0, 1],
  minP: [0, 1],
  topK: [-1, 2 ** 31 - 1],
  presencePenalty: [-2, 2],
  frequencyPenalty: [-2, 2],
  topLogprobs: [0, 20],
} as const;
const WHOLE: readonly string[] = ["topK", "topLogprobs"];
/** Largest repetition penalty. */
const MOST_REPETITION = 2;
/** Limit of biases, and their largest size. */
const MOST_BIASES = 300;
const MOST_BIAS = 100;

/** Encodes a text, for biases that are given as text. */
export type EncodeText = (text: string) => readonly number[];

/** A request whose biases are all by token: that of a text goes to each of its tokens. */
export function withTokenBiases(request: GenerateRequest, encode: EncodeText): GenerateRequest {
  const { logitBias } = request;
  if (logitBias === undefined) return request;
  if (logitBias.length > MOST_BIASES) {
    throw new RequestError(
      "logitBias",
      `logitBias has ${logitBias.length} entries, expected at most ${MOST_BIASES}`,
    );
  }
  return {
    ...request,
    logitBias: logitBias.flatMap(([of, bias]) =>
      typeof of === "string"
        ? encode(of).map((token) => [token, bias] as const)
        : [[of, bias] as const]
    ),
  };
}

/**
 * Checks the sampling fields. Filters are left out at temperature 0, where they change nothing: the
 * likeliest token passes each.
 * @throws {RequestError} naming the field that is out of range, or that the strategy does not use
 */
export function planSampling(
  request: GenerateRequest,
  { temperature, strategy, embeddingSize }: {
    readonly temperature: number;
    readonly strategy: StrategyName;
    readonly embeddingSize: number;
  },
): SamplingPlan {
  for (const [field, [least, most]] of Object.entries(BOUNDS)) {
    const value = request[field as keyof typeof BOUNDS];
    const whole = WHOLE.includes(field);
    if (value === undefined) continue;
    if (value >= least && value <= most && (!whole || Number.isInteger(value))) continue;
    const kind = whole ? "a whole number" : "a number";
    throw new RequestError(
      field,
      `${field} is ${value}, expected ${kind} from ${least} to ${most}`,
    );
  }
  const { repetitionPenalty = 1, presencePenalty = 0, frequencyPenalty = 0 } = request;
  if (!(repetitionPenalty > 0 && repetitionPenalty <= MOST_REPETITION)) {
    throw new RequestError(
      "repetitionPenalty",
      `repetitionPenalty is ${repetitionPenalty}, expected a number above 0, at most ` +
        MOST_REPETITION,
    );
  }
  const { topK = 0, topP = 1, minP = 0, logitBias = [], topLogprobs, ignoreEos = false } = request;
  const biases = logitBias.map(([of, bias]): readonly [number, number] => {
    if (typeof of !== "number" || !Number.isInteger(of) || of < 0 || of >= embeddingSize) {
      throw new RequestError(
        "logitBias",
        `logitBias has token ${of}, the model has tokens from 0 to ${embeddingSize - 1}`,
      );
    }
    if (bias === -Infinity || Math.abs(bias) <= MOST_BIAS) return [of, bias];
    throw new RequestError(
      "logitBias",
      `logitBias of token ${of} is ${bias}, expected a number from -${MOST_BIAS} to ` +
        `${MOST_BIAS}, or a ban`,
    );
  });
  const warm = temperature > 0;
  const changes: SamplingOptions = {
    ...warm && topK > 0 && topK < embeddingSize && { topK },
    ...warm && topP < 1 && { topP },
    ...warm && minP > 0 && { minP },
    ...presencePenalty !== 0 && { presencePenalty },
    ...frequencyPenalty !== 0 && { frequencyPenalty },
    ...repetitionPenalty !== 1 && { repetitionPenalty },
    ...biases.length > 0 && { logitBias: biases },
  };
  // Nothing changed and nothing hidden: a commit's own log-probability is within the whole softmax.
  const hides = ignoreEos || request.logitsEosInf || request.confidenceEosEotInf;
  const changed = Object.keys(changes).length > 0;
  const scores = topLogprobs !== undefined && (topLogprobs > 0 || changed || hides);
  const sampling = changed || scores
    ? { ...changes, ...scores && { likeliest: topLogprobs } }
    : undefined;
  if (sampling && !strategyOf(strategy).uses.includes("sampling")) {
    const [name] = Object.keys(sampling);
    const field = name === "likeliest" ? "topLogprobs" : name;
    throw new RequestError(
      field,
      `strategy ${strategy} does not use ${field}: leave it out, or choose ` +
        strategiesUsing("sampling").join(" or "),
    );
  }
  const reportsTokens = topLogprobs !== undefined || (request.reportsTokens ?? false);
  return { sampling, ignoreEos, reportsTokens };
}

/** The options of denoising that follow from a plan; `endTokens` are those that end an answer. */
export function samplingOptions(
  { sampling, ignoreEos }: SamplingPlan,
  endTokens: readonly number[],
): { readonly sampling?: SamplingOptions; readonly bannedTokens: readonly number[] } {
  if (!ignoreEos) return { sampling, bannedTokens: [] };
  // A shader takes a few banned tokens; the others are banned by their bias.
  const others = endTokens.slice(LIST_TOKENS).map((token) => [token, -Infinity] as const);
  return {
    sampling: others.length === 0
      ? sampling
      : { ...sampling, logitBias: [...sampling?.logitBias ?? [], ...others] },
    bannedTokens: endTokens.slice(0, LIST_TOKENS),
  };
}
