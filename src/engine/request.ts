/** What can be asked of an engine and what it answers: plain values that cross a Worker boundary. */

import { CACHE_POLICIES, type CachePolicy } from "../denoise/cache_plan.ts";
import { CONFIDENCE_MEASURES, type ConfidenceMeasure } from "../denoise/confidence.ts";
import { type Remasking, REMASKINGS } from "../denoise/selection.ts";
import { QUALITIES, type Quality, STRATEGY_NAMES, type StrategyName } from "../denoise/strategy.ts";
import type { FinishReason } from "../text/text_stream.ts";
import type { EngineTotals, GenerateStats, PassStats, Usage } from "./stats.ts";

export type { EngineTotals, FinishReason, GenerateStats, PassStats, Usage };
export {
  CACHE_POLICIES,
  type CachePolicy,
  CONFIDENCE_MEASURES,
  type ConfidenceMeasure,
  QUALITIES,
  type Quality,
  type Remasking,
  REMASKINGS,
  STRATEGY_NAMES,
  type StrategyName,
};

/** One turn of a conversation. */
export interface ChatMessage {
  /** Who speaks: passed to the chat template as it is. */
  readonly role: string;
  /** What is said; control-token text inside it stays text. */
  readonly content: string;
}

/** One generation. Absent fields take the model folder's or the engine's defaults. */
export interface GenerateRequest {
  /** The conversation, rendered with the model's chat template. */
  readonly messages: readonly ChatMessage[];
  /** Most tokens in the answer; the canvas is this rounded up to whole blocks. */
  readonly maxTokens?: number;
  /** Tokens per block; default from the folder's generation_config.json, else 32. */
  readonly blockLength?: number;
  /** Denoising steps in all, a multiple of the number of blocks; default one per token. */
  readonly steps?: number;
  /** 0 (default) is greedy. */
  readonly temperature?: number;
  /** Integer in [0, 2^53): same seed, same text. Default: drawn, and reported in the statistics. */
  readonly seed?: number;
  /** Classifier-free guidance; 0 (default) is off. */
  readonly cfgScale?: number;
  /** Which positions are committed first. */
  readonly remasking?: Remasking;
  /** What ranks them by confidence; default `probability`, that of the chosen token. */
  readonly confidence?: ConfidenceMeasure;
  /** The answer is cut before the first of these. */
  readonly stop?: readonly string[];
  /** Stop once everything up to the first end token is decided (default true). */
  readonly stopAtEnd?: boolean;
  /** Never choose the end-of-text token. */
  readonly logitsEosInf?: boolean;
  /** Commit end-of-text and end-of-turn tokens last. */
  readonly confidenceEosEotInf?: boolean;
  /** How the answer is denoised; default `auto`. */
  readonly strategy?: StrategyName;
  /** What `auto` may choose: `exact` (default) is only what gives the plain schedule's answer. */
  readonly quality?: Quality;
  /**
   * Keys and values that are reused from step to step (plain, threshold, factor, lossless, self; the
   * draft's, in commit_verify); default `none`.
   */
  readonly cache?: CachePolicy;
  /** Steps of a block between two refreshes of the cache; default: at its first step only. */
  readonly refreshInterval?: number;
  /** Masked positions behind the block that a forward pass still sees; default all. */
  readonly suffixWindow?: number;
  /** Least confidence that is committed (strategy threshold); default 0.9. */
  readonly threshold?: number;
  /** Fast-dLLM's factor (strategy factor); default 1. */
  readonly factor?: number;
  /** Denoising steps proposed a round; default 4 (lossless and self) or 2 (commit_verify). */
  readonly draftDepth?: number;
  /**
   * Rounds of proposals a block, at most (strategies lossless, self, gate and commit_verify); then
   * the target finishes the block alone. Default: no bound.
   */
  readonly rounds?: number;
  /** Least confidence of the draft (strategies gate and commit_verify); default 0.9. */
  readonly draftThreshold?: number;
  /** Least confidence of the target (strategies gate and commit_verify); default 0.7. */
  readonly targetThreshold?: number;
  /**
   * Least probability that the target gives a guess which is not its own choice, for it to stay
   * (strategy commit_verify); default 0.3.
   */
  readonly backThreshold?: number;
}

/** What a loaded model can do, for `GET /v1/models` and `unmask info`. */
export interface ModelSummary {
  /** The folder's name. */
  readonly id: string;
  /** Unix seconds of the folder's config.json. */
  readonly created: number;
  /** Longest prompt plus generation, in tokens. */
  readonly contextLength: number;
  /** Answer length, in tokens, when a request names none. */
  readonly defaultMaxTokens: number;
  /** Block length, in tokens, when a request names none. */
  readonly defaultBlockLength: number;
  /** Name of the draft's folder, where one is loaded. */
  readonly draft?: string;
  /** What a user should know before using this model, a line for each thing. */
  readonly warning?: string;
}

