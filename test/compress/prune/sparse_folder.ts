/** Folders of any shape that take no room on the disk: all weights are zero. */

import { join } from "node:path";
import { parseConfig } from "../../../src/model/loading/config.ts";
import { expectedTensors } from "../../../src/model/loading/tensors.ts";
import {
  syntheticConfig,
  type SyntheticShape,
} from "../../../src/model/synthetic/synthetic_shape.ts";
import { SafetensorsLayout } from "../../../src/weights/safetensors_writer.ts";

/** Writes config.json and a sparse model.safetensors. @returns bytes of the weights */
export function writeSparseFolder(dir: string, shape: SyntheticShape): number {
  const json = syntheticConfig(shape);
  Deno.mkdirSync(dir, { recursive: true });
  Deno.writeTextFileSync(join(dir, "config.json"), JSON.stringify(json));
  const tensors = expectedTensors(parseConfig(json, "config.json"));
  const layout = new SafetensorsLayout(
    tensors.map(({ name, shape }) => ({ name, shape, dtype: "BF16" })),
  );
  using file = Deno.createSync(join(dir, "model.safetensors"));
  file.writeSync(layout.header);
  file.truncateSync(layout.byteLength);
  return layout.byteLength;
}
