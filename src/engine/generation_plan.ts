/** Turns a request and a model's defaults into a checked plan of a generation. */

import { SCHEDULE_LIMIT } from "../denoise/schedule.ts";
import { OptionError } from "../denoise/check_options.ts";
import type { DenoiseOptions } from "../denoise/denoise_step.ts";
import { BY_CONFIDENCE, type Remasking, REMASKINGS } from "../denoise/selection.ts";
import {
  checkStrategy,
  defaultStrategy,
  STRATEGY_NAMES,
  type StrategyName,
  type StrategyOptions,
} from "../denoise/strategy.ts";
import type { ModelConfig } from "../model/loading/config.ts";
import {
  type GenerationDefaults,
  readGenerationDefaults,
} from "../model/loading/generation_defaults.ts";
import type { Filling } from "./fill_template.ts";
import { checkDeadline } from "./deadline.ts";
import { checkGiven, checkLength, defaultBlock, freeLengths } from "./length_plan.ts";
import {
  type CanvasLength,
  type GenerateRequest,
  type GivenToken,
  RequestError,
} from "./request.ts";
import { planSampling, type SamplingPlan } from "./sampling_plan.ts";
import type { AnswerPlan } from "./answer_fields.ts";

/** Options of strategies that a request may set; an absent one takes the strategy's default. */
type Chosen =
  & Pick<StrategyOptions, "confidence">
  & Omit<StrategyOptions, keyof DenoiseOptions | "controller">;

/** A request with every value filled in. */
export interface GenerationPlan extends Chosen, SamplingPlan, AnswerPlan {
  readonly promptIds: Uint32Array;
  readonly maxTokens: number;
  readonly length: CanvasLength;
  /** Positions of the canvas, a multiple of `blockLength`; with length auto the most it may have. */
  readonly genLength: number;
  /** Tokens that are decided before the first step. */
  readonly given: readonly GivenToken[];
  readonly deadlineMs?: number;
  /** The text with holes that is the answer, if one is to be filled. */
  readonly text?: Filling;
  readonly blockLength: number;
  readonly steps: number;
  readonly temperature: number;
  readonly seed: number;
  readonly cfgScale: number;
  readonly remasking: Remasking;
  readonly stop: readonly string[];
  readonly stopAtEnd: boolean;
  readonly logitsEosInf: boolean;
  readonly confidenceEosEotInf: boolean;
  readonly strategy: StrategyName;
}

/** Limit of steps that a round may propose: each is a state in the target's batch. */
const MOST_DEPTH = 64;

/** Answer length in tokens, if neither the request nor the folder gives one. */
const DEFAULT_MAX_TOKENS = 128;
/** Tokens per block, if neither the request nor the folder gives them. */
const DEFAULT_BLOCK_LENGTH = 32;

/**
 * Reads a folder's defaults for generating.
 * @throws {ConfigError} naming the field of generation_config.json that is wrong
 */
export function folderDefaults(dir: string, config: ModelConfig): GenerationDefaults {
  return readGenerationDefaults(dir, config, REMASKINGS);
}

/** Default answer length and block length of a folder. */
export function defaultLengths(
  defaults: GenerationDefaults,
  config: ModelConfig,
): { readonly maxTokens: number; readonly blockLength: number } {
  const maxTokens = Math.min(
    defaults.genLength ?? DEFAULT_MAX_TOKENS,
    Math.max(1, Math.floor(config.maxSequenceLength / 2)),
  );
  return {
    maxTokens,
    blockLength: Math.min(defaults.blockLength ?? DEFAULT_BLOCK_LENGTH, maxTokens),
  };
}

function integer(field: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw new RequestError(
    field,
    `${field} is ${value}, expected a whole number from ${least} to ${most}`,
  );
}

function amount(field: string, value: number, most: number): number {
  if (value >= 0 && value <= most) return value;
  throw new RequestError(field, `${field} is ${value}, expected a number from 0 to ${most}`);
}

