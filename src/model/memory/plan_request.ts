/** The request for a memory plan. */

import type { Arithmetic, Element } from "../../gpu/kernel.ts";
import { type GroupSize, QUANTISED } from "../../quant/scheme.ts";
import type { AnswerShape } from "./dry_run.ts";

/** How the linear layers of a model may be kept on the GPU, the largest first. */
export const WEIGHT_CHOICES = ["stored", ...QUANTISED] as const;
/** How linear layers are kept: `stored`, as in the folder, or quantised while loading. */
export type WeightChoice = typeof WEIGHT_CHOICES[number];

/** Whether the layers are kept as they are stored in the folder. */
export function isStored(choice: WeightChoice): choice is typeof WEIGHT_CHOICES[0] {
  return choice === WEIGHT_CHOICES[0];
}

/** Options for the memory, precision and context length of a model. */
export interface MemoryOptions {
  /**
   * Bytes of GPU memory that may be used; default: on a software adapter the host's free memory.
   */
  readonly gpuMemory?: number;
  /** How the target's weights are kept; default: the largest that fits. */
  readonly weights?: WeightChoice;
  /**
   * How the draft's weights are kept; default: the largest that fits, no larger than the target's.
   */
  readonly draftWeights?: WeightChoice;
  /** Number of weights that share a scale, if they are quantised while loading (default 32). */
  readonly group?: GroupSize;
  /** Whether the output head is quantised with the layers (default false). */
  readonly head?: boolean;
  /** Arithmetic of the products (default f32); int8 needs quantised weights, and chooses them. */
  readonly arithmetic?: Arithmetic;
  /** Type that keys and values are kept in; default: f16 if the device has it, else f32. */
  readonly kvCache?: Element;
  /** Longest prompt plus answer, in tokens; default as config.json says. */
  readonly context?: number;
  /** Rows that a pass of several requests may have (default 512, or those of the longest answer). */
  readonly batchRows?: number;
  /**
   * Pages of 32 positions whose keys and values are kept for all requests together (default: for 16
   * answers of default length, or as many as the memory holds; at least for one of the longest).
   */
  readonly cachePages?: number;
}

/** The models, the answer and the memory that are planned for. */
export interface PlanRequest extends MemoryOptions {
  /** Folder of the target. */
  readonly target: string;
  /** Folder of the draft. */
  readonly draft?: string;
  /** Lengths of an answer; its prompt fills the rest of the context. */
  readonly answer: Pick<AnswerShape, "maxTokens" | "blockLength">;
  /** Whether answers may keep keys and values. */
  readonly cache: boolean;
  /** Free bytes, if the user gives no limit. */
  readonly available?: number;
  /** Bytes for which memory ran out, whatever was reported as free. */
  readonly tooMany?: number;
}

/** How target and draft are kept. */
export interface Pair {
  readonly target: WeightChoice;
  readonly draft?: WeightChoice;
}
