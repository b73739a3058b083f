/** Requests to an engine and its answers: plain values that can be sent to a Worker. */

import { CACHE_POLICIES, type CachePolicy } from "../denoise/cache_plan.ts";
import type { DeviceFacts } from "./device_facts.ts";
import { CONFIDENCE_MEASURES, type ConfidenceMeasure } from "../denoise/confidence.ts";
import { type Remasking, REMASKINGS } from "../denoise/selection.ts";
import type { GivenToken } from "../denoise/sequence.ts";
import { QUALITIES, type Quality, STRATEGY_NAMES, type StrategyName } from "../denoise/strategy.ts";
import type { CallableFunction, Constraint } from "../constraint/constraint.ts";
import type { FinishReason } from "../text/text_stream.ts";
import type { AnswerFields, PromptReport, PromptToken } from "./answer_fields.ts";
import type { EngineTotals, GenerateStats, PassStats, Usage } from "./stats.ts";
import type { AnswerToken, CommittedToken, DeadlineToken, LikelyToken } from "./told_tokens.ts";
import type { AnswerOf, QueueFields } from "./queue_fields.ts";
import type { FolderFacts } from "./folder_facts.ts";
import type { LoadFigures, PageFigures } from "./load_figures.ts";
import type { TextQuestion, TokenizedText } from "./text_question.ts";

export type { AnswerToken, CommittedToken, DeadlineToken, LikelyToken };
export { BusyError, RequestError, UnavailableError } from "./request_errors.ts";
export type { TextQuestion, TokenizedText };
export type {
  AnswerFields,
  AnswerOf,
  CallableFunction,
  Constraint,
  DeviceFacts,
  EngineTotals,
  FinishReason,
  FolderFacts,
  GenerateStats,
  GivenToken,
  LoadFigures,
  PageFigures,
  PassStats,
  PromptReport,
  PromptToken,
  QueueFields,
  Usage,
};
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

/** Who decides how many masks the model sees: the model, or the request. */
export const CANVAS_LENGTHS = ["auto", "fixed"] as const;

/** One of {@linkcode CANVAS_LENGTHS}. */
export type CanvasLength = typeof CANVAS_LENGTHS[number];

/** One turn of a conversation. */
export interface ChatMessage {
  /** Role of the speaker, passed to the chat template unchanged. */
  readonly role: string;
  /** Text of the message; names of control tokens in it are encoded as text. */
  readonly content: string;
}

/** A gap in a text, which the model fills. */
export interface Hole {
  /** Tokens of the gap; absent: as many as the model is surest of. */
  readonly tokens?: number;
  /** Most tokens of a gap whose length is searched; default 16. */
  readonly mostTokens?: number;
  /** What stands there now, in a text that is revised; it comes back with the answer. */
  readonly before?: string;
}

/** A part of a text with holes. */
export type TemplatePart = string | Hole;

/** A text of which part is masked again and denoised. */
export interface Revision {
  /** The text as it is, an answer to the conversation. */
  readonly text: string;
  /**
   * What is masked again: `[start, end)` in UTF-16 units, ascending. Each becomes a hole, of `tokens`
   * tokens or of the length of which the model is surest. Absent: tokens are chosen by confidence,
   * and each is replaced by one.
   */
  readonly spans?: readonly {
    readonly start: number;
    readonly end: number;
    readonly tokens?: number;
  }[];
  /** Probability below which a token is masked again; default 0.5. */
  readonly below?: number;
  /** Most tokens that are masked again, the least sure ones; default all. */
  readonly most?: number;
}

/** A text whose holes were filled. */
export interface FilledText {
  /** The whole text; the given parts stand in it unchanged. */
  readonly text: string;
  /** The holes, in order. */
  readonly holes: readonly {
    /** Where its text begins in the whole, in UTF-16 units. */
    readonly start: number;
    readonly text: string;
    /** What stood there, in a text that was revised. */
    readonly before?: string;
    readonly tokens: readonly CommittedToken[];
  }[];
}

