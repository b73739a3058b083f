/** The public face of a loaded model, for programs that import this package. */

import type { ForwardInput, Prediction } from "../denoise/predictor.ts";
import type { ForwardResult, RankedToken } from "../model/model.ts";
import type {
  ChatMessage,
  EngineTotals,
  GenerateEvent,
  GenerateRequest,
  ModelSummary,
} from "./request.ts";

/** A model on the GPU with its tokenizer. Calls queue up: one uses the GPU at a time. */
export interface LoadedModel extends Disposable {
  /** Name, context length and defaults. */
  readonly summary: ModelSummary;
  /** What it has done so far. */
  readonly totals: EngineTotals;
  /**
   * Denoises one answer: an event for the start, for every denoising step, and for the end.
   * @throws {RequestError} before the first event, when the request does not fit the model
   * @throws the signal's reason at the next step after it was aborted
   */
  generate(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<GenerateEvent>;
  /** Token ids of a text; control tokens typed in it stay text. */
  encode(text: string): number[];
  /** The text of token ids, control tokens left out. */
  decode(ids: Iterable<number>): string;
  /**
   * Token ids of a conversation, ready for an answer.
   * @throws {RequestError} when it is too long to be encoded
   */
  encodeChat(messages: readonly ChatMessage[]): Uint32Array;
  /**
   * Logits and hidden states of one sequence, brought to the host: for inspection.
   * @throws {RangeError} naming what is wrong with the input
   */
  forward(
    ids: Uint32Array,
    options?: { readonly attentionMask?: Uint8Array },
  ): Promise<ForwardResult>;
  /**
   * Predictions at the positions asked for, one forward pass for all inputs. A sequence's answer has
   * the same bits whatever else is in the batch.
   * @throws {RangeError} naming what is wrong with an input
   */
  predict(inputs: readonly ForwardInput[]): Promise<Prediction[][]>;
  /** The k likeliest tokens at some positions of a sequence, largest logit first. */
  topTokens(
    input: Pick<ForwardInput, "ids" | "attentionMask" | "positions" | "guidance">,
    k: number,
  ): Promise<RankedToken[][]>;
}
