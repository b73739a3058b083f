/**
 * Writes a LLaDA model as an ONNX graph for a fixed number of rows. It is the forward pass of
 * `llada.ts` in ONNX's own operations, all in f32, as an exporter would write it. Codes and scales
 * are kept, in onnxruntime's operation for them.
 */

import { join } from "node:path";
import { toF32 } from "../../gpu/dtype.ts";
import { rotationTable } from "../../kernels/qkv.ts";
import type { ModelConfig } from "../../model/loading/config.ts";
import { scaleName } from "../../model/model_config.ts";
import { groupsOf, type QuantisedName, storedRowBytes } from "../../quant/scheme.ts";
import type { Checkpoint } from "../../weights/checkpoint.ts";
import {
  encodeOnnx,
  ONNX_TYPES,
  type OnnxAttribute,
  type OnnxNode,
  type OnnxTensor,
  onnxValue,
} from "./onnx_file.ts";

/**
 * Name of the graph's file. Weights are in another file, since files of this format are at most 2
 * GB.
 */
export const ONNX_GRAPH = "llada.onnx";
/** Name of the file of f32 weights. */
export const ONNX_WEIGHTS = "llada.bin";
/** The last operator set without an operation for RMS norms; every runtime supports it. */
const OPERATOR_SET = 17;
/** onnxruntime's own operations; they have one version. */
const ONNXRUNTIME = { domain: "com.microsoft", version: 1 };

/** Sizes of the graph's input and outputs. */
export interface OnnxRows {
  /** Tokens of the one sequence: input `ids`, int32 `[rows]`. */
  readonly rows: number;
  /**
   * Number of last positions to predict: outputs `tokens` `[asked]` and `logits` `[asked, ids]`.
   */
  readonly asked: number;
}

/**
 * Writes a model into a folder as {@linkcode ONNX_GRAPH} and {@linkcode ONNX_WEIGHTS}.
 * @throws {RangeError} when several query heads share keys, which these operations cannot express
 */
export function writeOnnx(
  dir: string,
  config: ModelConfig,
  checkpoint: Checkpoint,
  shape: OnnxRows,
): void {
  const { heads, kvHeads } = config;
  if (heads !== kvHeads) {
    throw new RangeError(`${heads} heads, ${kvHeads} for keys, expected as many of both`);
  }
  using weights = Deno.openSync(join(dir, ONNX_WEIGHTS), {
    write: true,
    create: true,
    truncate: true,
  });
  const graph = new Graph(config, checkpoint, weights);
  const { rows, asked } = shape;
  const [tokens, logits] = addForward(graph, config, shape);
  const bytes = encodeOnnx({
    irVersion: 8,
    opsetImport: [{ version: OPERATOR_SET }, ONNXRUNTIME],
    graph: {
      name: "llada",
      node: graph.nodes,
      initializer: graph.constants,
      input: [onnxValue("ids", ONNX_TYPES.int32, [rows])],
      output: [
        onnxValue(tokens, ONNX_TYPES.int64, [asked]),
        onnxValue(logits, ONNX_TYPES.float, [asked, config.embeddingSize]),
      ],
    },
  });
  Deno.writeFileSync(join(dir, ONNX_GRAPH), bytes);
}