/** A request for one answer. Absent fields take the defaults of the model folder or the engine. */
export interface GenerateRequest extends AnswerFields, QueueFields {
  /** The conversation, rendered with the model's chat template. Either this or `prompt`. */
  readonly messages?: readonly ChatMessage[];
  /**
   * A prompt without the chat template: its token ids, or text in which the name of a control token
   * is that token. The mask token is refused in both.
   */
  readonly prompt?: string | readonly number[];
  /**
   * Limit of tokens in the answer. With `length` fixed the canvas has this length rounded up to whole
   * blocks; with auto it is clamped to what the context leaves, which is also the default. 0: the
   * prompt is only read.
   */
  readonly maxTokens?: number;
  /** Whether a limit that the prompt leaves no room for is lowered to the room; else it is refused. */
  readonly fitTokens?: boolean;
  /**
   * `fixed` (default): the canvas has `genLength`, else `maxTokens` positions. `auto`: the model
   * decides how many masks it sees (src/denoise/free_canvas.ts).
   */
  readonly length?: CanvasLength;
  /** Positions of a fixed canvas, rounded up to whole blocks; default `maxTokens`. */
  readonly genLength?: number;
  /** The beginning of the answer, which is given: the answer goes on behind it. */
  readonly prefill?: string;
  /** Tokens that are decided before the first step, on a fixed canvas. */
  readonly fixed?: readonly GivenToken[];
  /**
   * The answer, with holes that are filled all together. It fixes the canvas: lengths, blocks and
   * steps may not be given.
   */
  readonly template?: readonly TemplatePart[];
  /** An answer that is to be revised, instead of `template`. */
  readonly revise?: Revision;
  /**
   * Milliseconds from the call until the best text so far is wanted. What is not decided then is
   * filled with the likeliest tokens, in a last step that is marked `provisional`. A request that
   * still waits for its turn then ends with a {@linkcode BusyError}.
   */
  readonly deadlineMs?: number;
  /** Tokens per block; default from the folder's generation_config.json, else 32. */
  readonly blockLength?: number;
  /** Denoising steps in all, a multiple of the number of blocks; default one per token. */
  readonly steps?: number;
  /** 0 (default) is greedy. */
  readonly temperature?: number;
  /**
   * Integer in [0, 2^53): same seed, same text on the same adapter, whatever else runs. Not promised for
   * strategy `auto` with quality `fast`: what it chooses follows measured times, and the choice may
   * change the text. Default: drawn, and reported in the statistics.
   */
  readonly seed?: number;
  /** Share of the probability, from the likeliest token down, that may be chosen; 1 (default): all. */
  readonly topP?: number;
  /** Number of likeliest tokens that may be chosen; 0 (default) and -1: all. */
  readonly topK?: number;
  /** Least probability that may be chosen, as a share of the largest; 0 (default): all. */
  readonly minP?: number;
  /** Taken from logits of tokens that stand in the answer, -2 to 2; default 0. */
  readonly presencePenalty?: number;
  /** Taken from a token's logit for each time that it stands in the answer, -2 to 2; default 0. */
  readonly frequencyPenalty?: number;
  /** Divides positive logits of tokens in prompt and answer, above 0 to 2; 1 (default) is off. */
  readonly repetitionPenalty?: number;
  /**
   * Added to logits, by token id, or by a text for each of its tokens: -100 to 100, or -Infinity to
   * ban; at most 300.
   */
  readonly logitBias?: readonly (readonly [of: number | string, bias: number])[];
  /** Whether tokens that end an answer are never chosen (default false). */
  readonly ignoreEos?: boolean;
  /**
   * If given, the events carry the answer's tokens with log-probabilities, each beside as many of the
   * likeliest at its place, 0 to 20.
   */
  readonly topLogprobs?: number;
  /** Classifier-free guidance; 0 (default) is off. */
  readonly cfgScale?: number;
  /** Which positions are committed first. */
  readonly remasking?: Remasking;
  /** Measure of confidence; default `probability`, that of the chosen token. */
  readonly confidence?: ConfidenceMeasure;
  /** Texts that end the answer; it is cut before the first one found. */
  readonly stop?: readonly string[];
  /** Whether to stop once everything up to the first end token is decided (default true). */
  readonly stopAtEnd?: boolean;
  /** Whether the end-of-text token is never chosen. */
  readonly logitsEosInf?: boolean;
  /** Whether end-of-text and end-of-turn tokens are committed last. */
  readonly confidenceEosEotInf?: boolean;
  /** How the answer is denoised; default `auto`. */
  readonly strategy?: StrategyName;
  /**
   * What `auto` may choose from; `exact` (default): only choices with the plain schedule's answer.
   */
  readonly quality?: Quality;
  /**
   * Keys and values that are reused from step to step (plain, threshold, factor, lossless, self; the
   * draft's, in commit_verify); default `none`.
   */
  readonly cache?: CachePolicy;
  /** Steps of a block between two refreshes of the cache; default: at its first step only. */
  readonly refreshInterval?: number;
  /** Masked positions after the block that a forward pass attends to; default all. */
  readonly suffixWindow?: number;
  /** Least confidence at which a token is committed (strategy threshold); default 0.9. */
  readonly threshold?: number;
  /** Fast-dLLM's factor (strategy factor); default 1. */
  readonly factor?: number;
  /** Denoising steps proposed per round; default 4 (lossless and self) or 2 (commit_verify). */
  readonly draftDepth?: number;
  /**
   * Limit of proposal rounds per block (strategies lossless, self, gate and commit_verify); after
   * it the target finishes the block alone. Default: no limit.
   */
  readonly rounds?: number;
  /** Least confidence of the draft (strategies gate and commit_verify); default 0.9. */
  readonly draftThreshold?: number;
  /** Least confidence of the target (strategies gate and commit_verify); default 0.7. */
  readonly targetThreshold?: number;
  /**
   * Least probability from the target at which a guess is kept although the target would choose
   * another token (strategy commit_verify); default 0.3.
   */
  readonly backThreshold?: number;
  /**
   * What the whole text of the answer must be; the prompt tells the model so. Default: anything. Where
   * it holds, stop texts, `ignoreEos`, guidance, caches and other rankings change nothing, and a
   * strategy that cannot hold it becomes `plain` or `threshold`.
   */
  readonly constraint?: Constraint;
  /** The field that errors about the constraint name; default `constraint`. */
  readonly constraintField?: string;
  /** Whether the messages tell the constraint already, so that the prompt does not. */
  readonly constraintTold?: boolean;
}

