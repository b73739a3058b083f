/** Records many dispatches and submits them together. */

import type { Gpu } from "./device.ts";
import type { Access, Cost, Element, Kernel, WeightBinding } from "./kernel.ts";
import type { KernelTimes } from "./kernel_times.ts";
import { pipelineFor } from "./pipeline.ts";
import type { Tensor } from "./tensor.ts";
import { encodeTexelCopy, type Texels } from "./texels.ts";

/** One call of a kernel. */
export interface Dispatch<B, P, C> {
  /** A tensor, or texels, for every declared binding. */
  readonly bindings: { readonly [K in keyof B]: B[K] extends "texels" ? Texels : Tensor };
  /** A number for every declared parameter. */
  readonly params: { readonly [K in keyof P]: number };
  /** Override constants that differ from their defaults. */
  readonly constants?: { readonly [K in keyof C]?: number };
  /** Weights, for kernels that read them. */
  readonly weights?: WeightBinding;
  /** The type `Element` in a kernel that uses it; default f32. */
  readonly element?: Element;
  /** Cost, for rates in a profile; without it the profile shows only the time. */
  readonly cost?: Cost;
  /** Workgroups in x, y, z. */
  readonly workgroups: readonly [number, number?, number?];
}

/** Counts of a recorder since it was made. */
export interface RecorderCounts {
  dispatches: number;
  submits: number;
}

/** What a binding holds in memory. */
type Memory = GPUBuffer | GPUTexture;

const memoryOf = (bound: Tensor | Texels): Memory =>
  "buffer" in bound ? bound.buffer : bound.texture;

const ARENA_BYTES = 256 * 1024;

/** Dispatches of the first submit: some layers, which take a GPU longer than recording as many more. */
const FIRST_SUBMIT = 32;

/**
 * Encodes dispatches into compute passes, and submits them in growing parts. The parameters of a
 * part's dispatches are sent to the GPU in one write. Bind groups are cached by the buffers that they
 * bind.
 */
export class Recorder implements Disposable {
  /** Running totals, for statistics. */
  readonly counts: RecorderCounts = { dispatches: 0, submits: 0 };
  /** If set, every dispatch is timed in a separate pass. */
  times: KernelTimes | undefined;
  /** The device that the dispatches are for. */
  readonly gpu: Gpu;
  /**
   * Dispatches after which what is recorded is submitted, so that the GPU works while the rest is
   * recorded; the next part has twice as many, until {@linkcode Recorder.submit}. `Infinity`, for a
   * software adapter, records all first: it computes on the cores that record.
   */
  firstSubmit: number;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;
  readonly #staging = new ArrayBuffer(ARENA_BYTES);
  readonly #arena: GPUBuffer;
  #used = 0;
  /** Dispatches since the last submit. */
  #recorded = 0;
  /** Of a part, in those of the first. */
  #times = 1;
  #retired: Memory[] = [];
  readonly #bindGroups = new Map<string, { readonly group: GPUBindGroup; bound: Memory[] }>();
  /** Keys of the bind groups of each buffer or texture. */
  readonly #groupsOf = new Map<Memory, Set<string>>();

