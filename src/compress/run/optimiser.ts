/** The optimiser of a run: which tensor is changed how, and the numbers that it remembers. */

import type { Scratch } from "../../gpu/scratch.ts";
import { createTensor, type Tensor } from "../../gpu/tensor.ts";
import { adamW } from "../../kernels/adam_w.ts";
import { average } from "../../kernels/combine.ts";
import { NORM_WORDS } from "../../kernels/finish_norm.ts";
import { muon } from "../muon.ts";
import { sumSquares } from "../../kernels/sum_squares.ts";
import { paddedElements } from "../pass/parameter_layout.ts";
import type { Parameter, TrainingParameters } from "../pass/parameters.ts";
import type { TrainingSpace } from "../pass/training_space.ts";
import type { CommonSettings } from "./settings.ts";

/** Settings of an optimiser. */
export type OptimiserSettings = CommonSettings["optimizer"];

/** A tensor that the optimiser remembers beside a parameter. */
export interface Remembered {
  /** What it is: `m`, `v`, `momentum` or `average`. */
  readonly kind: string;
  readonly parameter: Parameter;
  readonly tensor: Tensor;
}

type Trained = Parameter & { readonly gradient: Tensor };

/** Steps in which averages follow the weights more closely: else they would keep the first ones. */
const FOLLOWING = 9;

/** Whether a tensor is a matrix of a layer, which Muon is for; the others have AdamW. */
export function isHiddenMatrix(name: string): boolean {
  return /\.blocks\.\d+\.\w+(\.lora_[AB])?\.weight$/.test(name) && !/norm\.weight$/.test(name);
}

/** Kinds of tensors that are remembered for a parameter. */
export function remembered(
  { name, average }: Pick<OptimiserSettings, "name" | "average">,
  parameter: string,
): string[] {
  const moments = name === "muon" && isHiddenMatrix(parameter) ? ["momentum"] : ["m", "v"];
  return average === null ? moments : [...moments, "average"];
}

/** Changes the trained tensors by their gradients. Dispose of it to free what it remembers. */
export class Optimiser implements Disposable {
  /** In the order of the parameters. */
  readonly remembered: readonly Remembered[];
  /** `[4]` of the whole gradient: square sum, norm, factor that clips, factor to length 1. */
  readonly norm: Tensor;
  readonly #space: TrainingSpace;
  readonly #settings: OptimiserSettings;
  readonly #trained: readonly Trained[];
  readonly #byName = new Map<string, Tensor>();
  readonly #made = new DisposableStack();

  /** @throws {GpuError} naming a tensor that does not fit the device */
  constructor(
    space: TrainingSpace,
    parameters: TrainingParameters,
    settings: OptimiserSettings,
  ) {
    this.#space = space;
    this.#settings = settings;
    this.#trained = parameters.trained;
    using made = new DisposableStack();
    const create = (label: string, elements: number) => {
      const tensor = createTensor(space.gpu, label, elements);
      made.defer(() => tensor.destroy());
      return tensor;
    };
    this.norm = create("norm of the gradient", NORM_WORDS);
    this.remembered = this.#trained.flatMap((parameter) =>
      remembered(settings, parameter.name).map((kind) => ({
        kind,
        parameter,
        tensor: create(`${kind} of ${parameter.name}`, paddedElements(parameter.layout)),
      }))
    );
    for (const { kind, parameter, tensor } of this.remembered) {
      this.#byName.set(`${kind} of ${parameter.name}`, tensor);
    }
    this.#made.use(made.move());
    // Averages begin at the weights.
    for (const { kind, parameter, tensor } of this.remembered) {
      if (kind === "average") space.recorder.copy(parameter.weight, tensor);
    }
    space.recorder.submit();
  }

  /** What is remembered of a parameter. */
  of(parameter: Pick<Parameter, "name">, kind: string): Tensor | undefined {
    return this.#byName.get(`${kind} of ${parameter.name}`);
  }

  /**
   * Records a step, which also clears the gradients.
   * @param step from 0
   */
  record({ step, rate }: { readonly step: number; readonly rate: number }): void {
    const { recorder } = this.#space;
    const scratch: Pick<Scratch, "get"> = this.#space.scratch;
    const { clip, beta1, beta2, epsilon } = this.#settings;
    const all = this.#trained.map(({ gradient, layout }) => ({
      tensor: gradient,
      elements: paddedElements(layout),
    }));
    sumSquares(recorder, all, this.norm, { most: clip ?? undefined, scratch });
    for (const parameter of this.#trained) {
      const { weight, gradient, layout } = parameter;
      const elements = paddedElements(layout);
      const clear = true;
      // A norm's weights are scales around 1: they do not decay.
      const decay = layout.shape.length > 1 ? this.#settings.weightDecay : 0;
      const momentum = this.of(parameter, "momentum");
      if (momentum) {
        const { rows: stored, columns, shape: [rows, inner] } = layout;
        const shape = { stored: { rows: stored, columns }, rows, columns: inner };
        const kept = this.#settings.momentum;
        muon(recorder, { weight, gradient, momentum, norm: this.norm }, shape, {
          rate,
          decay,
          kept,
          clear,
          scratch,
        });
      } else {
        const [m, v] = [this.of(parameter, "m")!, this.of(parameter, "v")!];
        adamW(recorder, { weight, gradient, m, v, norm: this.norm }, {
          elements,
          rate: this.#settings.name === "muon" ? rate * this.#settings.otherRate : rate,
          beta1,
          beta2,
          epsilon,
          decay,
          step: step + 1,
          clear,
        });
      }
      const kept = this.#settings.average;
      if (kept === null) continue;
      const own = this.of(parameter, "average")!;
      average(recorder, own, weight, {
        elements,
        kept: Math.min(kept, (step + 1) / (step + 1 + FOLLOWING)),
      });
    }
  }

  [Symbol.dispose](): void {
    this.#made.dispose();
  }
}
