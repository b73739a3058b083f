/** Writes what was trained as an ordinary model folder. */

import { type FloatDType, fromF32, toF32 } from "../../gpu/dtype.ts";
import type { Tensor } from "../../gpu/tensor.ts";
import { familyOf } from "../../model/family.ts";
import type { Checkpoint } from "../../weights/checkpoint.ts";
import type { FolderContent, TensorGroup } from "../../weights/folder_writer.ts";
import type { JsonObject } from "../../weights/json_file.ts";
import { type Adapters, addProduct } from "./adapters.ts";
import {
  type Parameter,
  readParameter,
  readPieces,
  type TrainingParameters,
} from "./parameters.ts";
import type { TrainingSpace } from "./training_space.ts";

/** What a folder of trained weights is made of. */
export interface TrainedFolderOptions {
  /** `config.json` of the model that training began with. */
  readonly config: JsonObject;
  /** Paths of other files, such as the tokenizer's. */
  readonly copies: readonly string[];
  /** What the bytes depend on, as in {@linkcode FolderContent}. */
  readonly settings: JsonObject;
  /** Type of the stored weights. */
  readonly dtype: FloatDType;
  /** Added to their matrices. */
  readonly adapters?: Adapters;
  /** The model's own checkpoint, where its matrices are packed: they are read from there. */
  readonly original?: Checkpoint;
  /** Other numbers than the weights, such as their averages, by parameter. */
  readonly weightsOf?: (parameter: Parameter) => Tensor;
  /** Limit of the tensors in a file, in bytes; default 4 GiB. */
  readonly shardBytes?: number;
}

const TORCH_DTYPES: Readonly<Record<FloatDType, string>> = {
  F32: "float32",
  F16: "float16",
  BF16: "bfloat16",
};

/**
 * The content of a folder, to be planned and written before anything else is recorded. Tensors are read
 * from the GPU as they are written, in pieces of a few megabytes.
 */
export function trainedFolder(
  { recorder, readback }: TrainingSpace,
  parameters: TrainingParameters,
  options: TrainedFolderOptions,
): FolderContent {
  const { dtype, adapters, weightsOf = ({ weight }) => weight } = options;
  const read = (name: string) => {
    const parameter = parameters.get(name);
    return readParameter(readback, recorder, parameter.layout, weightsOf(parameter));
  };
  const pieces = (name: string, shape: readonly number[]) => {
    if (parameters.packed.has(name)) return originalPieces(options.original!, name, shape);
    const parameter = parameters.get(name);
    return readPieces(readback, recorder, parameter.layout, weightsOf(parameter));
  };
  if (parameters.packed.size > 0 && !options.original) {
    throw new RangeError("the original checkpoint is missing, from which packed matrices are read");
  }
  const groups = familyOf(parameters.config).tensors(parameters.config).map(
    ({ name, shape }): TensorGroup => ({
      tensors: [{ name, dtype, shape }],
      async write(append) {
        const adapter = adapters?.of(name);
        const factors = adapter && {
          a: await read(adapter.a.name),
          b: await read(adapter.b.name),
          scale: adapters!.scale,
          rank: adapters!.rank,
        };
        let row = 0;
        for await (const piece of pieces(name, shape)) {
          const rows = piece.length / shape.at(-1)!;
          if (factors) addProduct(piece, factors, row);
          row += rows;
          await append(name, fromF32(piece, dtype));
        }
      },
    }),
  );
  return {
    config: { ...options.config, torch_dtype: TORCH_DTYPES[dtype] },
    groups,
    copies: options.copies,
    shardBytes: options.shardBytes ?? 4 * 2 ** 30,
    settings: options.settings,
  };
}

/** Most numbers of a piece. */
const PIECE = 2 ** 21;

/** A tensor of a checkpoint in pieces of whole rows. */
function* originalPieces(
  checkpoint: Checkpoint,
  name: string,
  shape: readonly number[],
): Generator<Float32Array<ArrayBuffer>, void, void> {
  const slice = checkpoint.tensor(name, { shape });
  const rowBytes = slice.byteLength / shape[0];
  const rows = Math.max(1, Math.floor(PIECE / shape[1]));
  for (const bytes of checkpoint.chunks(slice, new Uint8Array(rows * rowBytes))) {
    yield toF32(bytes, slice.dtype);
  }
}
