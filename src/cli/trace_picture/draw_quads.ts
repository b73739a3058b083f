/** Draws rectangles and glyphs into an image, with a render pipeline. */

import { mat4 } from "wgpu-matrix";
import source from "../../../shaders/lib/trace.wgsl" with { type: "text" };
import { type Gpu, GpuError } from "../../gpu/device.ts";

/** A colour: red, green and blue, each in [0, 1]. */
export type Colour = readonly [red: number, green: number, blue: number];

/** A rectangle, or a glyph that fills one, in pixels from the top left. */
export interface Quad {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
  readonly colour: Colour;
  /** 5 x 9 bits, see shaders/lib/trace.wgsl; default: a plain rectangle. */
  readonly bits?: readonly [low: number, high: number];
}

/** An image: its pixels row by row, from the top left. */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** `[height, width, 4]`: red, green, blue, alpha. */
  readonly rgba: Uint8Array;
}

/** Bytes of a quad: rectangle f32 x 4, colour f32 x 4, bits u32 x 2. */
const STRIDE = 40;
const SOLID = [0xffffffff, 0xffffffff] as const;
const FORMAT = "rgba8unorm";
/** Alignment of the rows of a texture that is copied into a buffer, in bytes. */
const ROW_ALIGNMENT = 256;

/**
 * Draws quads in order, so that later ones cover earlier ones.
 * @param size of the picture in pixels, whole numbers
 * @throws {GpuError} when the picture is larger than the device's textures, or the device fails
 */
export async function drawQuads(
  gpu: Gpu,
  quads: readonly Quad[],
  size: { readonly width: number; readonly height: number },
  background: Colour,
): Promise<Image> {
  const { device } = gpu;
  const { width, height } = size;
  const most = device.limits.maxTextureDimension2D;
  if (Math.max(width, height) > most) {
    throw new GpuError(`a picture of ${width} x ${height} pixels: ${gpu.name} allows ${most}`);
  }
  const bytesPerRow = Math.ceil(4 * width / ROW_ALIGNMENT) * ROW_ALIGNMENT;
  const camera = mat4.ortho(0, width, height, 0, -1, 1);
  const instances = pack(quads);
  using owned = new DisposableStack();
  const buffer = (usage: number, content: Uint8Array<ArrayBuffer> | number) => {
    const bytes = typeof content === "number" ? content : content.byteLength;
    gpu.checkBufferSize("the picture of a trace", bytes);
    const made = device.createBuffer({ size: bytes, usage });
    owned.defer(() => made.destroy());
    if (typeof content !== "number") device.queue.writeBuffer(made, 0, content);
    return made;
  };
  const { COPY_DST, MAP_READ, UNIFORM, VERTEX } = GPUBufferUsage;
  const uniform = buffer(UNIFORM | COPY_DST, new Uint8Array(new Float32Array(camera).buffer));
  const vertices = buffer(VERTEX | COPY_DST, instances);
  const copy = buffer(MAP_READ | COPY_DST, bytesPerRow * height);
  const texture = device.createTexture({
    size: [width, height],
    format: FORMAT,
    usage: GPUTextureUsage.RENDER_ATTACHMENT | GPUTextureUsage.COPY_SRC,
  });
  owned.defer(() => texture.destroy());

  const pipeline = createPipeline(device);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginRenderPass({
    colorAttachments: [{
      view: texture.createView(),
      clearValue: [...background, 1],
      loadOp: "clear",
      storeOp: "store",
    }],
  });
  pass.setPipeline(pipeline);
  pass.setBindGroup(
    0,
    device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [{ binding: 0, resource: { buffer: uniform } }],
    }),
  );
  pass.setVertexBuffer(0, vertices);
  pass.draw(6, quads.length);
  pass.end();
  encoder.copyTextureToBuffer({ texture }, { buffer: copy, bytesPerRow }, [width, height]);
  device.queue.submit([encoder.finish()]);
  await copy.mapAsync(GPUMapMode.READ).catch(() => {});
  gpu.throwIfFaulty();
  const rows = new Uint8Array(copy.getMappedRange());
  const rgba = new Uint8Array(4 * width * height);
  for (let y = 0; y < height; y++) {
    rgba.set(rows.subarray(y * bytesPerRow, y * bytesPerRow + 4 * width), 4 * width * y);
  }
  return { width, height, rgba };
}

function createPipeline(device: GPUDevice): GPURenderPipeline {
  const module = device.createShaderModule({ code: source });
  return device.createRenderPipeline({
    layout: "auto",
    vertex: {
      module,
      entryPoint: "place_corner",
      buffers: [{
        arrayStride: STRIDE,
        stepMode: "instance",
        attributes: [
          { shaderLocation: 0, offset: 0, format: "float32x4" },
          { shaderLocation: 1, offset: 16, format: "float32x4" },
          { shaderLocation: 2, offset: 32, format: "uint32x2" },
        ],
      }],
    },
    fragment: { module, entryPoint: "paint", targets: [{ format: FORMAT }] },
    primitive: { topology: "triangle-list" },
  });
}

function pack(quads: readonly Quad[]): Uint8Array<ArrayBuffer> {
  const bytes = new ArrayBuffer(Math.max(1, quads.length) * STRIDE);
  const floats = new Float32Array(bytes);
  const words = new Uint32Array(bytes);
  for (const [i, { left, top, width, height, colour, bits = SOLID }] of quads.entries()) {
    floats.set([left, top, width, height, ...colour, 1], i * STRIDE / 4);
    words.set(bits, i * STRIDE / 4 + 8);
  }
  return new Uint8Array(bytes);
}
