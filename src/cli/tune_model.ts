/** Tunes the matrices of a model that are not tuned yet, and writes the tuning to a file. */

import type { Command } from "commander";
import type { Gpu } from "../gpu/device.ts";
import { plannedMatrices, syntheticMatrices } from "../model/memory/planned_matrices.ts";
import { SYNTHETIC_SHAPES, type SyntheticShapeName } from "../model/synthetic/synthetic_shape.ts";
import type { TiledMatrix } from "../model/tiles/tiled_matrix.ts";
import { tunedEntry, type TunedTiles, withEntry } from "../model/tiles/tuned_tiles.ts";
import { isSame, type TunedMatrix, tuneMatrix } from "../model/tiles/tuning.ts";
import { type DeviceFlags, deviceOf, openDevice } from "./device_options.ts";
import { type MemoryFlags, type TuningFlags } from "./options.ts";
import { planRequest } from "./plan_request.ts";
import { progressReport } from "./terminal/progress.ts";
import { defaultTuningFile, readTuning, writeTuning } from "../engine/tuning_file.ts";

/** Which matrices are tuned, and how. */
export interface TuneModelFlags extends MemoryFlags, DeviceFlags, Pick<TuningFlags, "tuning"> {
  readonly model: string;
  readonly draft?: string | boolean;
  /** A shape to tune instead of the model and its draft. */
  readonly like?: SyntheticShapeName;
  /** Numbers of rows to time. */
  readonly rows?: readonly number[];
  /** Whether to tune everything again, and replace a named file that holds something else. */
  readonly force?: boolean;
}

/** The result of tuning a model. */
export interface ModelTuning {
  readonly adapter: string;
  readonly file: string;
  /** All matrices that take tiles. */
  readonly matrices: readonly TiledMatrix[];
  /** Matrices that were tuned in this run. */
  readonly results: readonly TunedMatrix[];
}

/**
 * Tunes a model with a progress bar on standard error. The file is written after every matrix.
 * @throws {Error} when there is no file to write the tuning to
 * @throws as planMemory and tuneMatrix
 */
export async function tuneModel(flags: TuneModelFlags): Promise<ModelTuning> {
  const named = typeof flags.tuning === "string" ? flags.tuning : undefined;
  const file = named ?? defaultTuningFile();
  if (file === undefined) {
    throw new Error(
      "no environment variable names a cache folder. Name a file with --tuning FILE.",
    );
  }
  const { tuned: before, warning } = readTuning(file);
  if (warning !== undefined && named !== undefined && !flags.force) {
    throw new Error(
      `${
        warning.replace(/\. .*$/, "")
      }. Name another file, or replace it with unmask tune --force.`,
    );
  }
  if (warning !== undefined) console.error(`Warning: ${warning}`);
  using gpu = await openDevice(deviceOf(flags));
  const matrices = flags.like
    ? await syntheticMatrices(gpu, SYNTHETIC_SHAPES[flags.like], flags)
    : await plannedMatrices(gpu, planRequest(flags, gpu));
  const missing = matrices.filter((matrix) => flags.force || !tunedEntry(before, gpu, matrix));
  // Checked before the time is spent, so that the result can be kept.
  if (missing.length > 0) writeTuning(file, before);
  const amount = (all: number) => `${all} ${all === 1 ? "matrix" : "matrices"}`;
  const report = progressReport(`tuning for ${gpu.name}`, amount, true);
  const results: TunedMatrix[] = [];
  let tuned = before;
  try {
    for (const [i, matrix] of missing.entries()) {
      const result = await tuneMatrix(gpu, matrix, flags.rows, (done, total) => {
        report.update(i + done / total, missing.length);
      });
      results.push(result);
      tuned = withResult(tuned, gpu, result);
      writeTuning(file, tuned);
    }
  } finally {
    report.stop();
  }
  return { adapter: gpu.name, file, matrices, results };
}

/** One line: how many matrices get other tiles than by the fixed rule. */
export function tuningLine({ file, results }: ModelTuning): string {
  const changed = results.filter(({ fixed, chosen }) => !isSame(fixed, chosen)).length;
  return `${changed} of ${results.length} matrices get other tiles than by the fixed rule; ` +
    `kept in ${file}`;
}

/**
 * Does what `--tune` asks for, before a command drops the permission to write. A failure is only a
 * warning: the model still answers, with tiles by the fixed rule.
 */
export async function tuneFirst(command: Command): Promise<void> {
  const flags: TuneModelFlags & TuningFlags = command.opts();
  if (!flags.tune) return;
  if (flags.tuning === false) throw new Error("--tune and --no-tuning exclude each other");
  try {
    const tuning = await tuneModel(flags);
    if (tuning.results.length > 0) console.error(tuningLine(tuning));
  } catch (error) {
    console.error(`Warning: not tuned: ${error instanceof Error ? error.message : error}`);
  }
}

function withResult(tuned: TunedTiles, gpu: Gpu, result: TunedMatrix): TunedTiles {
  const { matrix, rows, chosen, best, fixedGflopPerSecond, bestGflopPerSecond } = result;
  const gflopPerSecond = isSame(chosen, best) ? bestGflopPerSecond : fixedGflopPerSecond;
  return withEntry(tuned, gpu, matrix, { ...chosen, rows, gflopPerSecond, fixedGflopPerSecond });
}
