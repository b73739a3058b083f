/** Models for tests, loaded once for each device. */

import { fileURLToPath } from "node:url";
import type { Gpu } from "../../src/gpu/device.ts";
import type { Element } from "../../src/gpu/kernel.ts";
import { loadModel } from "../../src/model/loading/load.ts";
import type { Model } from "../../src/model/model.ts";
import { goldenPath } from "../reference/golden.ts";

const loaded = new Map<Gpu, Map<string, Promise<Model>>>();

/**
 * The model of a folder; stays loaded as long as the process.
 * @param kvCache default as without an option
 */
export function modelOf(gpu: Gpu, folder: string, kvCache?: Element): Promise<Model> {
  let ofDevice = loaded.get(gpu);
  if (!ofDevice) loaded.set(gpu, ofDevice = new Map());
  const key = `${folder} ${kvCache}`;
  let model = ofDevice.get(key);
  if (!model) ofDevice.set(key, model = loadModel(gpu, folder, { kvCache }));
  return model;
}

/** A golden checkpoint; golden data is in f32. */
export const goldenModel = (gpu: Gpu, name: string, kvCache: Element = "f32"): Promise<Model> =>
  modelOf(gpu, goldenPath(`checkpoints/${name}`), kvCache);

/** Folder of the embedded draft. */
export const TINY_DRAFT = fileURLToPath(new URL("../../models/tiny-draft", import.meta.url));
/** Folder of the embedded target. */
export const TINY_TARGET = fileURLToPath(new URL("../../models/tiny-target", import.meta.url));
