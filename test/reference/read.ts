/** Reads safetensors for tests, apart from the loader that is under test. */

/** A tensor widened to 64-bit floats. */
export interface ReadTensor {
  /** Row-major dimensions. */
  readonly shape: readonly number[];
  /** The values, `[product of shape]`. */
  readonly data: Float64Array;
}

type Decode = (view: DataView, index: number) => number;

const DTYPES: Record<string, { readonly size: number; readonly decode: Decode }> = {
  F32: { size: 4, decode: (view, i) => view.getFloat32(4 * i, true) },
  F16: { size: 2, decode: (view, i) => view.getFloat16(2 * i, true) },
  BF16: { size: 2, decode: (view, i) => fromBf16(view.getUint16(2 * i, true)) },
  I32: { size: 4, decode: (view, i) => view.getInt32(4 * i, true) },
  U8: { size: 1, decode: (view, i) => view.getUint8(i) },
};

const word = new DataView(new ArrayBuffer(4));

function fromBf16(bits: number): number {
  word.setUint16(0, bits);
  return word.getFloat32(0);
}

/** Every tensor of a safetensors file by name. */
export function readSafetensors(path: string | URL): Map<string, ReadTensor> {
  const bytes = Deno.readFileSync(path);
  const headerLength = Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerLength)));
  const tensors = new Map<string, ReadTensor>();
  for (const [name, entry] of Object.entries<Record<string, unknown>>(header)) {
    if (name === "__metadata__") continue;
    const [begin, end] = entry.data_offsets as [number, number];
    const { size, decode } = DTYPES[entry.dtype as string];
    const view = new DataView(bytes.buffer, 8 + headerLength + begin, end - begin);
    const data = Float64Array.from({ length: (end - begin) / size }, (_, i) => decode(view, i));
    tensors.set(name, { shape: entry.shape as number[], data });
  }
  return tensors;
}

/** Every tensor of a model folder's shards by name. */
export function readCheckpoint(folder: string): Map<string, ReadTensor> {
  const tensors = new Map<string, ReadTensor>();
  for (const { name } of Deno.readDirSync(folder)) {
    if (!name.endsWith(".safetensors")) continue;
    for (const [key, tensor] of readSafetensors(`${folder}/${name}`)) tensors.set(key, tensor);
  }
  return tensors;
}
