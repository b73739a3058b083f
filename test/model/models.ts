/** Models for tests, loaded once for each device. */

import { fileURLToPath } from "node:url";
import type { Gpu } from "../../src/gpu/device.ts";
import { loadModel } from "../../src/model/loading/load.ts";
import type { Model } from "../../src/model/model.ts";
import { goldenPath } from "../reference/golden.ts";

const loaded = new Map<Gpu, Map<string, Promise<Model>>>();

/** The model of a folder; stays loaded as long as the process. */
export function modelOf(gpu: Gpu, folder: string): Promise<Model> {
  let ofDevice = loaded.get(gpu);
  if (!ofDevice) loaded.set(gpu, ofDevice = new Map());
  let model = ofDevice.get(folder);
  if (!model) ofDevice.set(folder, model = loadModel(gpu, folder));
  return model;
}

/** A golden checkpoint. */
export const goldenModel = (gpu: Gpu, name: string): Promise<Model> =>
  modelOf(gpu, goldenPath(`checkpoints/${name}`));

/** Folder of the embedded draft. */
export const TINY_DRAFT = fileURLToPath(new URL("../../models/tiny-draft", import.meta.url));
/** Folder of the embedded target. */
export const TINY_TARGET = fileURLToPath(new URL("../../models/tiny-target", import.meta.url));