  constructor(gpu: Gpu) {
    this.gpu = gpu;
    this.firstSubmit = gpu.software ? Infinity : FIRST_SUBMIT;
    this.#arena = gpu.device.createBuffer({
      label: "params",
      size: ARENA_BYTES,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    });
  }

  #commands(): GPUCommandEncoder {
    return this.#encoder ??= this.gpu.device.createCommandEncoder();
  }

  /** Reserves space for one `Params`. @returns its byte offset */
  #reserve(bytes: number): number {
    const alignment = this.gpu.limits.minUniformBufferOffsetAlignment;
    const size = Math.ceil(Math.max(bytes, 16) / alignment) * alignment;
    // An extra submit is harmless: it only adds to the number of submits.
    if (this.#recorded >= this.#times * this.firstSubmit) this.#submitPart(2 * this.#times);
    else if (this.#used + size > ARENA_BYTES) this.#submitPart(this.#times);
    const offset = this.#used;
    this.#used += size;
    return offset;
  }

  /** Records one call of a kernel. Does nothing when a workgroup count is 0. */
  dispatch<
    B extends Record<string, Access>,
    P extends Record<string, "u32" | "f32">,
    C extends Record<string, number>,
  >(kernel: Kernel<B, P, C>, call: Dispatch<B, P, C>): void {
    const [x, y = 1, z = 1] = call.workgroups;
    if (x === 0 || y === 0 || z === 0) return;
    const most = this.gpu.limits.maxComputeWorkgroupsPerDimension;
    // So written that a number of workgroups that is none is refused as well.
    if (!(x <= most && y <= most && z <= most)) {
      throw new Error(`${kernel.name}: ${x} x ${y} x ${z} workgroups, the device allows ${most}`);
    }
    const constants: Record<string, number> = { ...kernel.constants, ...call.constants };
    const pipeline = pipelineFor(this.gpu, kernel, constants, call.weights, call.element);

    const names = Object.keys(kernel.params);
    const offset = this.#reserve(names.length * 4);
    const view = new DataView(this.#staging, offset, names.length * 4);
    names.forEach((name, i) => {
      const value = call.params[name];
      if (kernel.params[name] === "f32") view.setFloat32(4 * i, value, true);
      else view.setUint32(4 * i, value, true);
    });

    const all = Object.keys(kernel.bindings).map((name): Tensor | Texels => call.bindings[name]);
    const key = `${pipeline.id}:${all.map((one) => one.key).join(",")}`;
    let group = this.#bindGroups.get(key)?.group;
    if (!group) {
      group = this.gpu.device.createBindGroup({
        layout: pipeline.layout,
        entries: [
          {
            binding: 0,
            resource: { buffer: this.#arena, offset: 0, size: Math.max(16, names.length * 4) },
          },
          ...all.map((one, i) => ({
            binding: i + 1,
            resource: "buffer" in one
              ? { buffer: one.buffer, offset: one.byteOffset, size: one.byteLength }
              : one.view,
          })),
        ],
      });
      this.#keep(key, group, all.map(memoryOf));
    }

    if (this.times) {
      this.#pass?.end();
      this.#pass = this.#commands().beginComputePass({
        timestampWrites: this.times.next(
          kernel.name,
          call.cost,
          kernel.multipliesRows ? call.weights : undefined,
        ),
      });
    }
    this.#pass ??= this.#commands().beginComputePass();
    this.#pass.setPipeline(pipeline.pipeline);
    this.#pass.setBindGroup(0, group, [offset]);
    if (call.weights) this.#pass.setBindGroup(1, pipeline.weightGroup(call.weights));
    this.#pass.dispatchWorkgroups(x, y, z);
    this.counts.dispatches++;
    this.#recorded++;
  }

  /** Records a copy between buffers, `bytes` a multiple of 4. */
  copy(from: Tensor, to: Tensor, bytes: number = from.byteLength): void {
    this.#pass?.end();
    this.#pass = undefined;
    this.#commands().copyBufferToBuffer(
      from.buffer,
      from.byteOffset,
      to.buffer,
      to.byteOffset,
      bytes,
    );
  }

  /** Records that a tensor becomes zero. */
  clear({ buffer, byteOffset, byteLength }: Tensor): void {
    this.#pass?.end();
    this.#pass = undefined;
    this.#commands().clearBuffer(buffer, byteOffset, byteLength);
  }

  /** Records a copy into texels; `count` are those of the tensor's beginning. */
  copyTexels(from: Tensor, to: Texels, count: number): void {
    this.#pass?.end();
    this.#pass = undefined;
    encodeTexelCopy(this.#commands(), from.buffer, from.byteOffset, to, count);
  }

  /** Frees a tensor, or texels, after the next submit, or at once if nothing is recorded. */
  retire(unused: Tensor | Texels): void {
    const memory = memoryOf(unused);
    if (this.#encoder) this.#retired.push(memory);
    else unused.destroy();
    // A cached group with what is destroyed would fail at submit.
    for (const key of this.#groupsOf.get(memory) ?? []) {
      for (const other of this.#bindGroups.get(key)!.bound) {
        this.#groupsOf.get(other)!.delete(key);
      }
      this.#bindGroups.delete(key);
    }
    this.#groupsOf.delete(memory);
  }

  #keep(key: string, group: GPUBindGroup, bound: Memory[]): void {
    this.#bindGroups.set(key, { group, bound });
    for (const memory of bound) {
      const keys = this.#groupsOf.get(memory) ?? new Set();
      this.#groupsOf.set(memory, keys.add(key));
    }
  }

  /** Submits everything recorded to the GPU's queue; what is recorded next begins with a small part. */
  submit(): void {
    this.#submitPart(1);
  }

  /** @param next dispatches of the next part, in those of the first */
  #submitPart(next: number): void {
    this.#times = next;
    this.#recorded = 0;
    this.#pass?.end();
    this.#pass = undefined;
    const commands = this.#encoder?.finish();
    this.#encoder = undefined;
    if (this.#used > 0) {
      this.gpu.device.queue.writeBuffer(this.#arena, 0, this.#staging, 0, this.#used);
      this.#used = 0;
    }
    if (commands) {
      this.gpu.device.queue.submit([commands]);
      this.counts.submits++;
    }
    for (const memory of this.#retired.splice(0)) memory.destroy();
  }

  /** Drops everything recorded since the last submit, and the bind groups, after an error. */
  abandon(): void {
    this.#bindGroups.clear();
    this.#groupsOf.clear();
    this.#pass?.end();
    this.#pass = undefined;
    this.#encoder = undefined;
    this.#used = 0;
    this.#recorded = 0;
    this.#times = 1;
    for (const memory of this.#retired.splice(0)) memory.destroy();
  }

  [Symbol.dispose](): void {
    this.abandon();
    this.#arena.destroy();
  }
}