/** Adds the forward pass. @returns names of the outputs */
function addForward(graph: Graph, config: ModelConfig, { rows, asked }: OnnxRows): string[] {
  const { hiddenSize, layers, heads, headDim, ffnSize, embeddingSize, normEpsilon } = config;
  const name = (tensor: string) => `model.transformer.${tensor}.weight`;
  const two = graph.floats("two", [2], []);
  const epsilon = graph.floats("epsilon", [normEpsilon], []);
  const scale = graph.floats("scale", [1 / Math.sqrt(headDim)], []);
  const byHead = graph.integers("by_head", [rows, heads, headDim]);
  const byRow = graph.integers("by_row", [rows, hiddenSize]);
  const { cos, sin } = rotation(config, rows);
  const cosines = graph.floats("cos", cos, [rows, headDim]);
  const sines = graph.floats("sin", sin, [rows, headDim]);

  // In this order runtimes recognise the operations as one.
  const norm = (x: string, tensor: string) => {
    const square = graph.op("Pow", [x, two]);
    const mean = graph.op("ReduceMean", [square], [ints("axes", [-1]), int("keepdims", 1)]);
    const root = graph.op("Sqrt", [graph.op("Add", [mean, epsilon])]);
    return graph.op("Mul", [graph.op("Div", [x, root]), graph.vector(name(tensor), hiddenSize)]);
  };
  const linear = (x: string, tensor: string, inner: number, columns: number) =>
    graph.linear(x, name(tensor), inner, columns);
  const inHeads = (x: string) =>
    graph.op("Transpose", [graph.op("Reshape", [x, byHead])], [ints("perm", [1, 0, 2])]);
  const rotated = (x: string) => {
    const [low, high] = graph.ops("Split", [x], 2, [int("axis", -1)]);
    const turned = graph.op("Concat", [graph.op("Neg", [high]), low], [int("axis", -1)]);
    return graph.op("Add", [graph.op("Mul", [x, cosines]), graph.op("Mul", [turned, sines])]);
  };

  let x = graph.op("Gather", [graph.table(name("wte"), embeddingSize, hiddenSize), "ids"]);
  for (let i = 0; i < layers; i++) {
    const of = (tensor: string) => `blocks.${i}.${tensor}`;
    const normed = norm(x, of("attn_norm"));
    const [q, k, v] = ["q_proj", "k_proj", "v_proj"]
      .map((tensor) => inHeads(linear(normed, of(tensor), hiddenSize, hiddenSize)));
    const keys = graph.op("Transpose", [rotated(k)], [ints("perm", [0, 2, 1])]);
    const scores = graph.op("Mul", [graph.op("MatMul", [rotated(q), keys]), scale]);
    const shares = graph.op("Softmax", [scores], [int("axis", -1)]);
    const attended = graph.op("Reshape", [
      graph.op("Transpose", [graph.op("MatMul", [shares, v])], [ints("perm", [1, 0, 2])]),
      byRow,
    ]);
    x = graph.op("Add", [x, linear(attended, of("attn_out"), hiddenSize, hiddenSize)]);
    const ffnNormed = norm(x, of("ff_norm"));
    const gate = linear(ffnNormed, of("ff_proj"), hiddenSize, ffnSize);
    const silu = graph.op("Mul", [gate, graph.op("Sigmoid", [gate])]);
    const gated = graph.op("Mul", [silu, linear(ffnNormed, of("up_proj"), hiddenSize, ffnSize)]);
    x = graph.op("Add", [x, linear(gated, of("ff_out"), ffnSize, hiddenSize)]);
  }
  const last = Array.from({ length: asked }, (_, i) => rows - asked + i);
  const normed = norm(graph.op("Gather", [x, graph.integers("asked", last)]), "ln_f");
  const head = config.tiedHead ? "wte" : "ff_out";
  const logits = graph.linear(normed, name(head), hiddenSize, embeddingSize, "logits");
  const first = [int("axis", -1), int("keepdims", 0)];
  return [graph.op("ArgMax", [logits], first, "tokens"), logits];
}

/** Cosines and sines `[rows, headDim]`, both halves of a head alike. */
function rotation({ headDim, ropeTheta }: ModelConfig, rows: number) {
  const half = headDim / 2;
  const table = rotationTable(rows, headDim, ropeTheta);
  const part = (which: number) =>
    Float32Array.from({ length: rows * headDim }, (_, i) => {
      const pair = (i % headDim) % half;
      return table[2 * (Math.floor(i / headDim) * half + pair) + which];
    });
  return { cos: part(0), sin: part(1) };
}

/** The highest bit of each code in a byte. */
const HIGHEST_BITS: Readonly<Record<QuantisedName, number>> = { q8: 0x80, q4: 0x88 };

const int = (name: string, i: number): OnnxAttribute => ({ name, type: 2, i });
const ints = (name: string, values: readonly number[]): OnnxAttribute => ({
  name,
  type: 7,
  ints: values,
});

/** A graph, with operations and constants in the order in which they were added. */
class Graph {
  readonly nodes: OnnxNode[] = [];
  readonly constants: OnnxTensor[] = [];
  #bytes = 0;

  constructor(
    readonly config: ModelConfig,
    readonly checkpoint: Checkpoint,
    readonly weights: Deno.FsFile,
  ) {}

  op(
    opType: string,
    input: readonly string[],
    attribute: readonly OnnxAttribute[] = [],
    output = `${opType}_${this.nodes.length}`,
  ): string {
    this.nodes.push({ opType, input, output: [output], attribute });
    return output;
  }

  ops(
    opType: string,
    input: readonly string[],
    outputs: number,
    attribute: readonly OnnxAttribute[],
  ): string[] {
    const name = `${opType}_${this.nodes.length}`;
    const output = Array.from({ length: outputs }, (_, i) => `${name}_${i}`);
    this.nodes.push({ opType, input, output, attribute });
    return output;
  }

