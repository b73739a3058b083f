/** What an engine is made of, besides its model and tokenizer. */

import type { GenerationDefaults } from "../model/loading/generation_defaults.ts";
import type { Model } from "../model/model.ts";
import type { FolderFacts } from "./folder_facts.ts";
import type { LoadFigures } from "./load_figures.ts";
import type { EngineTotals } from "./stats.ts";

/** Settings of an engine besides its model and tokenizer. */
export interface EngineFolder {
  readonly id: string;
  /** Unix seconds. */
  readonly created: number;
  readonly defaults: GenerationDefaults;
  /** Limit of requests that run at once. */
  readonly maxRunning: number;
  /** Limit of requests that wait for a place. */
  readonly maxWaiting: number;
  /** A warning to users of this model. */
  readonly warning?: string;
  readonly facts?: FolderFacts;
  /** Totals of the engine that this one replaces; counting goes on from them. */
  readonly totals?: EngineTotals;
  /** Its load; the sums go on from it. */
  readonly load?: LoadFigures;
}

/** A draft and the name of its folder. */
export interface NamedDraft {
  readonly id: string;
  readonly model: Model;
}
