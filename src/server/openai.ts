/**
 * What goes over the wire: the parts of OpenAI's chat-completions API that this server speaks, and
 * what it adds for diffusion. Requests are checked in chat_request.ts.
 */
import { createHash } from "node:crypto";
import type { GenerateEvent, ModelSummary } from "../engine/request.ts";
import type { DenoiseEvent } from "./denoise_events.ts";

/** The last event of a generation. */
export type EndEvent = Extract<GenerateEvent, { type: "end" }>;

/** How the answer was denoised: this server's addition to OpenAI's `usage`. */
export interface DiffusionUsage {
  /** The seed that was used; sent back, it gives the same text. */
  readonly seed: number;
  /** How the answer was denoised. */
  readonly strategy: string;
  /** Which keys and values were reused. */
  readonly cache: string;
  /** Forward passes of the target; a batch of states counts once. */
  readonly forwards: number;
  /** States in those passes. */
  readonly target_states: number;
  /** Forward passes of the draft. */
  readonly draft_forwards: number;
  /** Passes that ran after there was nothing left to do. */
  readonly idle_forwards: number;
  /** Steps (strategies gate and commit_verify: tokens) proposed. */
  readonly proposed: number;
  /** Of those, accepted. */
  readonly accepted: number;
  /** Rounds by how many proposals they accepted. */
  readonly accepted_lengths: readonly number[];
  /** What strategy auto chose: steps by choice. */
  readonly choices?: Readonly<Record<string, number>>;
  /** `completion_tokens / forwards`. */
  readonly tokens_per_forward: number;
  /** Readbacks from the GPU. */
  readonly readbacks: number;
  /** Seconds from the first forward to the last commit. */
  readonly seconds: number;
}

/** OpenAI's token counts, with the diffusion figures beside them. */
export interface CompletionUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly diffusion: DiffusionUsage;
}

/** Why an answer ended. */
export type FinishReason = "stop" | "length";

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
    readonly logprobs: null;
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
    readonly logprobs: null;
    readonly finish_reason: FinishReason | null;
  }[];
  /** Only with `stream_options.include_usage`: null until the chunk behind the last choice. */
  readonly usage?: CompletionUsage | null;
  /** Only with `stream_events`. */
  readonly diffusion?: DenoiseEvent;
}

/** What every answer and every chunk of one request have in common. */
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

/** Token counts and diffusion figures of a finished generation. */
export function completionUsage(end: EndEvent): CompletionUsage {
  const { usage, stats } = end;
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    diffusion: {
      seed: stats.seed,
      strategy: stats.strategy,
      cache: stats.cache,
      forwards: stats.forwards,
      target_states: stats.targetStates,
      draft_forwards: stats.draftForwards,
      idle_forwards: stats.idleForwards,
      proposed: stats.proposed,
      accepted: stats.accepted,
      accepted_lengths: stats.acceptedLengths,
      choices: stats.choices,
      tokens_per_forward: stats.forwards === 0 ? 0 : usage.completionTokens / stats.forwards,
      readbacks: stats.readbacks,
      seconds: stats.seconds,
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
      logprobs: null,
      finish_reason: end.finishReason,
    }],
    usage: completionUsage(end),
  };
}
