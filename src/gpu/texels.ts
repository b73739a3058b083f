/**
 * Texels: numbers in a texture, in fours, which shaders read by `textureLoad`. A software adapter reads
 * those in half the instructions that it takes for a buffer.
 */

import type { Gpu } from "./device.ts";

/** Texels of a row of the texture; as in shaders that read texels. */
const WIDTH = 4096;
/** Bytes of a texel: four f32. */
const TEXEL_BYTES = 16;

let nextKey = 0;

/** A texture of rows of {@linkcode WIDTH} texels, filled one row after the other. */
export class Texels {
  /** Its key among bindings. */
  readonly key: string = `texels ${nextKey++}`;
  /** What a bind group binds. */
  readonly view: GPUTextureView;

  constructor(
    /** The texture. */
    readonly texture: GPUTexture,
    /** Texels that fit. */
    readonly capacity: number,
  ) {
    this.view = texture.createView();
  }

  /** Frees the texture. */
  destroy(): void {
    this.texture.destroy();
  }
}

/** A power of two: a software adapter compiles shaders anew for other heights. */
function heightFor(texels: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, texels / WIDTH)));
}

/** Bytes that a texture takes for a tensor of so many. */
export function texelBytes(bytes: number): number {
  return TEXEL_BYTES * WIDTH * heightFor(bytes / TEXEL_BYTES);
}

/** Whether so many texels fit a texture of the device. */
export function fitsTexels({ limits }: Pick<Gpu, "limits">, texels: number): boolean {
  return heightFor(texels) <= limits.maxTextureDimension2D;
}

/** Creates room for texels, of which {@linkcode fitsTexels} says whether they fit. */
export function createTexels(gpu: Gpu, label: string, texels: number): Texels {
  const height = heightFor(texels);
  const texture = gpu.device.createTexture({
    label,
    size: [WIDTH, height],
    format: "rgba32float",
    usage: GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST,
  });
  return new Texels(texture, WIDTH * height);
}

/** Encodes a copy of `count` texels from a buffer's `offset` on, which is a multiple of 16. */
export function encodeTexelCopy(
  encoder: GPUCommandEncoder,
  buffer: GPUBuffer,
  offset: number,
  { texture }: Texels,
  count: number,
): void {
  const rows = Math.floor(count / WIDTH);
  const bytesPerRow = TEXEL_BYTES * WIDTH;
  if (rows > 0) {
    encoder.copyBufferToTexture({ buffer, offset, bytesPerRow }, { texture }, [WIDTH, rows]);
  }
  const rest = count - rows * WIDTH;
  if (rest === 0) return;
  const begin = offset + rows * bytesPerRow;
  encoder.copyBufferToTexture(
    { buffer, offset: begin, bytesPerRow },
    { texture, origin: [0, rows] },
    [rest, 1],
  );
}
