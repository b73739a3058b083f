/**
 * Texels: numbers in a texture, in fours, which shaders read by `textureLoad`. A software adapter reads
 * those in half the instructions that it takes for a buffer.
 */

import type { Gpu } from "./device.ts";
import type { Tensor } from "./tensor.ts";

/** Most texels of a line of the texture; as in shaders that read texels. */
export const LINE = 4096;
/** Bytes of a texel: four numbers. */
export const TEXEL_BYTES = 16;

let nextKey = 0;

/** A texture of lines of {@linkcode LINE} texels, or one shorter line, filled one after the other. */
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
    /** Bytes of those that were asked for. */
    readonly size: number,
  ) {
    this.view = texture.createView();
  }

  /** Frees the texture. */
  destroy(): void {
    this.texture.destroy();
  }
}

/** Powers of two: a software adapter compiles shaders anew for others. */
function sizeFor(texels: number): [width: number, height: number] {
  const power = (count: number) => 2 ** Math.ceil(Math.log2(Math.max(1, count)));
  return [Math.min(LINE, power(texels)), power(texels / LINE)];
}

/** Bytes that a texture takes for a tensor of so many. */
export function texelBytes(bytes: number): number {
  const [width, height] = sizeFor(bytes / TEXEL_BYTES);
  return TEXEL_BYTES * width * height;
}

/** Whether so many texels fit a texture of the device. */
export function fitsTexels({ limits }: Pick<Gpu, "limits">, texels: number): boolean {
  return sizeFor(texels).every((size) => size <= limits.maxTextureDimension2D);
}

/** Creates room for texels, of which {@linkcode fitsTexels} says whether they fit. */
export function createTexels(
  gpu: Gpu,
  label: string,
  texels: number,
  format: "rgba32float" | "rgba32uint" = "rgba32float",
): Texels {
  const [width, height] = sizeFor(texels);
  const texture = gpu.device.createTexture({
    label,
    size: [width, height],
    format,
    usage: GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST,
  });
  return new Texels(texture, width * height, TEXEL_BYTES * texels);
}

/** Encodes a copy of `count` texels from a buffer's `offset` on, which is a multiple of 16. */
export function encodeTexelCopy(
  encoder: GPUCommandEncoder,
  buffer: GPUBuffer,
  offset: number,
  { texture }: Texels,
  count: number,
): void {
  const rows = Math.floor(count / LINE);
  const bytesPerRow = TEXEL_BYTES * LINE;
  if (rows > 0) {
    encoder.copyBufferToTexture({ buffer, offset, bytesPerRow }, { texture }, [LINE, rows]);
  }
  const rest = count - rows * LINE;
  if (rest === 0) return;
  const begin = offset + rows * bytesPerRow;
  encoder.copyBufferToTexture(
    { buffer, offset: begin, bytesPerRow },
    { texture, origin: [0, rows] },
    [rest, 1],
  );
}

/** Copies all words of a tensor into texels and frees its buffer. */
export function moveToTexels(gpu: Gpu, from: Tensor, to: Texels): void {
  const encoder = gpu.device.createCommandEncoder();
  encodeTexelCopy(encoder, from.buffer, from.byteOffset, to, from.byteLength / TEXEL_BYTES);
  gpu.device.queue.submit([encoder.finish()]);
  from.destroy();
}
