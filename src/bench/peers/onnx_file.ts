/**
 * Writes ONNX files, for models without control flow: messages and field numbers of `onnx.proto`
 * (https://github.com/onnx/onnx), with tensors in the file or in another one beside it.
 */

// "light": without a parser of .proto files.
import protobuf from "protobufjs/light.js";

/** Element types, with the numbers of `TensorProto.DataType`. */
export const ONNX_TYPES = { float: 1, uint8: 2, int32: 6, int64: 7 } as const;

/** `TensorProto`: a constant. */
export interface OnnxTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  /** Little-endian elements; absent if they are in another file. */
  readonly rawData?: Uint8Array;
  /** Keys `location`, `offset` and `length`. */
  readonly externalData?: readonly { readonly key: string; readonly value: string }[];
  /** 1 if the elements are in another file. */
  readonly dataLocation?: number;
}

/** `NodeProto`: an operation. */
export interface OnnxNode {
  readonly opType: string;
  /** Domain of the operation; absent for ONNX's own. */
  readonly domain?: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute?: readonly OnnxAttribute[];
}

/** `AttributeProto`; type 2: `i`, 7: `ints`. */
export interface OnnxAttribute {
  readonly name: string;
  readonly type: number;
  readonly i?: number;
  readonly ints?: readonly number[];
}

/** `ValueInfoProto`: an input or output tensor. */
export interface OnnxValue {
  readonly name: string;
  readonly type: {
    readonly tensorType: {
      readonly elemType: number;
      readonly shape: { readonly dim: readonly { readonly dimValue: number }[] };
    };
  };
}

/** `ModelProto` */
export interface OnnxModel {
  readonly irVersion: number;
  /** Operator sets used; one without a domain is ONNX's own. */
  readonly opsetImport: readonly { readonly domain?: string; readonly version: number }[];
  readonly graph: {
    readonly name: string;
    readonly node: readonly OnnxNode[];
    readonly initializer: readonly OnnxTensor[];
    readonly input: readonly OnnxValue[];
    readonly output: readonly OnnxValue[];
  };
}

const many = (type: string, id: number) => ({ rule: "repeated", type, id });
const one = (type: string, id: number) => ({ type, id });

const schema = protobuf.Root.fromJSON({
  nested: {
    Model: {
      fields: {
        irVersion: one("int64", 1),
        graph: one("Graph", 7),
        opsetImport: many("OperatorSet", 8),
      },
    },
    OperatorSet: { fields: { domain: one("string", 1), version: one("int64", 2) } },
    Graph: {
      fields: {
        node: many("Node", 1),
        name: one("string", 2),
        initializer: many("Tensor", 5),
        input: many("Value", 11),
        output: many("Value", 12),
      },
    },
    Node: {
      fields: {
        input: many("string", 1),
        output: many("string", 2),
        opType: one("string", 4),
        attribute: many("Attribute", 5),
        domain: one("string", 7),
      },
    },
    Attribute: {
      fields: {
        name: one("string", 1),
        i: one("int64", 3),
        ints: many("int64", 8),
        type: one("int32", 20),
      },
    },
    Tensor: {
      fields: {
        dims: many("int64", 1),
        dataType: one("int32", 2),
        name: one("string", 8),
        rawData: one("bytes", 9),
        externalData: many("Entry", 13),
        dataLocation: one("int32", 14),
      },
    },
    Entry: { fields: { key: one("string", 1), value: one("string", 2) } },
    Value: { fields: { name: one("string", 1), type: one("Type", 2) } },
    Type: { fields: { tensorType: one("TensorType", 1) } },
    TensorType: { fields: { elemType: one("int32", 1), shape: one("Shape", 2) } },
    Shape: { fields: { dim: many("Dimension", 1) } },
    Dimension: { fields: { dimValue: one("int64", 1) } },
  },
});
const modelType = schema.lookupType("Model");

/** Encodes a model as the bytes of an ONNX file. */
export function encodeOnnx(model: OnnxModel): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(modelType.encode(modelType.fromObject(model)).finish());
}

/** Decodes the bytes of {@linkcode encodeOnnx}; unknown fields are left out. */
export function decodeOnnx(bytes: Uint8Array): OnnxModel {
  return modelType.toObject(modelType.decode(bytes), { longs: Number }) as OnnxModel;
}

/** Makes an input or output tensor. */
export function onnxValue(name: string, elemType: number, dims: readonly number[]): OnnxValue {
  const dim = dims.map((dimValue) => ({ dimValue }));
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}
