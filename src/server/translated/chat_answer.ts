/** A chat completion's answer, as far as other APIs' answers are made of it. */
import type { PromptMembers, Timings } from "../answer_report.ts";

/** A call of a tool; in a stream the name comes first, and the arguments in pieces. */
export interface ToolCall {
  /** Which of the answer's calls a piece belongs to; absent in whole answers. */
  readonly index?: number;
  readonly id?: string;
  readonly function?: {
    readonly name?: string;
    /** JSON text. */
    readonly arguments?: string;
  };
}

/** A token's logarithmic probability, in OpenAI's shape for chats. */
export interface TokenLogprob {
  readonly id?: number;
  readonly token: string;
  readonly logprob: number;
  readonly bytes: readonly number[] | null;
  readonly top_logprobs: readonly Omit<TokenLogprob, "top_logprobs">[];
}

/** Log-probabilities of a choice, or of a piece of it. */
export interface ChoiceLogprobs {
  readonly content?: readonly TokenLogprob[] | null;
}

/** Token counts. */
export interface AnswerUsage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

/** Why an answer ended: `stop`, `length` or `tool_calls`. */
export type AnswerEnd = string;

/** The parts of a chat completion that other APIs have a place for. */
export interface WholeAnswer extends PromptMembers {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint?: string;
  readonly choices: readonly {
    readonly index: number;
    readonly message: {
      readonly content: string | null;
      readonly tool_calls?: readonly ToolCall[];
    };
    readonly logprobs?: ChoiceLogprobs | null;
    readonly finish_reason: AnswerEnd;
    /** The stop string that ended the answer, where one did. */
    readonly stop_reason?: string | null;
    readonly token_ids?: readonly number[];
  }[];
  readonly usage: AnswerUsage;
  readonly timings?: Timings;
}

/** The same parts of a chunk of a streamed chat completion. */
export interface AnswerChunk extends PromptMembers {
  /** Which of the completions that were asked for it belongs to, from 0. */
  readonly ask: number;
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint?: string;
  readonly choices: readonly {
    readonly index: number;
    readonly delta: {
      readonly content?: string | null;
      readonly tool_calls?: readonly ToolCall[];
    };
    readonly logprobs?: ChoiceLogprobs | null;
    readonly finish_reason: AnswerEnd | null;
    readonly stop_reason?: string | null;
    readonly token_ids?: readonly number[];
  }[];
  /** In the last chunk; in the others the counts so far, where they were asked for. */
  readonly usage?: AnswerUsage | null;
  readonly timings?: Timings;
  /** A typed event of a denoising step, in chunks of their own. */
  readonly diffusion?: unknown;
}

/** The token counts of a whole answer, which its last chunk has. */
export function finalUsage({ choices, usage, diffusion }: AnswerChunk): AnswerUsage | undefined {
  return choices.length === 0 && diffusion === undefined ? usage ?? undefined : undefined;
}

/** Figures of an answer without any, for streams that broke off before they came. */
export const NO_USAGE: AnswerUsage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
