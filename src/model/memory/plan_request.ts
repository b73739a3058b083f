/** What a memory plan is asked for. */

import type { Arithmetic, Element } from "../../gpu/kernel.ts";
import { type GroupSize, QUANTISED } from "../../quant/scheme.ts";
import type { AnswerShape } from "./dry_run.ts";

/** How the linear layers of a model may be kept on the GPU, the largest first. */
export const WEIGHT_CHOICES = ["stored", ...QUANTISED] as const;
/** How they are kept: `stored`, as the folder has them, or quantised while loading. */
export type WeightChoice = typeof WEIGHT_CHOICES[number];

/** Whether the layers are kept as the folder has them. */
export function isStored(choice: WeightChoice): choice is typeof WEIGHT_CHOICES[0] {
  return choice === WEIGHT_CHOICES[0];
}

/** How much memory a model may take, in which precision it is loaded, and for how long a context. */
export interface MemoryOptions {
  /** Bytes of GPU memory that may be used; default: on a software adapter what the host has free. */
  readonly gpuMemory?: number;
  /** Of the target; default: the largest that fits. */
  readonly weights?: WeightChoice;
  /** Of the draft; default: the largest that fits and is not larger than the target's. */
  readonly draftWeights?: WeightChoice;
  /** Weights that share a scale, where weights are quantised while loading (default 32). */
  readonly group?: GroupSize;
  /** Whether the output head is quantised with the layers (default false). */
  readonly head?: boolean;
  /** In what products are made (default f32); int8 needs quantised weights, and chooses them. */
  readonly arithmetic?: Arithmetic;
  /** What keys and values are kept as; default: f16 where the device has it, else f32. */
  readonly kvCache?: Element;
  /** Longest prompt plus answer, in tokens; default as config.json says. */
  readonly context?: number;
}

/** What is planned for. */
export interface PlanRequest extends MemoryOptions {
  /** Folder of the target. */
  readonly target: string;
  /** Folder of the draft. */
  readonly draft?: string;
  /** An answer; its prompt fills the rest of the context. */
  readonly answer: Pick<AnswerShape, "maxTokens" | "blockLength">;
  /** Whether answers may keep keys and values. */
  readonly cache: boolean;
  /** Bytes that are there where the user names none. */
  readonly available?: number;
  /** Bytes that turned out to be too many, whatever is said to be there. */
  readonly tooMany?: number;
}

/** How target and draft are kept. */
export interface Pair {
  readonly target: WeightChoice;
  readonly draft?: WeightChoice;
}
