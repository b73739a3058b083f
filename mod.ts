/**
 * Masked-diffusion language models (LLaDA) on WebGPU.
 *
 * ```ts
 * import { load } from "@unmask/unmask";
 *
 * using model = await load(); // the embedded tiny model, or load("path/to/a/model")
 * const messages = [{ role: "user", content: "What is 7 times 8?" }];
 * for await (const event of model.generate({ messages })) {
 *   if (event.type === "step") console.log(event.step, event.commits, event.delta);
 *   if (event.type === "end") console.log(event.text);
 * }
 * ```
 *
 * @module
 */

// Loading: a folder, or the embedded model, onto a GPU.
export { load, type LoadOptions } from "./src/engine/load.ts";
export { EMBEDDED_TARGET } from "./src/engine/embedded_models.ts";
export {
  type MemoryOptions,
  WEIGHT_CHOICES,
  type WeightChoice,
} from "./src/model/memory/plan_request.ts";
export type { MemoryPlan } from "./src/model/memory/memory_plan.ts";
export type { SharedPlan } from "./src/model/memory/shared_plan.ts";
export type { ModelMemory } from "./src/model/memory/model_memory.ts";
export type { DeviceChoice } from "./src/gpu/device_choice.ts";
export type { ProviderName } from "./src/gpu/provider.ts";
export type { RowForm } from "./src/gpu/row_form.ts";
export type { Arithmetic, Element } from "./src/gpu/kernel.ts";
export { GROUP_SIZES, type GroupSize } from "./src/quant/scheme.ts";

// A loaded model: what can be asked of it, and what it is.
export type { LoadedModel, ModelFacts } from "./src/engine/loaded_model.ts";
export type { ModelSummary } from "./src/engine/request.ts";

// Answers: a request goes in, events come out. These are plain values, which cross a Worker boundary.
export type {
  AnswerFields,
  AnswerOf,
  AnswerToken,
  CallableFunction,
  ChatMessage,
  CommittedToken,
  Constraint,
  DeadlineToken,
  FilledText,
  FinishReason,
  GenerateEvent,
  GenerateRequest,
  GivenToken,
  Hole,
  LikelyToken,
  QueueFields,
  Revision,
  TemplatePart,
} from "./src/engine/request.ts";

// Where answers are computed.
export type { DeviceFacts } from "./src/engine/device_facts.ts";

// The names that a request's options may have, in lists for programs that offer a choice.
export {
  CACHE_POLICIES,
  type CachePolicy,
  CANVAS_LENGTHS,
  type CanvasLength,
  CONFIDENCE_MEASURES,
  type ConfidenceMeasure,
  QUALITIES,
  type Quality,
  type Remasking,
  REMASKINGS,
  STRATEGY_NAMES,
  type StrategyName,
} from "./src/engine/request.ts";

// What answers cost.
export type { FolderFacts, PromptReport, PromptToken } from "./src/engine/request.ts";
export type { EngineTotals, GenerateStats, LoadFigures } from "./src/engine/request.ts";
export type { PageFigures, PassStats, Usage } from "./src/engine/request.ts";
export type { AcceptanceCount, AcceptanceTally } from "./src/denoise/strategies/acceptance.ts";
export type { ControllerFigures } from "./src/denoise/auto/controller.ts";

// Forward passes: logits, hidden states and predictions, for programs that denoise in their own way.
export {
  type ForwardInput,
  GREEDY,
  type LogitChange,
  NO_TOKEN,
  type Prediction,
  type ScoredToken,
  type TokenChoice,
  type TokenSampling,
  type TokenScores,
} from "./src/denoise/predictor.ts";
export type { ForwardResult, RankedToken } from "./src/model/model.ts";

// A model in a Worker: the calling thread stays free while the GPU computes.
export { WorkerEngine, type WorkerEngineOptions } from "./src/engine/worker_engine.ts";
export type { WorkerPatience } from "./src/engine/worker_watch.ts";
export type { TextEngine, TextQuestion, TokenizedText } from "./src/engine/request.ts";

// Errors of a request: it does not fit, there is no room for it now, or the GPU could not finish it.
export { BusyError, RequestError, UnavailableError } from "./src/engine/request.ts";

// Errors of the GPU: no adapter or device, a lost device, not enough memory.
export { GpuError, GpuFaultError, GpuMemoryError } from "./src/gpu/device.ts";

// Errors of a model folder's files.
export {
  CheckpointError,
  ConfigError,
  type Finding,
  ModelFileError,
} from "./src/weights/model_file_error.ts";
