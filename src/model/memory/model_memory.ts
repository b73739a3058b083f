/** The GPU memory of one model, and of several together. */

import { type Checkpoint, openCheckpoint } from "../../weights/checkpoint.ts";
import { limitContext, type ModelConfig, readConfig } from "../loading/config.ts";
import { checkTensors } from "../loading/tensors.ts";
import type { DeviceLimits } from "./counting_gpu.ts";
import { type AnswerShape, type DryRun, dryRun } from "./dry_run.ts";
import { pagesFor } from "../batch/page_book.ts";
import type { PlanRequest, WeightChoice } from "./plan_request.ts";
import { precisionOf } from "./precision.ts";
import { pageBytes, sharedRows, statePages } from "./shared_plan.ts";

/** Bytes of one model on the GPU. */
export interface ModelMemory {
  /** Path of the model folder. */
  readonly folder: string;
  /** How its linear layers are kept. */
  readonly choice: WeightChoice;
  /** Bytes of all weights and the rotation table. */
  readonly weights: number;
  /** Bytes of kept keys and values at the context length. */
  readonly cache: number;
  /** Bytes that an answer at the context length takes besides. */
  readonly activations: number;
  /** Bytes in use only while loading. */
  readonly staging: number;
  /** Rows of a shared pass. */
  readonly rows: number;
  /** Bytes of a page of keys and values. */
  readonly page: number;
}

/** The bytes of a model without its name and choice. */
export type ModelBytes = Omit<ModelMemory, "folder" | "choice" | "rows" | "page">;

/** Peak of the bytes in use: models are loaded one after another, then all are used together. */
export function bytesOf(models: readonly ModelBytes[]): number {
  const sum = (of: (model: ModelBytes) => number) =>
    models.reduce((total, model) => total + of(model), 0);
  const staging = Math.max(...models.map(({ staging }) => staging));
  return sum(({ weights }) => weights) +
    Math.max(staging, sum(({ cache, activations }) => cache + activations));
}

/** The settings that decide the bytes of a model. */
export type MemoryQuestion =
  & Pick<
    PlanRequest,
    "arithmetic" | "group" | "head" | "kvCache" | "answer" | "cache" | "batchRows"
  >
  & { readonly context: number };

/** Computes the memory of models on a device. It keeps results and opens each folder once. */
export class KnownMemory implements Disposable {
  readonly #device: DeviceLimits;
  readonly #configs = new Map<string, ModelConfig>();
  readonly #checkpoints = new Map<string, Checkpoint>();
  readonly #found = new Map<string, Promise<ModelMemory>>();

  constructor(device: DeviceLimits) {
    this.#device = device;
  }

  /** @throws {ConfigError} naming the field that is wrong or not supported */
  config(folder: string): ModelConfig {
    const known = this.#configs.get(folder) ?? readConfig(folder);
    this.#configs.set(folder, known);
    return known;
  }

  /**
   * @param folder folder of the model; its linear layers are kept as `choice` says
   * @param isDraft whether the model only proposes
   * @throws {GpuError} when the device cannot hold it, even with enough memory
   * @throws {CheckpointError} when a tensor does not match the configuration
   */
  model(
    folder: string,
    choice: WeightChoice,
    isDraft: boolean,
    { arithmetic, group, head, kvCache, answer, cache, batchRows, context }: MemoryQuestion,
  ): Promise<ModelMemory> {
    const question = { arithmetic, group, head, kvCache, answer, cache, batchRows, context };
    const key = JSON.stringify([folder, choice, isDraft, question]);
    const found = this.#found.get(key) ?? this.#ask(folder, choice, isDraft, question);
    this.#found.set(key, found);
    return found;
  }

  async #ask(
    folder: string,
    choice: WeightChoice,
    isDraft: boolean,
    question: MemoryQuestion,
  ): Promise<ModelMemory> {
    const own = this.config(folder);
    const context = Math.min(question.context, own.maxSequenceLength);
    const precision = precisionOf(choice, question, own);
    const loaded = await dryRun(
      limitContext(own, context),
      this.#checkpoint(folder, own),
      this.#device,
      precision,
    );
    const page = pageBytes(this.#device, own, question.kvCache);
    const most = sharedRows(context, question.batchRows);
    // A draft's passes have as many rows as one answer, at most.
    const rows = isDraft ? Math.min(most, context) : most;
    const shared = { rows, isDraft };
    const { activations, cache } = await answerMemory(loaded, context, shared, question, page);
    const { weightBytes: weights, loadingBytes: staging } = loaded;
    return { folder, choice, weights, cache, activations, staging, rows, page };
  }

  #checkpoint(folder: string, config: ModelConfig): Checkpoint {
    const known = this.#checkpoints.get(folder);
    if (known) return known;
    using stack = new DisposableStack();
    const checkpoint = stack.use(openCheckpoint(folder));
    checkTensors(config, checkpoint);
    stack.move();
    this.#checkpoints.set(folder, checkpoint);
    return checkpoint;
  }

  [Symbol.dispose](): void {
    for (const checkpoint of this.#checkpoints.values()) checkpoint[Symbol.dispose]();
    this.#checkpoints.clear();
  }
}

/** Memory of answers up to the context length. A draft verifies nothing. */
async function answerMemory(
  planned: DryRun,
  context: number,
  shared: NonNullable<AnswerShape["shared"]>,
  request: MemoryQuestion,
  page: number,
): Promise<{ readonly activations: number; readonly cache: number }> {
  const maxTokens = Math.min(request.answer.maxTokens, context - 1);
  const shape = {
    promptTokens: context - maxTokens,
    maxTokens,
    blockLength: Math.min(request.answer.blockLength, maxTokens),
  };
  const activations = await planned.activationBytes({ ...shape, shared });
  if (!request.cache) return { activations, cache: 0 };
  // States have keys and values of their own while they are verified.
  const ofStates = shared.isDraft ? 0 : statePages(request, context);
  return { activations, cache: (pagesFor(context) + ofStates) * page };
}
