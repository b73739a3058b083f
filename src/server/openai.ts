/**
 * Response types of the chat-completions API: the parts of OpenAI's that this server supports, and
 * what it adds for diffusion. Requests are checked in chat_request.ts.
 */
import { createHash } from "node:crypto";
import type { FinishReason, GenerateEvent, ModelSummary, PassStats } from "../engine/request.ts";
import type { DenoiseEvent } from "./denoise_events.ts";
import { type ChatLogprobs, chatLogprobs } from "./logprobs.ts";

/** The last event of a generation. */
export type EndEvent = Extract<GenerateEvent, { type: "end" }>;

/** Numbers of judged proposals, and how many of them were accepted. */
type AcceptanceCounts = readonly { readonly proposed: number; readonly accepted: number }[];

/** Forward passes, proposals and time of one answer or of all answers. */
export interface DiffusionCounts {
  /** Forward passes of the target; a batch of states counts once. */
  readonly forwards: number;
  /** States in those passes. */
  readonly target_states: number;
  /** Forward passes of the draft. */
  readonly draft_forwards: number;
  /** Passes that ran after the work was done. */
  readonly idle_forwards: number;
  /** Passes that recomputed all cached keys and values. */
  readonly cache_refreshes: number;
  /** Steps (strategies gate and commit_verify: tokens) proposed. */
  readonly proposed: number;
  /** Proposals that were accepted. */
  readonly accepted: number;
  /** Number of rounds that accepted 0, 1, 2 ... proposals. */
  readonly accepted_lengths: readonly number[];
  /** Judged and accepted tokens; absent if none were judged. */
  readonly acceptance?: {
    /** By step of the round, from the first. */
    readonly by_depth: AcceptanceCounts;
    /** By masked share of the generation, in tenths. */
    readonly by_mask_ratio: AcceptanceCounts;
    /** By position in the generation, from 0. */
    readonly by_position: AcceptanceCounts;
  };
  /** `completion_tokens / forwards`. */
  readonly tokens_per_forward: number;
  /** Readbacks from the GPU. */
  readonly readbacks: number;
  /** Seconds in calls of the target. */
  readonly target_seconds: number;
  /** Seconds in calls of the draft. */
  readonly draft_seconds: number;
  /** Seconds of those two in which the host waited for the GPU's results. */
  readonly readback_seconds: number;
  /** Seconds from the first forward to the last commit. */
  readonly seconds: number;
}

/** How the answer was denoised: this server's addition to OpenAI's `usage`. */
export interface DiffusionUsage extends DiffusionCounts {
  /** The seed that was used; the same request with it gives the same text. */
  readonly seed: number;
  /** How the answer was denoised. */
  readonly strategy: string;
  /** Which keys and values were reused. */
  readonly cache: string;
  /** Number of steps per choice of strategy auto. */
  readonly choices?: Readonly<Record<string, number>>;
}

/** OpenAI's token counts, with the diffusion figures beside them. */
export interface CompletionUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly diffusion: DiffusionUsage;
}

/** The answer to a request without `stream`. */
export interface ChatCompletion {
  readonly id: string;
  readonly object: "chat.completion";
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
  readonly choices: readonly [{
    readonly index: 0;
    readonly message: {
      readonly role: "assistant";
      readonly content: string;
      readonly refusal: null;
    };
    /** Only with `logprobs`. */
    readonly logprobs: ChatLogprobs | null;
    readonly finish_reason: FinishReason;
  }];
  readonly usage: CompletionUsage;
}

/** One message of a streamed answer. */
export interface ChatCompletionChunk {
  readonly id: string;
  readonly object: "chat.completion.chunk";
  /** Unix seconds, the same in every chunk of an answer. */
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
  /** Empty in the usage chunk and in chunks that carry a `diffusion` event. */
  readonly choices: readonly {
    readonly index: 0;
    readonly delta: { readonly role?: "assistant"; readonly content?: string };
    /** Of the tokens whose text the chunk adds; only with `logprobs`. */
    readonly logprobs: ChatLogprobs | null;
    readonly finish_reason: FinishReason | null;
  }[];
  /** Only with `stream_options.include_usage`: null except in the last chunk. */
  readonly usage?: CompletionUsage | null;
  /** Only with `stream_events`. */
  readonly diffusion?: DenoiseEvent;
}

/** Fields that are the same in every response and chunk of one request. */
export interface CompletionHead {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
}

/**
 * A new answer's id (`chatcmpl-` and 32 random hex digits) and time, and the model's fingerprint:
 * `fp_` and ten hex digits of its summary's hash.
 */
export function completionHead(model: ModelSummary): CompletionHead {
  const hash = createHash("sha256").update(JSON.stringify({ ...model, created: undefined })).digest(
    "hex",
  );
  return {
    id: `chatcmpl-${crypto.randomUUID().replaceAll("-", "")}`,
    created: Math.floor(Date.now() / 1000),
    model: model.id,
    system_fingerprint: `fp_${hash.slice(0, 10)}`,
  };
}

/** Figures of one answer, or of all, with `completionTokens` tokens. */
export function diffusionCounts(stats: PassStats, completionTokens: number): DiffusionCounts {
  const { byDepth, byMaskRatio, byPosition } = stats.acceptance;
  return {
    forwards: stats.forwards,
    target_states: stats.targetStates,
    draft_forwards: stats.draftForwards,
    idle_forwards: stats.idleForwards,
    cache_refreshes: stats.cacheRefreshes,
    proposed: stats.proposed,
    accepted: stats.accepted,
    accepted_lengths: stats.acceptedLengths,
    acceptance: byDepth.length === 0
      ? undefined
      : { by_depth: byDepth, by_mask_ratio: byMaskRatio, by_position: byPosition },
    tokens_per_forward: stats.forwards === 0 ? 0 : completionTokens / stats.forwards,
    readbacks: stats.readbacks,
    target_seconds: stats.targetSeconds,
    draft_seconds: stats.draftSeconds,
    readback_seconds: stats.readbackSeconds,
    seconds: stats.seconds,
  };
}

/** Token counts and diffusion figures of a finished generation. */
export function completionUsage(end: EndEvent): CompletionUsage {
  const { usage, stats } = end;
  const { seed, strategy, cache, choices } = stats;
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    diffusion: {
      seed,
      strategy,
      cache,
      choices,
      ...diffusionCounts(stats, usage.completionTokens),
    },
  };
}

/** The whole answer to a request without `stream`. */
export function chatCompletion(head: CompletionHead, end: EndEvent): ChatCompletion {
  return {
    id: head.id,
    object: "chat.completion",
    created: head.created,
    model: head.model,
    system_fingerprint: head.system_fingerprint,
    choices: [{
      index: 0,
      message: { role: "assistant", content: end.text, refusal: null },
      logprobs: chatLogprobs(end.tokens),
      finish_reason: end.finishReason,
    }],
    usage: completionUsage(end),
  };
}
