/** The public interface of a loaded model, for programs that import this package. */

import type { ForwardInput, Prediction } from "../denoise/predictor.ts";
import type { ForwardResult, RankedToken } from "../model/model.ts";
import type { LoadFigures } from "./load_figures.ts";
import type {
  ChatMessage,
  EngineTotals,
  GenerateEvent,
  GenerateRequest,
  ModelSummary,
} from "./request.ts";

/** Sizes and token ids that a program needs to build inputs and read outputs. */
export interface ModelFacts {
  /** The model family, from config.json's `model_type`: `llada`. */
  readonly modelType: string;
  /** The id of a position that is not decided yet; a generation begins with only masks. */
  readonly maskTokenId: number;
  /** Ids that end an answer: end of text, and end of turn if the model has one. */
  readonly endTokenIds: readonly number[];
  /** Ids that the tokenizer may know, `[0, vocabSize)`. */
  readonly vocabSize: number;
  /** Columns of the logits and rows of the embedding: `vocabSize` plus padding ids after it. */
  readonly embeddingSize: number;
  /** Longest sequence, prompt and generation together, in tokens. */
  readonly contextLength: number;
  /** Channels of a hidden state. */
  readonly hiddenSize: number;
  /** Transformer blocks. */
  readonly layers: number;
  /** Query heads of a layer. */
  readonly heads: number;
  /** Key and value heads of a layer; their number divides `heads`. */
  readonly kvHeads: number;
  /** Channels of a head. */
  readonly headDim: number;
  /** Channels inside the feed-forward layer. */
  readonly ffnSize: number;
}

/**
 * A model on the GPU with its tokenizer. Calls may overlap: those of `generate` and `predict` share
 * forward passes, which changes no bit of their results, and the others take turns with these.
 */
export interface LoadedModel extends Disposable {
  /** The model's name, defaults of a request, and a warning if there is one. */
  readonly summary: ModelSummary;
  /** Token ids and sizes. */
  readonly facts: ModelFacts;
  /** Totals of all answers so far. */
  readonly totals: EngineTotals;
  /** How busy it is, and how well its requests share forward passes. */
  readonly load: LoadFigures;
  /**
   * Denoises one answer. It yields an event for the start, each denoising step and the end.
   *
   * ```ts
   * import { load } from "@unmask/unmask";
   *
   * using model = await load();
   * const messages = [{ role: "user", content: "What is 7 times 8?" }];
   * const request = { messages, strategy: "threshold", threshold: 0.95 } as const;
   * for await (const event of model.generate(request, AbortSignal.timeout(60_000))) {
   *   if (event.type === "step") console.log(event.commits.map(({ position }) => position));
   *   if (event.type === "end") console.log(event.text, event.stats.forwards);
   * }
   * ```
   *
   * @throws {RequestError} before the first event, when the request does not fit the model
   * @throws {BusyError} before the first event, when too many requests wait
   * @throws {UnavailableError} when the GPU has too little memory for it
   * @throws {GpuFaultError} when the device was lost: load the model again
   * @throws the signal's reason at the next step after it was aborted
   */
  generate(request: GenerateRequest, signal?: AbortSignal): AsyncIterable<GenerateEvent>;
  /** Token ids of a text; the names of control tokens in it are encoded as text. */
  encode(text: string): number[];
  /** The text of token ids, without control tokens. */
  decode(ids: Iterable<number>): string;
  /**
   * Token ids of a conversation, ready for an answer.
   * @throws {RequestError} when it is too long to be encoded
   */
  encodeChat(messages: readonly ChatMessage[]): Uint32Array;
  /**
   * Computes logits and hidden states of one sequence and reads them back, for inspection.
   *
   * ```ts
   * import { load } from "@unmask/unmask";
   *
   * using model = await load();
   * const { maskTokenId, embeddingSize } = model.facts;
   * const prompt = model.encodeChat([{ role: "user", content: "What is 7 times 8?" }]);
   * const ids = Uint32Array.of(...prompt, maskTokenId, maskTokenId);
   * const { logits } = await model.forward(ids); // [ids.length, embeddingSize], row-major f32
   * const lastRow = logits.subarray((ids.length - 1) * embeddingSize);
   * console.log(lastRow.indexOf(Math.max(...lastRow)));
   * ```
   *
   * @param ids `[length]`, with masks at positions that are not decided
   * @param options.attentionMask `[length]`, 0 hides a position, which gets no row; default all
   * ones
   * @returns logits `[rows, embeddingSize]` and hidden states `[rows, hiddenSize]`, a row for each
   * position that is not hidden
   * @throws {RangeError} naming what is wrong with the input
   * @throws {GpuError} when the sequence is too long for the device, or the device was lost
   */
  forward(
    ids: Uint32Array,
    options?: { readonly attentionMask?: Uint8Array },
  ): Promise<ForwardResult>;
  /**
   * Predicts tokens at the given positions, in one forward pass for all inputs. A sequence's result
   * has the same bits whatever else is in the batch.
   *
   * ```ts
   * import { GREEDY, load } from "@unmask/unmask";
   *
   * using model = await load();
   * const prompt = model.encodeChat([{ role: "user", content: "What is 7 times 8?" }]);
   * const ids = Uint32Array.of(...prompt, model.facts.maskTokenId);
   * const positions = Uint32Array.of(prompt.length);
   * const [[first]] = await model.predict([{ ids, positions, choice: GREEDY }]);
   * console.log(model.decode([first.token]), first.confidence);
   * ```
   *
   * @returns for each input, its predictions in the order of `positions`
   * @throws {RangeError} naming what is wrong with an input
   * @throws {GpuError} when a sequence is too long for the device or, with its shadows and guidance, has
   * more rows than the model is loaded for (`batchRows`), or the device was lost
   */
  predict(inputs: readonly ForwardInput[]): Promise<Prediction[][]>;
  /**
   * Finds the k likeliest tokens at some positions of a sequence, largest logit first.
   *
   * ```ts
   * import { load } from "@unmask/unmask";
   *
   * using model = await load();
   * const prompt = model.encodeChat([{ role: "user", content: "What is 7 times 8?" }]);
   * const ids = Uint32Array.of(...prompt, model.facts.maskTokenId);
   * const [top] = await model.topTokens({ ids, positions: Uint32Array.of(prompt.length) }, 5);
   * for (const { token, logit } of top) console.log(model.decode([token]), logit);
   * ```
   *
   * @returns for each of `positions`, `min(k, embeddingSize)` tokens
   * @throws {RangeError} naming what is wrong with the input, or a k below 1
   * @throws {GpuError} when the sequence is too long for the device, or the device was lost
   */
  topTokens(
    input: Pick<ForwardInput, "ids" | "attentionMask" | "positions" | "guidance">,
    k: number,
  ): Promise<RankedToken[][]>;
  /** Frees the model and its device. `using` calls this. */
  [Symbol.dispose](): void;
}
