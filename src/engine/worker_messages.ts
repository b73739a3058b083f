/** What the engine's Worker and its owner say to each other. */

import type { ProviderName } from "../model/loading/load.ts";
import type { MemoryPlan } from "../model/memory/memory_plan.ts";
import type { EngineOptions } from "./load.ts";
import {
  BusyError,
  type EngineTotals,
  type GenerateEvent,
  type GenerateRequest,
  type ModelSummary,
  RequestError,
  UnavailableError,
} from "./request.ts";

/** What of the engine's options a Worker can be told. */
export type WorkerLoadOptions =
  & Omit<EngineOptions, "provider" | "tuning" | "onProgress" | "onPlan" | "onWait">
  & {
    /** A name: an object stays in the thread that made it. */
    readonly provider?: ProviderName;
  };

/** To the Worker. */
export type ToWorker =
  | {
    readonly type: "load";
    readonly dir: string;
    readonly options: WorkerLoadOptions;
  }
  | { readonly type: "generate"; readonly id: number; readonly request: GenerateRequest }
  | { readonly type: "cancel"; readonly id: number }
  | { readonly type: "close" };

/** From the Worker. */
export type FromWorker =
  /** Sent again and again; `waits`: what comes next may take the GPU, and so the thread, long. */
  | { readonly type: "alive"; readonly waits: boolean }
  | { readonly type: "progress"; readonly done: number; readonly total: number }
  | { readonly type: "planned"; readonly line: string; readonly plan: MemoryPlan }
  | { readonly type: "ready"; readonly model: ModelSummary; readonly adapter: string }
  | { readonly type: "lost"; readonly reason: string }
  | { readonly type: "failed"; readonly reason: string }
  | { readonly type: "event"; readonly id: number; readonly event: GenerateEvent }
  | { readonly type: "totals"; readonly totals: EngineTotals }
  | { readonly type: "closed" }
  | { readonly type: "done"; readonly id: number }
  | { readonly type: "error"; readonly id: number; readonly error: PlainError };

/** An error as a value that can be posted. */
export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly field?: string;
  readonly code?: RequestError["code"] | UnavailableError["code"];
  readonly reason?: string;
  readonly retryAfter?: number;
}

/** @returns what {@linkcode fromPlain} makes the same error of */
export function toPlain(error: unknown): PlainError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const { name, message } = error;
  if (error instanceof RequestError) {
    return { name, message, field: error.field, code: error.code };
  }
  if (error instanceof UnavailableError) {
    return { name, message, code: error.code, reason: error.reason };
  }
  if (error instanceof BusyError) return { name, message, retryAfter: error.retryAfter };
  return { name, message };
}

/** The error of the class that it was, as far as the API knows it. */
export function fromPlain(error: PlainError): Error {
  const { field, code, reason } = error;
  if (field !== undefined) {
    return new RequestError(field, error.message, code as RequestError["code"]);
  }
  if (reason !== undefined) {
    return new UnavailableError(error.message, code as UnavailableError["code"], reason);
  }
  if (error.retryAfter !== undefined) return new BusyError(error.message, error.retryAfter);
  const other = new Error(error.message);
  other.name = error.name;
  return other;
}
