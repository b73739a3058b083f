/** Tunings of many devices: the content of the file that `unmask tune` writes. */

import { createHash } from "node:crypto";
import type { Gpu } from "../../gpu/device.ts";
import { shaderCode } from "../../gpu/pipeline.ts";
import { type TilePlan, tilePlans } from "../../kernels/weight_matrix.ts";
import { isJsonObject, type JsonObject } from "../../weights/json_file.ts";
import { kernelsOf, matrixName, type TiledMatrix, type TileLookup } from "./tiled_matrix.ts";

/** Format of the file; its number changes with the layout. */
export const TUNED_FORMAT = "unmask tiles 1";

/** One matrix's tiling, and its measured rates. */
export interface TunedEntry extends TilePlan {
  /** Hash of the shader's text, since a tuning only holds for the kernel it was made with. */
  readonly shader: string;
  /** Numbers of rows that were timed. */
  readonly rows: readonly number[];
  /** Rate with these tiles, for each number of rows. */
  readonly gflopPerSecond: readonly number[];
  /** Rate by the fixed rule, for each number of rows. */
  readonly fixedGflopPerSecond: readonly number[];
}

/** Tunings of several devices. */
export interface TunedTiles {
  /** Format of the file. */
  readonly format: typeof TUNED_FORMAT;
  /** Entries by device, then by matrix. */
  readonly devices: Readonly<Record<string, Readonly<Record<string, TunedEntry>>>>;
}

/** An empty tuning. */
export const UNTUNED: TunedTiles = { format: TUNED_FORMAT, devices: {} };

/** Key of a device: its adapter, known driver, compiler, form of its kernels, limits and features. */
export function deviceKey(
  { identity, name, native, subgroups, rowForm, limits, features }: Gpu,
): string {
  return [
    identity || name,
    `${native ? "WebGPU of Deno" : "Dawn in Deno"} ${Deno.version.deno}`,
    subgroups ? "subgroups" : "no subgroups",
    `rows ${rowForm}`,
    `${limits.maxComputeWorkgroupStorageSize} bytes a workgroup`,
    [...features].sort().join(" "),
  ].join("; ");
}

/** Hash of the text of the shaders that a tuning of a matrix chooses among. */
export function shaderHash(gpu: Gpu, matrix: TiledMatrix): string {
  const { scheme: { snippet }, arithmetic } = matrix;
  const code = kernelsOf(gpu, matrix)
    .map((kernel) => shaderCode(gpu, kernel, { snippet, arithmetic })).join("");
  return createHash("sha256").update(code).digest("hex").slice(0, 16);
}

/** The entry of a matrix; undefined if its shader has changed or cannot use these tiles. */
export function tunedEntry(
  { devices }: TunedTiles,
  gpu: Gpu,
  matrix: TiledMatrix,
): TunedEntry | undefined {
  const ofDevice = fieldOf(devices, deviceKey(gpu));
  const entry = ofDevice && fieldOf(ofDevice, matrixName(matrix));
  if (!entry || entry.shader !== shaderHash(gpu, matrix)) return undefined;
  const possible = tilePlans(matrix.kernel, matrix.blocks, gpu.rowForm).some((plan) =>
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

/** Adds an entry, which replaces an older one of the same matrix. */
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

/** Parses a file's text. @returns the tuning, or a few words about what is wrong */
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

/** An object's own field: a file could use a name that every object inherits. */
function fieldOf<T>(object: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}
