/**
 * Fields of vLLM's and llama-server's, about what an answer reports of itself and of its prompt, and
 * about where it may end. Their meaning is told in README.md.
 */
import { z } from "zod";
import type { ChatMessage, GenerateRequest } from "../engine/request.ts";
import { ApiError } from "./errors.ts";

/** The fields' schemas, for one model's context. */
export function reportShape(contextLength: number) {
  const flag = z.boolean({ error: "true or false" }).optional();
  const least = `an integer from 0 to ${contextLength}`;
  const count = "an integer from 0 to 20";
  return {
    min_tokens: z.int({ error: least }).min(0, { error: least })
      .max(contextLength, { error: least }).optional(),
    include_stop_str_in_output: flag,
    // Which ids there are, the engine knows.
    stop_token_ids: z.array(z.int({ error: "a token id" }), { error: "up to 64 token ids" })
      .max(64, { error: "up to 64 token ids" }).optional(),
    return_token_ids: flag,
    return_tokens_as_token_ids: flag,
    prompt_logprobs: z.int({ error: count }).min(0, { error: count }).max(20, { error: count })
      .optional(),
    timings_per_token: flag,
    echo: flag,
    add_generation_prompt: flag,
    continue_final_message: flag,
  };
}

/** Their values. */
export type ReportFields = {
  readonly [K in keyof ReturnType<typeof reportShape>]?: z.infer<
    ReturnType<typeof reportShape>[K]
  >;
};

/** What a response reports beside the answers. */
export interface ReportOptions {
  /** The given beginning of the answer, if it is to be said again. */
  readonly echo?: string;
  /** Whether prompt and answers have their tokens' ids. */
  readonly tokenIds?: boolean;
  /** Whether log-probabilities name tokens by their ids. */
  readonly namesByIds?: boolean;
  /** Whether log-probabilities were not asked for, though the tokens are known. */
  readonly hidesLogprobs?: boolean;
  /** Whether it has times. */
  readonly timings?: boolean;
  /** Whether all chunks of a stream have token counts. */
  readonly continuousUsage?: boolean;
}

/** What the fields make of a request. */
export interface AskedReport {
  readonly report: ReportOptions;
  readonly generate: Pick<
    GenerateRequest,
    | "minTokens"
    | "keepStop"
    | "stopTokenIds"
    | "reportsPrompt"
    | "reportsTokens"
    | "promptLogprobs"
    | "topLogprobs"
    | "prefill"
  >;
  /** Fields that have no use in this request. */
  readonly ignored: readonly string[];
}

/**
 * Turns the fields into what the engine and the response do.
 * @param topLogprobs what the request asks of its answer's log-probabilities
 * @throws {ApiError} 400 for fields that do not go together
 */
export function askedReport(
  fields: ReportFields,
  messages: readonly ChatMessage[],
  topLogprobs: number | undefined,
  { stream, continuousUsage }: { readonly stream: boolean; readonly continuousUsage: boolean },
): AskedReport {
  const last = messages.at(-1);
  const mayContinue = last?.role === "assistant" && messages.length > 1;
  const { continue_final_message: continues, add_generation_prompt: opens } = fields;
  if (continues && opens) {
    throw unfit(
      "continue_final_message",
      "stands beside add_generation_prompt: send one of the two",
    );
  }
  if (continues && !mayContinue) {
    throw unfit("continue_final_message", "is for a last message of the assistant, after others");
  }
  if (stream && fields.prompt_logprobs !== undefined) {
    throw unfit("prompt_logprobs", "is not for streams: leave it or stream out");
  }
  const isContinued = mayContinue && continues !== false;
  const knowsTokens = fields.return_token_ids || continuousUsage;
  return {
    report: {
      echo: fields.echo && isContinued ? last.content : undefined,
      tokenIds: fields.return_token_ids,
      namesByIds: fields.return_tokens_as_token_ids,
      hidesLogprobs: topLogprobs === undefined,
      timings: fields.timings_per_token,
      continuousUsage,
    },
    generate: {
      minTokens: fields.min_tokens,
      keepStop: fields.include_stop_str_in_output,
      stopTokenIds: fields.stop_token_ids,
      reportsPrompt: fields.return_token_ids,
      promptLogprobs: fields.prompt_logprobs,
      topLogprobs,
      reportsTokens: knowsTokens || undefined,
      // An empty beginning: the last message is a turn of its own, and the answer another.
      prefill: mayContinue && !isContinued ? "" : undefined,
    },
    ignored: [
      // The answer's turn has its header in any case: without it the model was trained on nothing.
      ...opens === false && !isContinued ? ["add_generation_prompt"] : [],
      ...fields.echo && !isContinued ? ["echo"] : [],
    ],
  };
}

function unfit(param: string, reason: string): ApiError {
  return new ApiError(400, "invalid_value", `'${param}' ${reason}.`, { param });
}
