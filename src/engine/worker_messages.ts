/** Messages between the engine's Worker and the thread that owns it. */

import type { ProviderName } from "../model/loading/load.ts";
import type { MemoryPlan } from "../model/memory/memory_plan.ts";
import type { EngineOptions } from "./load.ts";
import type { LoadFigures } from "./load_figures.ts";
import {
  BusyError,
  type EngineTotals,
  type GenerateEvent,
  type GenerateRequest,
  type ModelSummary,
  RequestError,
  type TextQuestion,
  type TokenizedText,
  UnavailableError,
} from "./request.ts";

/** The engine's options that can be sent to a Worker. */
export type WorkerLoadOptions =
  & Omit<EngineOptions, "provider" | "tuning" | "onProgress" | "onProvider" | "onPlan" | "onWait">
  & {
    /** Name of the provider, since an object cannot leave its thread. */
    readonly provider?: ProviderName;
  };

/** Messages to the Worker. */
export type ToWorker =
  | {
    readonly type: "load";
    readonly dir: string;
    readonly options: WorkerLoadOptions;
  }
  | { readonly type: "generate"; readonly id: number; readonly request: GenerateRequest }
  | { readonly type: "text"; readonly id: number; readonly question: TextQuestion }
  | { readonly type: "cancel"; readonly id: number }
  | { readonly type: "close" };

/** Messages from the Worker. */
export type FromWorker =
  /** Sent again and again; `waits`: what comes next may take the GPU, and so the thread, long. */
  | { readonly type: "alive"; readonly waits: boolean; readonly load?: LoadFigures }
  | { readonly type: "progress"; readonly done: number; readonly total: number }
  | { readonly type: "provided"; readonly line: string }
  | { readonly type: "planned"; readonly line: string; readonly plan: MemoryPlan }
  | { readonly type: "ready"; readonly model: ModelSummary; readonly adapter: string }
  | { readonly type: "lost"; readonly reason: string }
  | { readonly type: "failed"; readonly reason: string }
  | { readonly type: "event"; readonly id: number; readonly event: GenerateEvent }
  | { readonly type: "text"; readonly id: number; readonly answer: TokenizedText }
  | { readonly type: "totals"; readonly totals: EngineTotals; readonly load: LoadFigures }
  | { readonly type: "closed" }
  | { readonly type: "done"; readonly id: number }
  | { readonly type: "error"; readonly id: number; readonly error: PlainError };

/** An error as a plain value that can be posted. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly field?: string;
  readonly code?: RequestError["code"] | UnavailableError["code"];
  readonly promptTokens?: number;
  readonly reason?: string;
  readonly retryAfter?: number;
}

/** Turns an error into a plain value, from which {@linkcode fromPlain} makes the same error. */
export function toPlain(error: unknown): PlainError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const { name, message } = error;
  if (error instanceof RequestError) {
    const { field, code, promptTokens } = error;
    return { name, message, field, code, promptTokens };
  }
  if (error instanceof UnavailableError) {
    return { name, message, code: error.code, reason: error.reason };
  }
  if (error instanceof BusyError) {
    return { name, message, retryAfter: error.retryAfter, reason: error.reason };
  }
  return { name, message };
}

/** Turns a plain value back into an error, of its original class if that is part of the API. */
export function fromPlain(error: PlainError): Error {
  const { field, code, reason, promptTokens, retryAfter } = error;
  if (field !== undefined) {
    return new RequestError(field, error.message, code as RequestError["code"], promptTokens);
  }
  if (retryAfter !== undefined) {
    return new BusyError(error.message, retryAfter, reason as BusyError["reason"]);
  }
  if (reason !== undefined) {
    return new UnavailableError(error.message, code as UnavailableError["code"], reason);
  }
  const other = new Error(error.message);
  other.name = error.name;
  return other;
}
