/** Writes what was trained as an ordinary model folder. */

import { type FloatDType, fromF32 } from "../../gpu/dtype.ts";
import type { Tensor } from "../../gpu/tensor.ts";
import { familyOf } from "../../model/family.ts";
import type { FolderContent, TensorGroup } from "../../weights/folder_writer.ts";
import type { JsonObject } from "../../weights/json_file.ts";
import { type Adapters, merged } from "./adapters.ts";
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
 * from the GPU as they are written, matrices with adapters whole and others in pieces.
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
  const groups = familyOf(parameters.config).tensors(parameters.config).map(
    ({ name, shape }): TensorGroup => ({
      tensors: [{ name, dtype, shape }],
      async write(append) {
        const adapter = adapters?.of(name);
        if (adapter) {
          const [a, b] = [await read(adapter.a.name), await read(adapter.b.name)];
          const { scale, rank } = adapters!;
          const sum = merged(await read(name), shape, { a, b, scale, rank });
          await append(name, fromF32(sum, dtype));
          return;
        }
        const parameter = parameters.get(name);
        const tensor = weightsOf(parameter);
        for await (const piece of readPieces(readback, recorder, parameter.layout, tensor)) {
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