/** A token fixed at a position of the generation. */
export interface CommittedToken {
  /** Position in the generation, from 0. */
  readonly position: number;
  /** Token id. */
  readonly token: number;
  /** The token alone as text (U+FFFD where it is part of a character). */
  readonly text: string;
  /** Noise-free probability at the step that committed it. */
  readonly confidence: number;
  /** Natural logarithm of that probability. */
  readonly logProbability: number;
}

/** What `generate` yields: one `start`, a `step` per denoising step, one `end`; told apart by `type`. */
export type GenerateEvent =
  | {
    readonly type: "start";
    readonly promptTokens: number;
    /** Positions of the canvas, all masked. */
    readonly generationLength: number;
    readonly blockLength: number;
    readonly steps: number;
    /** The seed that is used. */
    readonly seed: number;
    readonly strategy: StrategyName;
    readonly cache: CachePolicy;
    /** The id that stands for "not decided". */
    readonly maskToken: number;
  }
  | {
    readonly type: "step";
    /** From 0. */
    readonly step: number;
    /** From 0. */
    readonly block: number;
    /** Forward passes of the target up to and with this step's. */
    readonly nfe: number;
    /** Positions ascending. */
    readonly commits: readonly CommittedToken[];
    /** Guesses that were verified at this step, where the strategy makes any. */
    readonly proposed?: readonly Omit<CommittedToken, "logProbability">[];
    /** Positions of the guesses that were committed at this step. */
    readonly accepted?: readonly number[];
    /** Positions of the other guesses. */
    readonly rejected?: readonly number[];
    /** Positions that this step masks again: committed before, or guessed at and taken back. */
    readonly remasked?: readonly number[];
    /** Text that the committed left prefix gained; never half a character, never past a stop. */
    readonly delta: string;
    /** Positions of the left prefix that are committed. */
    readonly prefixLength: number;
  }
  | {
    readonly type: "end";
    readonly finishReason: FinishReason;
    /** The whole answer; every delta is a piece of it, in order. */
    readonly text: string;
    /** All ids of the generation, masks where an early stop left them. */
    readonly ids: readonly number[];
    readonly usage: Usage;
    readonly stats: GenerateStats;
  };

/** A request that cannot be served; `field` names the culprit. */
export class RequestError extends Error {
  /** The request's field, in this API's name for it. */
  readonly field: string;
  /** Machine-readable kind. */
  readonly code: "invalid_value" | "context_length_exceeded";
  /** Names the culprit and says what was expected and found. */
  constructor(
    field: string,
    message: string,
    code: RequestError["code"] = "invalid_value",
  ) {
    super(message);
    this.name = "RequestError";
    this.field = field;
    this.code = code;
  }
}

/** The engine cannot take more work now. */
export class BusyError extends Error {
  /** Seconds after which to try again. */
  readonly retryAfter: number;
  /** Says what is full and when to come back. */
  constructor(message: string, retryAfter: number) {
    super(message);
    this.name = "BusyError";
    this.retryAfter = retryAfter;
  }
}

/** The GPU, or the engine, could not finish an answer; the next one may be. */
export class UnavailableError extends Error {
  /** What happened. */
  readonly code: "device_lost" | "out_of_memory" | "engine_restarted";
  /** What the GPU said, or how the engine stopped. */
  readonly reason: string;
  /** Neither the message nor the reason quotes anything of the request. */
  constructor(message: string, code: UnavailableError["code"], reason: string) {
    super(message);
    this.name = "UnavailableError";
    this.code = code;
    this.reason = reason;
  }
}

/** A model that answers requests, wherever it runs: what a server needs of a `WorkerEngine`. */
export interface TextEngine {
  /** `loading` until the weights are on the GPU, and again after a lost device; `failed` keeps why. */
  readonly state: "loading" | "ready" | "failed";
  /** Why loading failed, why the engine stopped working, or why it loads again. */
  readonly failure?: string;
  /** Known once `ready`. */
  readonly model?: ModelSummary;
  /** What it has done so far. */
  readonly totals: EngineTotals;
  /** Resolves when `ready`, rejects when `failed`; another one after a lost device. */
  readonly ready: Promise<void>;
  /**
   * Denoises one answer. Aborting the signal ends the iteration with its reason at the next step.
   * @throws {RequestError} before the first event, when the request does not fit the model
   * @throws {BusyError} before the first event, when the queue is full
   * @throws {UnavailableError} when the device was lost, or its memory did not suffice
   */
  generate(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<GenerateEvent>;
  /** Frees the model and stops the Worker. */
  close(): Promise<void>;
}