  floats(name: string, values: ArrayLike<number>, dims: readonly number[]): string {
    const rawData = new Uint8Array(Float32Array.from(values).buffer);
    this.constants.push({ name, dims, dataType: ONNX_TYPES.float, rawData });
    return name;
  }

  integers(name: string, values: readonly number[]): string {
    const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    this.constants.push({ name, dims: [values.length], dataType: ONNX_TYPES.int64, rawData });
    return name;
  }

  /**
   * Adds `x` times a matrix that is stored `[columns, inner]`.
   * @returns name of `[rows, columns]`
   */
  linear(x: string, name: string, inner: number, columns: number, output?: string): string {
    if (this.checkpoint.tensors.has(scaleName(name))) {
      return this.#codedLinear(x, name, inner, columns, output);
    }
    const values = transpose(this.#floats(name, [columns, inner]), columns, inner);
    return this.op("MatMul", [x, this.#external(name, [inner, columns], values)], [], output);
  }

  /**
   * Like `linear`, for codes and scales. MatMulNBits has unsigned codes with an offset of half
   * their number; flipping the highest bit of a signed code gives that.
   */
  #codedLinear(x: string, name: string, inner: number, columns: number, output?: string): string {
    const { scheme } = this.config.quantisation!;
    const [group, groups] = [scheme.group!, groupsOf(scheme, inner)];
    if (inner !== group * groups) {
      throw new RangeError(`${name} has ${inner} columns, expected whole groups of ${group}`);
    }
    const rowBytes = storedRowBytes(scheme, inner);
    const slice = this.checkpoint.tensor(name, {
      shape: [columns, rowBytes],
      dtypes: [scheme.dtype],
    });
    const highest = HIGHEST_BITS[scheme.name as QuantisedName];
    const codes = this.checkpoint.read(slice).map((byte) => byte ^ highest);
    const scales = this.#floats(scaleName(name), [columns, groups]);
    const input = [
      x,
      this.#external(name, [columns, groups, rowBytes / groups], codes),
      this.#external(scaleName(name), [columns, groups], scales),
    ];
    const attribute = [
      int("K", inner),
      int("N", columns),
      int("bits", scheme.bits),
      int("block_size", group),
    ];
    const made = output ?? `MatMulNBits_${this.nodes.length}`;
    const { domain } = ONNXRUNTIME;
    this.nodes.push({ opType: "MatMulNBits", domain, input, output: [made], attribute });
    return made;
  }

  /** Adds a vector of the checkpoint, unchanged. @returns its name */
  vector(name: string, length: number): string {
    return this.#external(name, [length], this.#floats(name, [length]));
  }

  /** Adds a table of the checkpoint, unchanged. @returns its name */
  table(name: string, rows: number, columns: number): string {
    const dims = [rows, columns];
    return this.#external(`${name}, rows`, dims, this.#floats(name, dims));
  }

  #floats(name: string, shape: readonly number[]): Float32Array<ArrayBuffer> {
    const slice = this.checkpoint.tensor(name, { shape });
    return toF32(this.checkpoint.read(slice), slice.dtype);
  }

  #external(
    name: string,
    dims: readonly number[],
    values: Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>,
  ): string {
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    for (let done = 0; done < bytes.length;) {
      done += this.weights.writeSync(bytes.subarray(done));
    }
    const place = { location: ONNX_WEIGHTS, offset: this.#bytes, length: bytes.length };
    this.#bytes += bytes.length;
    this.constants.push({
      name,
      dims,
      dataType: values instanceof Uint8Array ? ONNX_TYPES.uint8 : ONNX_TYPES.float,
      dataLocation: 1,
      externalData: Object.entries(place).map(([key, value]) => ({ key, value: `${value}` })),
    });
    return name;
  }
}

/**
 * Side of the square tiles in which values are transposed, so that both sides stay in the cache.
 */
const TRANSPOSED = 32;

function transpose(
  values: Float32Array<ArrayBuffer>,
  rows: number,
  columns: number,
): Float32Array<ArrayBuffer> {
  const turned = new Float32Array(values.length);
  for (let top = 0; top < rows; top += TRANSPOSED) {
    for (let left = 0; left < columns; left += TRANSPOSED) {
      const bottom = Math.min(rows, top + TRANSPOSED);
      const right = Math.min(columns, left + TRANSPOSED);
      for (let column = left; column < right; column++) {
        for (let row = top; row < bottom; row++) {
          turned[column * rows + row] = values[row * columns + column];
        }
      }
    }
  }
  return turned;
}
