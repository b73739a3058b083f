/** `unmask bench device`: what to expect of a device. */

import type { Acceptance } from "../bench/acceptance.ts";
import { benchDevice } from "../bench/device.ts";
import type { DeviceReport } from "../bench/device_report.ts";
import { LEAST_LAYERS } from "../bench/bounded_load.ts";
import { folderSource, type ModelSource, shapeSource } from "../bench/model_source.ts";
import { parseAccuracyFile } from "../evaluate/accuracy.ts";
import type { Gpu } from "../gpu/device.ts";
import type { TileLookup } from "../model/tiles/tiled_matrix.ts";
import { SYNTHETIC_SHAPES, type SyntheticShapeName } from "../model/synthetic/synthetic_shape.ts";
import { tileLookup } from "../model/tiles/tuned_tiles.ts";
import { drawDevice } from "./device_picture.ts";
import { type DeviceFlags, deviceOf, openDevice } from "./device_options.ts";
import { measuredTuning } from "./options.ts";
import { progressReport } from "./terminal/progress.ts";
import { onStop } from "./terminal/signals.ts";
import { pngOf } from "./trace_picture/picture.ts";

/** Prompts of which the acceptance is measured, unless asked otherwise. */
const PROMPTS = 8;

/** What is timed unless asked otherwise: the first that can be loaded. */
const SHAPES: Readonly<Record<"hardware" | "software", readonly SyntheticShapeName[]>> = {
  hardware: ["llada-8b", "mid"],
  software: ["mid"],
};

/** Options of the command, as commander parses them. */
export interface DeviceBenchFlags extends DeviceFlags {
  /** The model that the acceptance is measured of. */
  readonly model: string;
  readonly data: string;
  readonly limit?: number;
  readonly like?: SyntheticShapeName;
  readonly layers?: number;
  readonly minutes: number;
  readonly gpuMemory?: number;
  readonly acceptance?: number;
  readonly tuning?: string;
  readonly picture?: string;
}

/**
 * Runs the bench, and draws the picture.
 * @param dir folder of the model to time; default: random weights
 * @param write writes the report, before the picture is drawn
 * @throws {Error} saying what to do, when options do not go together or a folder is wrong
 */
export async function runDeviceBench(
  dir: string | undefined,
  flags: DeviceBenchFlags,
  write: (report: DeviceReport) => Promise<void>,
): Promise<void> {
  const { like, layers, gpuMemory, minutes, model: place, data, picture } = flags;
  if (dir !== undefined && like !== undefined) {
    throw new Error(`bench device ${dir} --like ${like}: name a folder or a shape, not both`);
  }
  if (dir !== undefined && layers !== undefined) {
    throw new Error("--layers: a folder is timed with all of its layers; name a shape with --like");
  }
  if (layers !== undefined && layers < LEAST_LAYERS) {
    throw new Error(
      `--layers ${layers}: expected at least ${LEAST_LAYERS}, of which the cost of a layer is told`,
    );
  }
  const tuned = measuredTuning(flags.tuning);
  const prompts = parseAccuracyFile(await Deno.readTextFile(data), data)
    .slice(0, flags.limit ?? PROMPTS);
  const device = deviceOf(flags);
  const { provider, adapter, rowForm } = device;
  // Nothing is written before the end, and the system frees what the GPU holds.
  using _stop = onStop((exitCode) => Deno.exit(exitCode));
  using gpu = await openDevice(device);
  const tiles = tuned && tileLookup(tuned, gpu);
  const given: Acceptance | undefined = flags.acceptance === undefined
    ? undefined
    : { tokensPerForward: flags.acceptance, source: "given by --acceptance" };
  const report = await benchDevice(gpu, {
    sources: dir === undefined ? shapesOf(gpu, like, tiles) : [folderSource(gpu, dir, tiles)],
    minutes,
    gpuMemory,
    layers,
    rowForm,
    acceptance: given ?? { place, prompts, provider, adapter },
    progress: progressReport,
  });
  await write(report);
  if (picture !== undefined) {
    await Deno.writeFile(picture, pngOf(await drawDevice(gpu, report)));
  }
}

function shapesOf(
  gpu: Gpu,
  like: SyntheticShapeName | undefined,
  tiles: TileLookup | undefined,
): ModelSource[] {
  const names = like ? [like] : SHAPES[gpu.software ? "software" : "hardware"];
  return names.map((name) => shapeSource(gpu, name, SYNTHETIC_SHAPES[name], tiles));
}
