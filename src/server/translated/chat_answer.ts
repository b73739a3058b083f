/** A chat completion's answer, as far as other APIs' answers are made of it. */

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
export interface WholeAnswer {
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
  }[];
  readonly usage: AnswerUsage;
}

/** The same parts of a chunk of a streamed chat completion. */
export interface AnswerChunk {
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
  }[];
  /** In the last chunk. */
  readonly usage?: AnswerUsage | null;
}

/** Figures of an answer without any, for streams that broke off before they came. */
export const NO_USAGE: AnswerUsage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 };
