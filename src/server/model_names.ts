/** The names under which requests may ask for the loaded model. */
import type { ModelSummary } from "../engine/request.ts";
import { ApiError } from "./errors.ts";

/** What names a server takes. */
export interface NameOptions {
  /** Names besides the model's own that are listed and retrieved (default none). */
  readonly aliases?: readonly string[];
  /**
   * Whether a request must name the model by one of those (default false: any name will do, because
   * programs often have a fixed one, and there is only this model).
   */
  readonly strictModel?: boolean;
}

/**
 * Checks the model of a request. An empty name, which forms send for none, is as good as none.
 * @throws {ApiError} 404 `model_not_found` for a name that is not the model's, if they must be
 */
export function requireModel(model: ModelSummary, name: string, options: NameOptions = {}): void {
  if (!options.strictModel || name === "") return;
  requireName(model, name, options);
}

/**
 * Checks that a name is one of the model's.
 * @throws {ApiError} 404 `model_not_found`, as OpenAI answers
 */
export function requireName(model: ModelSummary, name: string, { aliases }: NameOptions): void {
  // Ollama's clients learn names with a tag, and use them for OpenAI's routes too.
  const untagged = name.replace(/:latest$/, "");
  if ([name, untagged].some((one) => one === model.id || aliases?.includes(one))) return;
  const shown = name.length > 64 ? `${name.slice(0, 64)}…` : name;
  throw new ApiError(
    404,
    "model_not_found",
    `The model '${shown}' does not exist; this server has '${model.id}'.`,
    { param: "model" },
  );
}
