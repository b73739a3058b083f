/** The tensors that a checkpoint must hold, quantised or not, with their shapes and types. */

import { Buffer } from "node:buffer";
import { type DType, FLOAT_DTYPES } from "../../gpu/dtype.ts";
import { groupsOf, type QuantScheme, storedRowBytes } from "../../quant/scheme.ts";
import type { Checkpoint } from "../../weights/checkpoint.ts";
import { CheckpointError } from "../../weights/checkpoint.ts";
import type { TensorSlice } from "../../weights/safetensors.ts";
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
 * Checks that a checkpoint holds the tensors of its configuration, in the types that it says.
 * @throws {CheckpointError} naming the first tensor that is missing, of a wrong shape or type, or
 * not part of the model: a bias, or a head that is not its tied embedding, would change what it
 * computes
 */
export function checkTensors(config: ModelConfig, checkpoint: Checkpoint): void {
  for (const { name, shape, dtypes } of expectedTensors(config)) {
    checkpoint.tensor(name, { shape, dtypes });
  }
  unusedTensors(config, checkpoint);
}

/** Last parts of the names of tensors that programs compute anew: tables of angles, and of masks. */
const RECOMPUTED = new Set([
  "inv_freq",
  "original_inv_freq",
  "cos_cached",
  "sin_cached",
  "causal_attention_bias",
  "bidirectional_attention_bias",
]);

/**
 * The tensors of a checkpoint that change nothing, each with the reason: empty ones, integers beside
 * the weights, tables that are computed anew, and a copy of the embedding where the head is tied to it.
 * @throws {CheckpointError} naming the first tensor that is not part of the model and is none of these
 */
export function unusedTensors(
  config: ModelConfig,
  checkpoint: Checkpoint,
): ReadonlyMap<string, string> {
  const names = new Set(expectedTensors(config).map(({ name }) => name));
  const unused = new Map<string, string>();
  for (const slice of checkpoint.tensors.values()) {
    const { name, file } = slice;
    if (names.has(name)) continue;
    // What stands beside a matrix by its name belongs to it: a zero point, a bias.
    const beside = [...names].some((expected) => name.startsWith(expected));
    const reason = beside ? undefined : unusedBecause(config, checkpoint, slice);
    if (reason === undefined) {
      throw new CheckpointError({
        file,
        tensor: name,
        found: "present",
        expected: `absent: not one of the ${names.size} tensors that config.json describes`,
        remedy: "Weights and config.json are not of the same model: download the folder again.",
      });
    }
    unused.set(name, reason);
  }
  return unused;
}

function unusedBecause(
  config: ModelConfig,
  checkpoint: Checkpoint,
  slice: TensorSlice,
): string | undefined {
  if (slice.shape.includes(0)) return "empty";
  if (RECOMPUTED.has(slice.name.split(".").at(-1)!)) return "computed anew";
  if (!FLOAT_DTYPES.some((dtype) => dtype === slice.dtype)) return "integers that nothing reads";
  const tied = familyOf(config).tiedHead?.(config);
  if (tied?.head !== slice.name) return undefined;
  return sameBytes(checkpoint, slice, checkpoint.tensors.get(tied.embedding))
    ? "the tied embedding once more"
    : undefined;
}

/** Bytes that are compared at a time. */
const COMPARED = 2 ** 22;

function sameBytes(checkpoint: Checkpoint, a: TensorSlice, b: TensorSlice | undefined): boolean {
  if (a.dtype !== b?.dtype || String(a.shape) !== String(b.shape)) return false;
  const other = new Uint8Array(COMPARED);
  let at = 0;
  for (const piece of checkpoint.chunks(a, new Uint8Array(COMPARED))) {
    const same = other.subarray(0, piece.length);
    checkpoint.readInto(b, same, at);
    if (Buffer.compare(piece, same) !== 0) return false;
    at += piece.length;
  }
  return true;
}
