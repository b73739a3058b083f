/** The least time that a pass can take on a device, by its measured ceilings. */

import { type Arithmetic, type Element, elementBytes } from "../gpu/kernel.ts";
import { headShape } from "../model/forward_pass.ts";
import type { ModelConfig } from "../model/loading/config.ts";
import type { Ceilings } from "./ceilings.ts";
import { passOperations, type PassSize } from "./model.ts";

/** The rates that bound a pass. */
export interface PassCeilings {
  /** By arithmetic; absent if the device does not have it. */
  readonly multiplyAddGflopPerSecond:
    & Readonly<Partial<Record<Arithmetic, number>>>
    & { readonly f32: number };
  /** Bytes read and written by a copy. */
  readonly copyGigabytesPerSecond: number;
}

/** The rates alone. @throws {Error} when f32 was not measured */
export function passCeilings({ multiplyAdd, copyGigabytesPerSecond }: Ceilings): PassCeilings {
  const { f32, f16, int8 } = multiplyAdd;
  if (!f32) throw new Error("no ceiling was measured for f32 arithmetic");
  return {
    multiplyAddGflopPerSecond: {
      f32: f32.gflopPerSecond,
      ...f16 && { f16: f16.gflopPerSecond },
      ...int8 && { int8: int8.gflopPerSecond },
    },
    copyGigabytesPerSecond,
  };
}

/** The higher of each rate: a ceiling that something else disturbed is none. */
export function higherCeilings(a: PassCeilings, b: PassCeilings): PassCeilings {
  const rates = { ...a.multiplyAddGflopPerSecond };
  for (const [arithmetic, rate] of Object.entries(b.multiplyAddGflopPerSecond)) {
    const name = arithmetic as Arithmetic;
    rates[name] = Math.max(rates[name] ?? 0, rate);
  }
  return {
    multiplyAddGflopPerSecond: rates,
    copyGigabytesPerSecond: Math.max(a.copyGigabytesPerSecond, b.copyGigabytesPerSecond),
  };
}

/** What a pass must at least do. */
export interface PassWork {
  readonly operations: number;
  /** Bytes of weights, and of kept keys and values, each moved once. */
  readonly bytes: number;
}

/** The least time of a pass, in milliseconds. */
export interface Floors {
  /** To move all bytes once at the rate of a copy. */
  readonly memoryFloorMilliseconds: number;
  /** To do all operations at the rate of multiply-add chains. */
  readonly arithmeticFloorMilliseconds: number;
  /** The higher of the two, and what it is. */
  readonly floorMilliseconds: number;
  readonly bound: "memory" | "arithmetic";
}

/**
 * The work of a pass.
 * @param passBytes bytes of the weights that it reads
 * @param kept type of the keys and values that it reads, if it reads kept ones
 */
export function passWork(
  config: ModelConfig,
  size: PassSize,
  passBytes: number,
  kept?: Element,
): PassWork {
  const { kvHeads, headStride } = headShape(config);
  const keptBytes = kept === undefined
    ? 0
    : 2 * config.layers * size.keys * kvHeads * headStride * elementBytes(kept);
  return { operations: passOperations(config, size), bytes: passBytes + keptBytes };
}

/** The floors of a pass whose products are f32, as they are unless others are asked for. */
export function floorsOf({ operations, bytes }: PassWork, ceilings: PassCeilings): Floors {
  const memoryFloorMilliseconds = bytes / (1e6 * ceilings.copyGigabytesPerSecond);
  const arithmeticFloorMilliseconds = operations / (1e6 * ceilings.multiplyAddGflopPerSecond.f32);
  return {
    memoryFloorMilliseconds,
    arithmeticFloorMilliseconds,
    floorMilliseconds: Math.max(memoryFloorMilliseconds, arithmeticFloorMilliseconds),
    bound: memoryFloorMilliseconds > arithmeticFloorMilliseconds ? "memory" : "arithmetic",
  };
}
