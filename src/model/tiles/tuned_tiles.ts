/** Tunings of many devices as one value: what the file of `unmask tune` holds. */

import { createHash } from "node:crypto";
import type { Gpu } from "../../gpu/device.ts";
import { shaderCode } from "../../gpu/pipeline.ts";
import { type TilePlan, tilePlans } from "../../kernels/weight_matrix.ts";
import { isJsonObject, type JsonObject } from "../../weights/json_file.ts";
import { kernelOf, matrixName, type TiledMatrix, type TileLookup } from "./tiled_matrix.ts";

/** What stands first in the file; another number is another layout. */
export const TUNED_FORMAT = "unmask tiles 1";

/** One matrix's tiling, and what it was worth when it was tuned. */
export interface TunedEntry extends TilePlan {
  /** Of the shader's text: a tuning ends with the kernel that it was made for. */
  readonly shader: string;
  /** Rows that were timed. */
  readonly rows: readonly number[];
  /** By number of rows, with these tiles. */
  readonly gflopPerSecond: readonly number[];
  /** By number of rows, as the fixed rule has it. */
  readonly fixedGflopPerSecond: readonly number[];
}

/** What was tuned. */
export interface TunedTiles {
  /** The layout. */
  readonly format: typeof TUNED_FORMAT;
  /** Entries by device, then by matrix. */
  readonly devices: Readonly<Record<string, Readonly<Record<string, TunedEntry>>>>;
}

/** Nothing is tuned. */
export const UNTUNED: TunedTiles = { format: TUNED_FORMAT, devices: {} };

/** What a tuning holds for: adapter, driver as far as it is known, compiler, and what it allows. */
export function deviceKey({ identity, name, native, subgroups, limits, features }: Gpu): string {
  return [
    identity || name,
    `${native ? "WebGPU of Deno" : "Dawn in Deno"} ${Deno.version.deno}`,
    subgroups ? "subgroups" : "no subgroups",
    `${limits.maxComputeWorkgroupStorageSize} bytes a workgroup`,
    [...features].sort().join(" "),
  ].join("; ");
}

/** Tells versions of the shader that multiplies a matrix apart. */
export function shaderHash(gpu: Gpu, matrix: TiledMatrix): string {
  const { scheme: { snippet }, arithmetic } = matrix;
  const code = shaderCode(gpu, kernelOf(matrix), { snippet, arithmetic });
  return createHash("sha256").update(code).digest("hex").slice(0, 16);
}

/** The entry of a matrix, unless its shader has changed since or cannot follow it. */
export function tunedEntry(
  { devices }: TunedTiles,
  gpu: Gpu,
  matrix: TiledMatrix,
): TunedEntry | undefined {
  const ofDevice = fieldOf(devices, deviceKey(gpu));
  const entry = ofDevice && fieldOf(ofDevice, matrixName(matrix));
  if (!entry || entry.shader !== shaderHash(gpu, matrix)) return undefined;
  const possible = tilePlans(matrix.kernel, matrix.blocks).some((plan) =>
    plan.splits === entry.splits && plan.rowGroups === entry.rowGroups
  );
  return possible ? entry : undefined;
}

/** The tilings of one device. */
export function tileLookup(tuned: TunedTiles, gpu: Gpu): TileLookup {
  return (matrix) => {
    const entry = tunedEntry(tuned, gpu, matrix);
    return entry && { splits: entry.splits, rowGroups: entry.rowGroups };
  };
}

/** With another entry, in place of the one that the matrix had. */
export function withEntry(
  { format, devices }: TunedTiles,
  gpu: Gpu,
  matrix: TiledMatrix,
  entry: Omit<TunedEntry, "shader">,
): TunedTiles {
  const device = deviceKey(gpu);
  const added = { ...entry, shader: shaderHash(gpu, matrix) };
  const ofDevice = { ...fieldOf(devices, device), [matrixName(matrix)]: added };
  return { format, devices: { ...devices, [device]: ofDevice } };
}

/** What `text` holds, or in a few words what is wrong with it. */
export function parseTunedTiles(text: string): TunedTiles | string {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return "it is not JSON";
  }
  if (!isJsonObject(json)) return "it holds no JSON object";
  if (json.format !== TUNED_FORMAT) return `its format is not "${TUNED_FORMAT}"`;
  if (!isJsonObject(json.devices)) return "devices is no JSON object";
  for (const [device, matrices] of Object.entries(json.devices)) {
    if (!isJsonObject(matrices)) return `devices[${JSON.stringify(device)}] is no JSON object`;
    for (const [matrix, entry] of Object.entries(matrices)) {
      if (!isJsonObject(entry) || !isEntry(entry)) return `the entry of "${matrix}" is incomplete`;
    }
  }
  return json as unknown as TunedTiles;
}

function isEntry(entry: JsonObject): boolean {
  const { splits, rowGroups, shader, rows, gflopPerSecond, fixedGflopPerSecond } = entry;
  return [splits, rowGroups].every(Number.isSafeInteger) && typeof shader === "string" &&
    [rows, gflopPerSecond, fixedGflopPerSecond].every((list) =>
      Array.isArray(list) && list.every((value) => typeof value === "number")
    );
}

/** A field of its own: a file may name one that every object has. */
function fieldOf<T>(object: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
