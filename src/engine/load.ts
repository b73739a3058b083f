/** Loads a model folder into an engine. */

import { basename, join, resolve } from "node:path";
import { limitContext, type ModelConfig, readConfig } from "../model/loading/config.ts";
import { harmlessNotes } from "../model/loading/harmless.ts";
import type { DeviceChoice } from "../model/loading/load.ts";
import { loadPlanned } from "../model/loading/load_planned.ts";
import { type MemoryPlan, planLine } from "../model/memory/memory_plan.ts";
import type { MemoryOptions, WeightChoice } from "../model/memory/plan_request.ts";
import type { TunedTiles } from "../model/tiles/tuned_tiles.ts";
import { loadChatTemplate } from "../text/chat_template.ts";
import { loadTokenizer } from "../text/tokenizer.ts";
import { checkDraft, draftWarning } from "./draft.ts";
import { EMBEDDED_TARGET, embeddedDraftOf, localPlace } from "./embedded_models.ts";
import { Engine } from "./engine.ts";
import { folderFacts } from "./folder_facts.ts";
import { checkChat, checkTokenIds } from "./folder_check.ts";
import { defaultLengths, folderDefaults } from "./generation_plan.ts";
import type { LoadFigures } from "./load_figures.ts";
import type { LoadedModel } from "./loaded_model.ts";
import type { EngineTotals } from "./stats.ts";
import { namedTuning } from "./tuning_file.ts";

/** Options of loading a model. A precision that is not given is chosen to fit the free memory. */
export interface LoadOptions extends MemoryOptions, DeviceChoice {
  /**
   * Folder of a draft, for the strategies that need one; false for none. The default is the
   * embedded draft for the embedded target, and none for another model.
   */
  readonly draft?: string | false;
  /** The model's name in answers (default: its folder's, or its repository's in a hub cache). */
  readonly name?: string;
  /** Whether answers may keep keys and values, which need memory (default true). */
  readonly cache?: boolean;
  /**
   * Limit of answers that run at once and share forward passes (default 16). Fewer run where there
   * are too few pages for the keys and values that they keep.
   */
  readonly maxRunning?: number;
  /**
   * Limit of requests that wait for a place (default 64). One beyond it ends with a `BusyError`, or
   * one of lower priority does.
   */
  readonly maxWaiting?: number;
  /** File of tile sizes for this GPU that `unmask tune` wrote; default: sizes by a fixed rule. */
  readonly tuning?: string;
  /** Called while the weights are uploaded, with the bytes so far and the bytes of all. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Called with one line about the WebGPU that the provider `auto` chose, and why. */
  readonly onProvider?: (line: string) => void;
  /** Called before anything is uploaded, with one line about the memory plan, and the plan. */
  readonly onPlan?: (line: string, plan: MemoryPlan) => void;
}

/** Further options for the project's own programs. */
export interface EngineOptions extends LoadOptions {
  /** The tuning itself, instead of the file `tuning`. */
  readonly tuned?: TunedTiles;
  /** Totals of the engine that this one replaces; counting goes on from them. */
  readonly totals?: EngineTotals;
  /** Its load; the sums go on from it. */
  readonly load?: LoadFigures;
  /** Told true before the thread may stand still for long, and false afterwards. */
  readonly onWait?: (waits: boolean) => void;
}

const DEFAULT_MAX_RUNNING = 16;
const DEFAULT_MAX_WAITING = 64;

/**
 * Like {@linkcode load}, but returns the whole engine.
 * @param place a model folder, or the place of an embedded model
 */
