/**
 * Response types of the chat-completions API: the parts of OpenAI's that this server supports, and
 * what it adds for diffusion. Requests are checked in chat_request.ts.
 */
import { createHash } from "node:crypto";
import type { FinishReason, GenerateEvent, ModelSummary, PassStats } from "../engine/request.ts";
import { addAnswer, NO_TOTALS, sumsByName } from "../engine/stats.ts";
import type { AnswerReport, PromptMembers, Timings } from "./answer_report.ts";
import { type AtDeadline, atDeadline } from "./deadline.ts";
import type { DenoiseEvent } from "./denoise_events.ts";
import type { ChatLogprobs } from "./logprobs.ts";
import { callOf, type MessageDelta, type ToolCall } from "./tools.ts";

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
  /** Seconds of the target's passes that the answer is charged for; requests share passes. */
  readonly target_seconds: number;
  /** Seconds of the draft's passes that it is charged for. */
  readonly draft_seconds: number;
  /** Seconds in which it waited for results: beside others also for their rows and passes. */
  readonly readback_seconds: number;
  /** Seconds from the first forward to the last commit. */
  readonly seconds: number;
}

/**
 * How the answers were denoised: this server's addition to OpenAI's `usage`. The figures of several
 * answers are added.
 */
export interface DiffusionUsage extends DiffusionCounts {
  /** The seed that the first answer used; the same request with it gives the same text. */
  readonly seed: number;
  /** How the answer was denoised. */
  readonly strategy: string;
  /** Which keys and values were reused. */
  readonly cache: string;
  /** Number of steps per choice of strategy auto. */
  readonly choices?: Readonly<Record<string, number>>;
}

/** OpenAI's token counts; answers add up, over one prompt. */
export interface CompletionUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  /** Only with `include_diffusion`. */
  readonly diffusion?: DiffusionUsage;
}

/** Why an answer that is a call ended, in the newer and the older spelling. */
type CallReason = "tool_calls" | "function_call";

/** The answer to a request without `stream`. */
export interface ChatCompletion extends PromptMembers {
  readonly id: string;
  readonly object: "chat.completion";
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
  readonly choices: readonly {
    readonly index: number;
    readonly message: {
      readonly role: "assistant";
      /** null beside a call. */
      readonly content: string | null;
      readonly refusal: null;
      readonly tool_calls?: readonly ToolCall[];
      /** Only in the older spelling. */
      readonly function_call?: ToolCall["function"];
    };
    /** Only with `logprobs`. */
    readonly logprobs: ChatLogprobs | null;
    readonly finish_reason: FinishReason | CallReason;
    /** The stop string that ended the answer, where one did (vLLM's field). */
    readonly stop_reason?: string;
    /** Only with `return_token_ids`. */
    readonly token_ids?: readonly number[];
    readonly deadline?: AtDeadline["deadline"];
  }[];
  readonly usage: CompletionUsage;
  /** Only with `timings_per_token`. */
  readonly timings?: Timings;
}

/** One message of a streamed answer. */
export interface ChatCompletionChunk extends PromptMembers {
  readonly id: string;
  readonly object: "chat.completion.chunk";
  /** Unix seconds, the same in every chunk of an answer. */
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
  /** Empty in the usage chunk and in chunks that carry a `diffusion` event. */
  readonly choices: readonly {
    readonly index: number;
    readonly delta: { readonly role?: "assistant" } & MessageDelta;
    /** Of the tokens whose text the chunk adds; only with `logprobs`. */
    readonly logprobs: ChatLogprobs | null;
    readonly finish_reason: FinishReason | CallReason | null;
    readonly stop_reason?: string;
    /** Only with `return_token_ids`: of the tokens whose text the chunk adds. */
    readonly token_ids?: readonly number[];
    readonly deadline?: AtDeadline["deadline"];
  }[];
  /**
   * Only with `stream_options.include_usage`: null except in the last chunk, or with
   * `continuous_usage_stats` the counts so far.
   */
  readonly usage?: CompletionUsage | null;
  /** Only with `timings_per_token`. */
  readonly timings?: Timings;
  /** Only with `stream_events`. */
  readonly diffusion?: DenoiseEvent & {
    /** Of which choice it tells, where there are several. */
    readonly index?: number;
  };
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

/**
 * Token counts of a request's answers, of which there is at least one.
 * @param includeDiffusion whether to say how they were denoised
 */
export function completionUsage(
  ends: readonly EndEvent[],
  includeDiffusion: boolean,
): CompletionUsage {
  const [{ usage: { promptTokens }, stats: { seed, strategy, cache } }] = ends;
  const totals = ends.reduce(addAnswer, NO_TOTALS);
  const counts = {
    prompt_tokens: promptTokens,
    completion_tokens: totals.completionTokens,
    total_tokens: promptTokens + totals.completionTokens,
  };
  if (!includeDiffusion) return counts;
  const choices = addedChoices(ends);
  return {
    ...counts,
    diffusion: {
      seed,
      strategy,
      cache,
      choices,
      ...diffusionCounts(totals, totals.completionTokens),
    },
  };
}

/** Steps per choice of strategy auto, over all answers. */
function addedChoices(ends: readonly EndEvent[]): DiffusionUsage["choices"] {
  const added = sumsByName(ends.map(({ stats }) => stats.choices ?? {}));
  return Object.keys(added).length > 0 ? added : undefined;
}

/** The whole answer to a request without `stream`. */
export function chatCompletion(
  head: CompletionHead,
  ends: readonly EndEvent[],
  includeDiffusion: boolean,
  calls: AnswerCalls,
  report: AnswerReport,
): ChatCompletion {
  return {
    id: head.id,
    object: "chat.completion",
    created: head.created,
    model: head.model,
    system_fingerprint: head.system_fingerprint,
    choices: ends.map((end, index) => ({
      index,
      ...answerOf(end, calls, report.options.echo),
      logprobs: report.logprobs(end.tokens),
      stop_reason: end.stopText,
      ...report.ids(end.tokens),
      ...atDeadline(end),
    })),
    usage: completionUsage(ends, includeDiffusion),
    ...report.prompt,
    ...report.timings,
  };
}

/** Whether answers may be calls, and how calls are spelled. */
export interface AnswerCalls {
  readonly mayCall: boolean;
  /** Whether calls come in OpenAI's older spelling. */
  readonly olderCalls?: boolean;
}

/** The message of an answer, a call as such, and why it ended. */
function answerOf(
  end: EndEvent,
  { mayCall, olderCalls }: AnswerCalls,
  echo = "",
): Pick<ChatCompletion["choices"][number], "message" | "finish_reason"> {
  const call = mayCall && end.constrained ? callOf(end.text) : undefined;
  const message = { role: "assistant", content: null, refusal: null } as const;
  if (!call) {
    return { message: { ...message, content: echo + end.text }, finish_reason: end.finishReason };
  }
  return olderCalls
    ? { message: { ...message, function_call: call.function }, finish_reason: "function_call" }
    : { message: { ...message, tool_calls: [call] }, finish_reason: "tool_calls" };
}