/**
 * Checks a request and fills in defaults.
 * @param encode renders the conversation and returns its token ids
 * @throws {RequestError} naming the field that is out of range or does not fit the others
 */
export function planGeneration(
  request: GenerateRequest,
  config: ModelConfig,
  defaults: GenerationDefaults,
  encode: (request: GenerateRequest) => Uint32Array,
  hasDraft = false,
): GenerationPlan {
  const context = config.maxSequenceLength;
  const lengths = defaultLengths(defaults, config);
  const length = checkLength(request);
  const isFree = length === "auto";
  const deadlineMs = checkDeadline(request.deadlineMs);
  const asked = request.maxTokens ?? request.genLength ?? (isFree ? context : lengths.maxTokens);
  const maxTokens = integer(
    "maxTokens",
    isFree ? Math.min(asked, context, SCHEDULE_LIMIT) : asked,
    1,
    context,
  );
  const shape = integer("genLength", request.genLength ?? maxTokens, 1, context);
  const blockLength = integer(
    "blockLength",
    request.blockLength ?? Math.min(defaultBlock(request, lengths.blockLength), shape),
    1,
    context,
  );
  const genLength = Math.ceil(shape / blockLength) * blockLength;
  const isDefaultShape = genLength === lengths.maxTokens && blockLength === lengths.blockLength;
  const steps = request.steps ?? (isDefaultShape ? defaults.steps : undefined) ?? genLength;
  const rounded = genLength === maxTokens
    ? ""
    : ` (rounded up to ${genLength}, ${genLength / blockLength} blocks of ${blockLength})`;
  integer("steps", steps, 1, SCHEDULE_LIMIT);
  const blocks = genLength / blockLength;
  if (steps % blocks !== 0) {
    const below = steps - steps % blocks;
    throw new RequestError(
      "steps",
      `steps is ${steps}: expected a multiple of the number of blocks ${blocks} ` +
        `(maxTokens ${maxTokens}${rounded}, blockLength ${blockLength}), such as ` +
        (below > 0 ? `${below} or ${below + blocks}` : `${blocks}`),
    );
  }
  const remasking = request.remasking ?? defaults.remasking ?? BY_CONFIDENCE;
  if (!REMASKINGS.includes(remasking)) {
    throw new RequestError(
      "remasking",
      `remasking is ${remasking}, expected one of ${REMASKINGS.join(", ")}`,
    );
  }
  const cfgScale = amount("cfgScale", request.cfgScale ?? defaults.cfgScale ?? 0, 100);
  const strategy = planStrategy({ ...request, remasking, cfgScale }, hasDraft);
  const temperature = amount("temperature", request.temperature ?? defaults.temperature ?? 0, 100);
  const { embeddingSize } = config;
  const sampling = planSampling(request, {
    temperature,
    strategy: strategy.strategy,
    embeddingSize,
  });
  const stop = request.stop ?? [];
  if (!Array.isArray(stop) || stop.some((text) => typeof text !== "string")) {
    throw new RequestError("stop", "stop must be a list of strings");
  }
  if (stop.includes("")) throw new RequestError("stop", "stop holds an empty string: leave it out");
  checkPrompt(request);
  const promptIds = encode(request);
  const free = isFree
    ? freeLengths(maxTokens, blockLength, context - promptIds.length, promptIds.length)
    : undefined;
  if (!free && promptIds.length + genLength > context) {
    // A length that nobody asked for, or only as a cap, is no reason to refuse.
    const fits = wholeBlocks(context - promptIds.length, blockLength, request.blockLength);
    const isCap = request.maxTokens === undefined || request.fitTokens;
    if (isCap && request.genLength === undefined && fits > 0) {
      const shorter = { ...request, maxTokens: fits };
      return planGeneration(shorter, config, defaults, () => promptIds, hasDraft);
    }
    throw new RequestError(
      request.prompt === undefined ? "messages" : "prompt",
      `the prompt has ${promptIds.length} tokens and the answer ${maxTokens}${rounded}, together ` +
        `more than the model's ${context}: shorten the conversation or ask for fewer tokens`,
      "context_length_exceeded",
      promptIds.length,
    );
  }
  return {
    promptIds,
    length,
    maxTokens: Math.min(maxTokens, genLength),
    genLength,
    blockLength,
    steps,
    given: checkGiven(request.fixed ?? [], genLength, config),
    ...free,
    deadlineMs,
    temperature,
    ...sampling,
    seed: integer("seed", request.seed ?? randomSeed(), 0, Number.MAX_SAFE_INTEGER),
    cfgScale,
    ...strategy,
    remasking,
    stop,
    stopAtEnd: request.stopAtEnd ?? true,
    logitsEosInf: request.logitsEosInf ?? false,
    confidenceEosEotInf: request.confidenceEosEotInf ?? false,
  };
}