/** Summary of a loaded model, for `GET /v1/models` and `unmask info`. */
export interface ModelSummary {
  /** The folder's name. */
  readonly id: string;
  /** Unix seconds of the folder's config.json. */
  readonly created: number;
  /** Longest prompt plus generation, in tokens. */
  readonly contextLength: number;
  /** Answer length, in tokens, for requests without one. */
  readonly defaultMaxTokens: number;
  /** Block length, in tokens, for requests without one. */
  readonly defaultBlockLength: number;
  /** Name of the draft's folder, if one is loaded. */
  readonly draft?: string;
  /** What a user should know before using this model, a line for each thing. */
  readonly warning?: string;
  /** Ids that end an answer. */
  readonly endTokens?: readonly number[];
  /** What its folder tells. */
  readonly folder?: FolderFacts;
}

/**
 * An event of `generate`, distinguished by `type`: one `start`, a `step` per denoising step, one
 * `end`.
 */
export type GenerateEvent =
  | {
    readonly type: "start";
    readonly promptTokens: number;
    /** Positions of the canvas, masked except those of `given`. */
    readonly generationLength: number;
    /** Tokens that are decided before the first step, if there are any. */
    readonly given?: readonly GivenToken[];
    readonly blockLength: number;
    readonly steps: number;
    /** The seed that is used. */
    readonly seed: number;
    readonly strategy: StrategyName;
    readonly cache: CachePolicy;
    /** The id of a position that is not decided. */
    readonly maskToken: number;
    /** Whether the text is what the request's constraint asks for; absent without one. */
    readonly constrained?: boolean;
  } & PromptReport
  | {
    readonly type: "step";
    /** Index of the step, from 0. */
    readonly step: number;
    /** Index of the block, from 0. */
    readonly block: number;
    /** Forward passes of the target so far, including this step's. */
    readonly nfe: number;
    /** Positions of the canvas from this step on, where it grew before it. */
    readonly grown?: number;
    /** Whether these tokens are the likeliest ones at the deadline, and no commits. */
    readonly provisional?: true;
    /** Tokens committed at this step, by ascending position. */
    readonly commits: readonly CommittedToken[];
    /** Guesses that were verified at this step, if the strategy makes guesses. */
    readonly proposed?: readonly Omit<CommittedToken, "logProbability">[];
    /** Positions of the guesses that were committed at this step. */
    readonly accepted?: readonly number[];
    /** Positions of the guesses that were rejected. */
    readonly rejected?: readonly number[];
    /** Positions that this step masks again: earlier commits, or guesses that are taken back. */
    readonly remasked?: readonly number[];
    /** Text that the committed left prefix gained: whole characters, none after a stop. */
    readonly delta: string;
    /** The tokens of `delta`, in order; only with `topLogprobs`. */
    readonly tokens?: readonly AnswerToken[];
    /** Length of the committed left prefix, in positions. */
    readonly prefixLength: number;
  }
  | {
    readonly type: "end";
    readonly finishReason: FinishReason;
    /** The stop string that ended the answer, if one did. */
    readonly stopText?: string;
    /** The tokens of `text`, in order; only with `topLogprobs`. */
    readonly tokens?: readonly AnswerToken[];
    /** The whole answer; the deltas are its pieces in order. */
    readonly text: string;
    /** All ids of the generation; positions that an early stop left undecided are masks. */
    readonly ids: readonly number[];
    /** If the deadline came before it was done: the answer's tokens, in order. */
    readonly deadline?: readonly DeadlineToken[];
    /** The template with its holes filled, if the request has one. */
    readonly filled?: FilledText;
    readonly usage: Usage;
    readonly stats: GenerateStats;
    /** As in the start. */
    readonly constrained?: boolean;
  };

