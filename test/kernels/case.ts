/**
 * A kernel's case: inputs, the calls, and what they must write. test/kernels_test.ts compares it at
 * awkward sizes, a bench can time it at model size.
 */

import type { Gpu, GpuFeature } from "../../src/gpu/device.ts";
import type { Recorder } from "../../src/gpu/recorder.ts";
import { type Tensor, tensorOf } from "../../src/gpu/tensor.ts";
import type { Differentiable } from "./finite_differences.ts";
import { Random } from "./random.ts";

/** What a word of 4 bytes holds; `f16` are two, and an output holds nothing else beside them. */
export type Word = "f32" | "u32" | "f16";

/** Rows behind an output's last one, which must stay as they are. */
export const GUARD_ROWS = 16;

/** Stands in every float of an output before the kernel runs; an f16 holds it too. */
export const UNTOUCHED_F32 = -77.25;
/** Stands in every u32 word of an output before the kernel runs. */
export const UNTOUCHED_U32 = 0xdeadbeef;

/** Tensors of a run, freed together. */
export class CaseTensors implements Disposable {
  readonly gpu: Gpu;
  readonly #tensors: { destroy(): void }[] = [];

  constructor(gpu: Gpu) {
    this.gpu = gpu;
  }

  /** A tensor holding `data`. */
  of(label: string, data: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): Tensor {
    const tensor = tensorOf(this.gpu, label, data);
    this.#tensors.push(tensor);
    return tensor;
  }

  /** Has something freed with the tensors. */
  keep<T extends { destroy(): void }>(made: T): T {
    this.#tensors.push(made);
    return made;
  }

  /** An output full of the untouched values of its words. */
  untouched(label: string, length: number, words: readonly Word[] = ["f32"]): KernelOutput {
    const bytes = new Uint32Array(length);
    const floats = new Float32Array(bytes.buffer);
    const halves = new Float16Array(bytes.buffer);
    for (let i = 0; i < length; i++) {
      const word = words[i % words.length];
      if (word === "f32") floats[i] = UNTOUCHED_F32;
      else if (word === "f16") halves.fill(UNTOUCHED_F32, 2 * i, 2 * i + 2);
      else bytes[i] = UNTOUCHED_U32;
    }
    return { tensor: this.of(label, bytes), length, words };
  }

  [Symbol.dispose](): void {
    for (const tensor of this.#tensors) tensor.destroy();
  }
}

/** The reference's start for an output: nothing written yet. */
export function untouchedReference(length: number, words: readonly Word[] = ["f32"]): Float64Array {
  return Float64Array.from(
    { length },
    (_, i) => words[i % words.length] === "f32" ? UNTOUCHED_F32 : UNTOUCHED_U32,
  );
}

/** A tensor that the kernel writes. */
export interface KernelOutput {
  readonly tensor: Tensor;
  /** In words. */
  readonly length: number;
  /** What the words hold, in this order again and again. */
  readonly words: readonly Word[];
}

/** Inputs on a device. */
export interface UploadedRun {
  /** Frees them. */
  readonly tensors: Disposable;
  /** Records the kernel's call. */
  record(recorder: Recorder): void;
  readonly outputs: Readonly<Record<string, KernelOutput>>;
}

/** What a call costs at least, for rates. */
export interface Cost {
  readonly multiplyAdds: number;
  /** Read and written, each once. */
  readonly bytes: number;
}

/** What every size has. */
export interface NamedSize {
  readonly name: string;
  /** Sizes with one seed and the same fields have the same data (default: the name). */
  readonly seed?: string;
}

/** What a case file states. */
export interface CaseDeclaration<Size extends NamedSize, Inputs> {
  /** Name of shader and wrapper. */
  readonly kernel: string;
  /** For floats: |found - expected| <= tolerance * max(1, |expected|). u32 words are equal. */
  readonly tolerance: number;
  /** Of sizes that are computed more coarsely than the others. */
  readonly toleranceOf?: (size: Size) => number | undefined;
  /** An optional feature of the device that a size needs. */
  readonly featureOf?: (size: Size) => GpuFeature | undefined;
  /** Whether a GPU adds up a size's numbers in another order than a software adapter. */
  readonly ordersByForm?: (size: Size) => boolean;
  /** Whether a software adapter compiles a size's other forms for so long that it runs only its own. */
  readonly ownFormOnly?: (size: Size) => boolean;
  /** Small and awkward, for comparison. */
  readonly sizes: readonly Size[];
  /** As a model of hidden size 1024 has them, for timing. */
  readonly modelSizes: readonly Size[];
  /** Host data of a size. */
  inputs(size: Size, random: Random): Inputs;
  /** The data on a device, and the call. */
  upload(tensors: CaseTensors, inputs: Inputs): Omit<UploadedRun, "tensors">;
  /**
   * What every output must hold, in plain loops over 64-bit floats. NaN stands where rounding may
   * decide, which must stay the exception. The device is that which ran, for what depends on its units.
   */
  reference(inputs: Inputs, gpu: Gpu): Record<string, Float64Array>;
  /**
   * Of a backward kernel: the forward function, and the gradient that the reference writes or adds.
   * It is compared with central differences.
   */
  differences?(inputs: Inputs): Differentiable;
  cost(size: Size): Cost;
}

/** A size of a case, ready to be run. */
export interface KernelRun {
  readonly name: string;
  readonly tolerance: number;
  /** As in {@linkcode CaseDeclaration}. */
  readonly ordersByForm: boolean;
  /** As in {@linkcode CaseDeclaration}. */
  readonly ownFormOnly: boolean;
  /** The device must have it. */
  readonly feature: GpuFeature | undefined;
  readonly cost: Cost;
  upload(gpu: Gpu): UploadedRun;
  reference(gpu: Gpu): Record<string, Float64Array>;
  /** As in {@linkcode CaseDeclaration}. */
  readonly differences: (() => Differentiable) | undefined;
}

/** A case with its sizes laid out. */
export interface KernelCase {
  readonly kernel: string;
  readonly runs: readonly KernelRun[];
  readonly modelRuns: readonly KernelRun[];
}

/** Declares a case; a file that does so is found by test and bench. */
export function defineCase<Size extends NamedSize, Inputs>(
  declaration: CaseDeclaration<Size, Inputs>,
): KernelCase {
  const { kernel, tolerance } = declaration;
  const run = (size: Size): KernelRun => {
    let made: Inputs | undefined;
    const inputs = () =>
      made ??= declaration.inputs(size, new Random(`${kernel} ${size.seed ?? size.name}`));
    return {
      name: size.name,
      tolerance: declaration.toleranceOf?.(size) ?? tolerance,
      feature: declaration.featureOf?.(size),
      ordersByForm: declaration.ordersByForm?.(size) ?? false,
      ownFormOnly: declaration.ownFormOnly?.(size) ?? false,
      cost: declaration.cost(size),
      upload(gpu) {
        const tensors = new CaseTensors(gpu);
        return { tensors, ...declaration.upload(tensors, inputs()) };
      },
      reference: (gpu) => declaration.reference(inputs(), gpu),
      differences: declaration.differences && (() => declaration.differences!(inputs())),
    };
  };
  return {
    kernel,
    runs: declaration.sizes.map(run),
    modelRuns: declaration.modelSizes.map(run),
  };
}
