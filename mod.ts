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

export {
  type ForwardInput,
  GREEDY,
  NO_TOKEN,
  type Prediction,
  type TokenChoice,
} from "./src/denoise/predictor.ts";
export type { AcceptanceCount, AcceptanceTally } from "./src/denoise/strategies/acceptance.ts";
export type { ControllerFigures } from "./src/denoise/auto/controller.ts";
export { EMBEDDED_DRAFT, EMBEDDED_TARGET } from "./src/engine/embedded_models.ts";
export { type EngineOptions, load } from "./src/engine/load.ts";
export type { LoadedModel } from "./src/engine/loaded_model.ts";
export {
  BusyError,
  CACHE_POLICIES,
  type CachePolicy,
  type ChatMessage,
  type CommittedToken,
  CONFIDENCE_MEASURES,
  type ConfidenceMeasure,
  type EngineTotals,
  type GenerateEvent,
  type GenerateRequest,
  type GenerateStats,
  type ModelSummary,
  type PassStats,
  QUALITIES,
  type Quality,
  RequestError,
  STRATEGY_NAMES,
  type StrategyName,
  type TextEngine,
  UnavailableError,
  type Usage,
} from "./src/engine/request.ts";
export { WorkerEngine, type WorkerEngineOptions } from "./src/engine/worker_engine.ts";
export { GpuError, GpuMemoryError } from "./src/gpu/device.ts";
export { type Arithmetic, ARITHMETICS, type Element, ELEMENTS } from "./src/gpu/kernel.ts";
export type { RowGroups, TilePlan } from "./src/kernels/weight_matrix.ts";
export { type LoadProgress, type ProviderName, PROVIDERS } from "./src/model/loading/load.ts";
export type { MemoryPlan, ModelMemory } from "./src/model/memory/memory_plan.ts";
export type { MemoryOptions, WeightChoice } from "./src/model/memory/plan_request.ts";
export {
  parseTunedTiles,
  TUNED_FORMAT,
  type TunedEntry,
  type TunedTiles,
} from "./src/model/tiles/tuned_tiles.ts";
export type { ForwardResult, RankedToken } from "./src/model/model.ts";
export {
  CheckpointError,
  ConfigError,
  type Finding,
  ModelFileError,
} from "./src/weights/model_file_error.ts";
export type { GroupSize } from "./src/quant/scheme.ts";