/** Checks that there are messages or a prompt; what a prompt holds is checked when it is encoded. */
function checkPrompt({ messages, prompt }: GenerateRequest): void {
  if (prompt !== undefined) {
    if (messages === undefined) return;
    throw new RequestError("prompt", "prompt stands beside messages: send one of the two");
  }
  if (
    !Array.isArray(messages) ||
    messages.some(({ role, content }) => typeof role !== "string" || typeof content !== "string")
  ) {
    throw new RequestError("messages", "messages must be a list of {role, content}, both strings");
  }
  if (messages.length === 0) {
    throw new RequestError("messages", "messages is empty, expected at least one message");
  }
}

/** The longest answer in `room` tokens: of whole blocks, or of one shorter block if none was asked. */
function wholeBlocks(room: number, blockLength: number, asked: number | undefined): number {
  if (room < blockLength && asked === undefined) return room;
  return Math.max(0, room - room % blockLength);
}

/** Names of strategy options in a request, where they differ. */
const STRATEGY_FIELDS: Readonly<Record<string, string>> = { depth: "draftDepth" };

function planStrategy(request: GenerateRequest, hasDraft: boolean) {
  const strategy = request.strategy ?? defaultStrategy(request);
  if (!STRATEGY_NAMES.includes(strategy)) {
    throw new RequestError(
      "strategy",
      `strategy is ${strategy}, expected one of ${STRATEGY_NAMES.join(", ")}`,
    );
  }
  const probability = (
    field: "draftThreshold" | "targetThreshold" | "backThreshold" | "threshold",
  ) => {
    const value = request[field];
    return value === undefined ? undefined : amount(field, value, 1);
  };
  const options = {
    confidence: request.confidence,
    cache: request.cache,
    quality: request.quality,
    refreshInterval: request.refreshInterval === undefined
      ? undefined
      : integer("refreshInterval", request.refreshInterval, 1, SCHEDULE_LIMIT),
    suffixWindow: request.suffixWindow === undefined
      ? undefined
      : integer("suffixWindow", request.suffixWindow, 0, SCHEDULE_LIMIT),
    threshold: probability("threshold"),
    factor: request.factor === undefined ? undefined : amount("factor", request.factor, 1000),
    depth: request.draftDepth === undefined
      ? undefined
      : integer("draftDepth", request.draftDepth, 1, MOST_DEPTH),
    rounds: request.rounds === undefined
      ? undefined
      : integer("rounds", request.rounds, 1, SCHEDULE_LIMIT),
    draftThreshold: probability("draftThreshold"),
    targetThreshold: probability("targetThreshold"),
    backThreshold: probability("backThreshold"),
  };
  try {
    const { cfgScale, remasking } = request;
    checkStrategy(strategy, { ...options, cfgScale, remasking }, hasDraft);
  } catch (error) {
    if (!(error instanceof OptionError)) throw error;
    throw new RequestError(STRATEGY_FIELDS[error.option] ?? error.option, error.message);
  }
  return { strategy, ...options };
}

function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}
