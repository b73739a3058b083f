/** The tensors that a checkpoint must hold, quantised or not, with their shapes and types. */

import { type DType, FLOAT_DTYPES } from "../../gpu/dtype.ts";
import { groupsOf, type QuantScheme, storedRowBytes } from "../../quant/scheme.ts";
import type { Checkpoint } from "../../weights/checkpoint.ts";
import { CheckpointError } from "../../weights/checkpoint.ts";
import { familyOf } from "../family.ts";
import { type ModelConfig, scaleName } from "../model_config.ts";

/** A tensor that the checkpoint must hold. */
export interface ExpectedTensor {
  /** Name in the file. */
  readonly name: string;
  /** `[out, in]` for weight matrices (y = x W^T), `[hiddenSize]` for norms. */
  readonly shape: readonly number[];
  /** The types that it may be stored as. */
  readonly dtypes: readonly DType[];
}

/** Names of the matrices that are quantised: linear layers, and the head if asked for. */
export function quantisedNames(config: ModelConfig, head: boolean): ReadonlySet<string> {
  return new Set(
    familyOf(config).tensors(config)
      .filter(({ quantisable }) => quantisable === "layer" || (head && quantisable === "head"))
      .map(({ name }) => name),
  );
}

/** Every tensor of a checkpoint with this configuration, in the order of its family. */
export function expectedTensors(config: ModelConfig): ExpectedTensor[] {
  const { quantisation } = config;
  const quantised = quantisation && quantisedNames(config, quantisation.head);
  return familyOf(config).tensors(config).flatMap(({ name, shape }) =>
    quantised?.has(name)
      ? encoded(name, shape, quantisation!.scheme)
      : [{ name, shape, dtypes: FLOAT_DTYPES }]
  );
}

/** The tensors of codes and scales that replace a quantised matrix. */
function encoded(
  name: string,
  [out, inner]: readonly number[],
  scheme: QuantScheme,
): ExpectedTensor[] {
  return [
    { name, shape: [out, storedRowBytes(scheme, inner)], dtypes: [scheme.dtype] },
    { name: scaleName(name), shape: [out, groupsOf(scheme, inner)], dtypes: ["F16"] },
  ];
}

/**
 * Checks that a checkpoint holds exactly the tensors of its configuration, in the right types.
 * @throws {CheckpointError} naming the first tensor that is missing, has a wrong shape or type, or
 * is not part of the model. An extra bias, or a head beside a tied embedding, would change the
 * result.
 */
export function checkTensors(config: ModelConfig, checkpoint: Checkpoint): void {
  const expected = expectedTensors(config);
  for (const { name, shape, dtypes } of expected) checkpoint.tensor(name, { shape, dtypes });
  const names = new Set(expected.map(({ name }) => name));
  for (const { name, file } of checkpoint.tensors.values()) {
    if (names.has(name)) continue;
    throw new CheckpointError({
      file,
      tensor: name,
      found: "present",
      expected: `absent: not one of the ${names.size} tensors that config.json describes`,
      remedy: "Weights and config.json are not of the same model: download the folder again.",
    });
  }
}