export async function loadEngine(place: string, options: EngineOptions = {}): Promise<Engine> {
  const dir = await localPlace(place);
  const config = readConfig(dir);
  const defaults = folderDefaults(dir, config);
  const tokenizer = loadTokenizer(dir, config.embeddingSize);
  const template = loadChatTemplate(dir);
  checkTokenIds(dir, tokenizer, config);
  checkChat(tokenizer, template, config);
  const draftPlace = draftFolder(dir, options.draft);
  const draftDir = draftPlace && await localPlace(draftPlace);
  if (draftDir !== undefined) checkDraft(dir, draftDir);
  const { mtime } = await Deno.stat(join(dir, "config.json"));
  let choice: WeightChoice | undefined;
  const { target, draft } = await loadPlanned({
    ...options,
    target: dir,
    draft: draftDir,
    answer: defaultLengths(defaults, limitContext(config, options.context)),
    cache: options.cache ?? true,
    tuned: options.tuned ??
      (options.tuning === undefined ? undefined : namedTuning(options.tuning)),
    onPlan: (plan) => {
      choice = plan.target.choice;
      options.onPlan?.(planLine(plan), plan);
    },
  });
  const named = draft && { id: modelId(draftDir!), model: draft };
  return new Engine(target, tokenizer, template, {
    id: options.name ?? modelId(dir),
    created: Math.floor((mtime?.getTime() ?? 0) / 1000),
    defaults,
    maxRunning: options.maxRunning ?? DEFAULT_MAX_RUNNING,
    maxWaiting: options.maxWaiting ?? DEFAULT_MAX_WAITING,
    warning: warningOf(dir, config, draftDir),
    facts: await folderFacts(dir, config, choice, template.source),
    totals: options.totals,
    load: options.load,
  }, named);
}

/**
 * The name of a model: its folder's, or in the hub's cache (`models--org--name/snapshots/COMMIT`) the
 * hub's.
 */
export function modelId(dir: string): string {
  const path = resolve(dir);
  const [, name] = /[/\\]models--([^/\\]+)[/\\]snapshots[/\\][^/\\]+$/.exec(path) ?? [];
  return name?.replaceAll("--", "/") ?? basename(path);
}

/** What a user should know of the folders, a line for each thing. */
function warningOf(dir: string, config: ModelConfig, draftDir?: string): string | undefined {
  const ofDraft = draftDir === undefined ? [] : harmlessNotes(draftDir, readConfig(draftDir));
  const lines = [
    draftWarning(dir) ?? [],
    harmlessNotes(dir, config),
    ofDraft.map((note) => `draft ${modelId(draftDir!)}: ${note}`),
  ].flat();
  return lines.length > 0 ? lines.join("\n") : undefined;
}

/**
 * The draft that goes with a folder.
 * @param draft as in {@linkcode EngineOptions}
 */
export function draftFolder(dir: string, draft: string | false | undefined): string | undefined {
  if (draft !== undefined) return draft || undefined;
  return embeddedDraftOf(dir);
}

/**
 * Loads a model onto the GPU: the embedded tiny one, or a folder in Hugging Face layout with
 * config.json, weights (*.safetensors), tokenizer.json, tokenizer_config.json and optionally
 * generation_config.json. After an error nothing stays on the GPU.
 *
 * Permissions: `--allow-read` for the folder, `--allow-env` for variables that drivers read. If
 * this package is imported over `https:`, the embedded model is fetched once (7 MB with its draft)
 * and kept in the system's cache folder. The first time needs `--allow-net` and `--allow-write`.
 *
 * ```ts
 * import { load } from "@unmask/unmask";
 *
 * using model = await load("models/LLaDA-8B-Instruct", { weights: "q4", onPlan: console.log });
 * console.log(model.facts.layers, model.facts.maskTokenId);
 * ```
 *
 * @param dir path of the folder; default: the embedded tiny model
 * @throws {ConfigError} naming the field of config.json that is wrong or not supported
 * @throws {CheckpointError} naming the file or tensor that is wrong
 * @throws {GpuError} when there is no adapter, or it cannot hold the model; it says what to do
 * @throws {Error} naming the tokenizer or tuning file that is missing or wrong, or the permission
 */
export function load(
  dir: string = EMBEDDED_TARGET,
  options: LoadOptions = {},
): Promise<LoadedModel> {
  return loadEngine(dir, options);
}
