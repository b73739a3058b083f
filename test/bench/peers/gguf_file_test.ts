/** The GGUF file of llama.cpp: its header, and its weights against the model's. */

import { assertEquals } from "@std/assert";
import { join } from "node:path";
import { distance } from "../../../src/bench/peers.ts";
import { GGML_TYPES, GGUF_ALIGNMENT, ggufHeader } from "../../../src/bench/peers/gguf_file.ts";
import { GGUF_MODEL, writeGguf } from "../../../src/bench/peers/gguf_llada.ts";
import { toF32 } from "../../../src/gpu/dtype.ts";
import { syntheticModel } from "../../../src/model/synthetic/synthetic.ts";
import { SYNTHETIC_SHAPES } from "../../../src/model/synthetic/synthetic_shape.ts";
import { decodeRows } from "../../../src/quant/encode.ts";
import { QUANTISED, quantised } from "../../../src/quant/scheme.ts";

/** Reads what `ggufHeader` wrote, as the format's description says. */
function readGguf(bytes: Uint8Array<ArrayBuffer>) {
  const view = new DataView(bytes.buffer);
  let at = 4;
  const u32 = () => view.getUint32((at += 4) - 4, true);
  const u64 = () => Number(view.getBigUint64((at += 8) - 8, true));
  const text = () => {
    const length = u64();
    return new TextDecoder().decode(bytes.subarray(at, at += length));
  };
  const valueOf = (type: number): unknown => {
    if (type === 8) return text();
    if (type === 6) return view.getFloat32((at += 4) - 4, true);
    if (type === 4) return u32();
    if (type === 5) return view.getInt32((at += 4) - 4, true);
    assertEquals(type, 9);
    const element = u32();
    return Array.from({ length: u64() }, () => valueOf(element));
  };
  assertEquals(new TextDecoder().decode(bytes.subarray(0, 4)), "GGUF");
  assertEquals(u32(), 3);
  const [tensorCount, valueCount] = [u64(), u64()];
  const metadata = Object.fromEntries(
    Array.from({ length: valueCount }, () => [text(), valueOf(u32())]),
  );
  const tensors = Array.from({ length: tensorCount }, () => {
    const name = text();
    const dims = Array.from({ length: u32() }, u64);
    return { name, dims, type: u32(), offset: u64() };
  });
  return { metadata, tensors, dataAt: Math.ceil(at / GGUF_ALIGNMENT) * GGUF_ALIGNMENT };
}

Deno.test("a GGUF header reads back as it was written, and ends where tensors may begin", () => {
  const metadata = {
    "name": "größe",
    "epsilon": { f32: 0.5 },
    "count": { u32: 2 ** 32 - 1 },
    "texts": ["a", "", "ß"],
    "floats": new Float32Array([1.5, -2]),
    "integers": new Int32Array([-1, 6]),
  };
  const tensors = [
    { name: "a", dims: [64, 3], type: GGML_TYPES.Q4_0, offset: 0 },
    { name: "b", dims: [7], type: GGML_TYPES.F32, offset: 2 ** 33 },
  ];
  const bytes = ggufHeader(metadata, tensors);
  const read = readGguf(bytes);
  assertEquals(read.metadata, {
    ...metadata,
    epsilon: 0.5,
    count: 2 ** 32 - 1,
    floats: [1.5, -2],
    integers: [-1, 6],
  });
  assertEquals(read.tensors, tensors);
  assertEquals(read.dataAt, bytes.length);
});

for (const weights of ["bf16", ...QUANTISED] as const) {
  Deno.test(`a GGUF file's ${weights} weights are the model's, heads in llama.cpp's order`, () => {
    const dir = Deno.makeTempDirSync();
    try {
      const scheme = weights === "bf16" ? undefined : quantised(weights, 32);
      const quantisation = scheme && { scheme, head: false };
      using model = syntheticModel({ ...SYNTHETIC_SHAPES["tiny-target"], layers: 1 }, {
        quantisation,
      });
      const { checkpoint, config } = model;
      writeGguf(dir, config, checkpoint);
      const bytes = Deno.readFileSync(join(dir, GGUF_MODEL));
      const { metadata, tensors, dataAt } = readGguf(bytes);
      assertEquals(metadata["llada.feed_forward_length"], config.ffnSize);
      assertEquals((metadata["tokenizer.ggml.tokens"] as string[]).length, config.embeddingSize);
      assertEquals(tensors.length, 3 + 9 * config.layers);
      const read = (name: string) => checkpoint.read(checkpoint.tensors.get(name)!);
      for (const { name, dims, type, offset } of tensors) {
        assertEquals(offset % GGUF_ALIGNMENT, 0);
        const [inner, columns = 1] = dims;
        const found = ggmlFloats(bytes.subarray(dataAt + offset), type, inner * columns);
        const stored = "model.transformer." + name
          .replace("token_embd", "wte").replace("output_norm", "ln_f").replace(
            /^output\b/,
            "ff_out",
          )
          .replace("blk", "blocks").replace("attn_output", "attn_out")
          .replace(/attn_([qkv])\b/, "$1_proj").replace("ffn_norm", "ff_norm")
          .replace("ffn_gate", "ff_proj").replace("ffn_up", "up_proj").replace(
            "ffn_down",
            "ff_out",
          );
        const slice = checkpoint.tensors.get(stored)!;
        const isCoded = type !== GGML_TYPES.F32;
        assertEquals(isCoded, scheme !== undefined && name.startsWith("blk") && dims.length === 2);
        const values = isCoded
          ? decodeRows(scheme!, {
            codes: read(stored),
            scales: new Uint16Array(read(`${stored}_scale`).buffer),
          }, inner)
          : toF32(read(stored), slice.dtype);
        const { headDim } = config;
        const expected = /attn_[qk]\./.test(name)
          ? values.map((_, i) => {
            const row = Math.floor(i / inner);
            const [head, channel] = [Math.floor(row / headDim), row % headDim];
            // llama.cpp's convert_hf_to_gguf: pairs (i, i + headDim / 2) become neighbours.
            const from = head * headDim + channel % 2 * (headDim / 2) + Math.floor(channel / 2);
            return values[from * inner + i % inner];
          })
          : values;
        assertEquals(distance(found, expected), 0, name);
      }
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  });
}

/** Values of ggml's blocks: Q8_0 is scale, 32 codes; Q4_0 is scale, then codes i and i + 16 + 8 a byte. */
function ggmlFloats(data: Uint8Array<ArrayBuffer>, type: number, count: number): Float32Array {
  const view = new DataView(data.buffer, data.byteOffset);
  return Float32Array.from({ length: count }, (_, i) => {
    if (type === GGML_TYPES.F32) return view.getFloat32(4 * i, true);
    const bytes = type === GGML_TYPES.Q8_0 ? 34 : 18;
    const [at, k] = [Math.floor(i / 32) * bytes, i % 32];
    const scale = toF32(data.slice(at, at + 2), "F16")[0];
    if (type === GGML_TYPES.Q8_0) return scale * view.getInt8(at + 2 + k);
    return scale * ((data[at + 2 + k % 16] >> (k < 16 ? 0 : 4) & 15) - 8);
  });
}