/** A model that answers requests: the part of a `WorkerEngine` that a server needs. */
export interface TextEngine {
  /**
   * `loading` until the weights are on the GPU, and again after a lost device; `failed` is final.
   */
  readonly state: "loading" | "ready" | "failed";
  /** Why loading failed, why the engine stopped working, or why it loads again. */
  readonly failure?: string;
  /** Summary of the model; known once `ready`. */
  readonly model?: ModelSummary;
  /** The device; known once `ready`. */
  readonly device?: DeviceFacts;
  /** Totals of all answers so far. */
  readonly totals: EngineTotals;
  /** How busy it is, and how well its requests share forward passes. */
  readonly load?: LoadFigures;
  /** Resolves when `ready`, rejects when `failed`; a lost device makes a new promise. */
  readonly ready: Promise<void>;
  /**
   * Denoises one answer. Aborting the signal ends the iteration with its reason at the next step.
   * @throws {RequestError} before the first event, when the request does not fit the model
   * @throws {BusyError} before the first event, when there is no room in the queue, or no turn in time
   * @throws {UnavailableError} when the device was lost or ran out of memory
   */
  generate(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<GenerateEvent>;
  /**
   * Answers a question about text; it needs no forward pass and waits for none.
   * @throws {RequestError} when the text is too long, or the chat template refuses the messages
   */
  text(question: TextQuestion): Promise<TokenizedText>;
  /** Frees the model and stops the Worker. */
  close(): Promise<void>;
}
