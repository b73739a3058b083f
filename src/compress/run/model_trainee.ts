/** A model on the GPU as what a run trains. */

import type { Predictor } from "../../denoise/predictor.ts";
import { upload } from "../../gpu/tensor.ts";
import { padded, type ParameterLayout } from "../pass/parameter_layout.ts";
import { readParameter, type TrainingParameters } from "../pass/parameters.ts";
import type { Tensor } from "../../gpu/tensor.ts";
import type { TrainingLoss } from "../pass/training_loss.ts";
import type { TrainingPass } from "../pass/training_pass.ts";
import type { TrainingSpace } from "../pass/training_space.ts";
import type { TrainingBatch } from "../training_batch.ts";
import type { Optimiser } from "./optimiser.ts";
import type { StateTensor, StepLosses, StepPlace, Trainee } from "./trainee.ts";

/** The part of a loss's terms that is made smaller. */
const TOTAL = "loss";

/** Trains the parameters that have gradients. */
export class ModelTrainee implements Trainee {
  readonly state: readonly StateTensor[];
  readonly result: readonly StateTensor[];
  readonly #space: TrainingSpace;
  readonly #pass: TrainingPass;
  readonly #loss: TrainingLoss;
  readonly #optimiser: Optimiser;

  constructor(
    space: TrainingSpace,
    parameters: TrainingParameters,
    made: {
      readonly pass: TrainingPass;
      readonly loss: TrainingLoss;
      readonly optimiser: Optimiser;
    },
  ) {
    this.#space = space;
    this.#pass = made.pass;
    this.#loss = made.loss;
    this.#optimiser = made.optimiser;
    const named = (kind: string, { name, layout }: Named, tensor: Tensor) =>
      stateTensor(space, `${kind}/${name}`, layout, tensor);
    const { trained } = parameters;
    const weights = trained.map((one) => named("weight", one, one.weight));
    const { remembered } = made.optimiser;
    this.state = [
      ...weights,
      ...remembered.map(({ kind, parameter, tensor }) => named(kind, parameter, tensor)),
    ];
    const averages = remembered.filter(({ kind }) => kind === "average");
    this.result = averages.length > 0
      ? averages.map(({ parameter, tensor }) => named("weight", parameter, tensor))
      : weights;
  }

  async step(batches: readonly TrainingBatch[], place: StepPlace): Promise<StepLosses> {
    const { terms, correct, asked } = await this.#pass.step(batches, this.#loss);
    const { recorder, readback } = this.#space;
    this.#optimiser.record(place);
    const [, norm] = new Float32Array(await readback.read(recorder, this.#optimiser.norm));
    const { [TOTAL]: loss, ...parts } = terms;
    return { loss, terms: { ...parts, correct: correct / asked }, gradientNorm: norm };
  }

  /** Predicts with what is written in the end: with the averages, if averages are kept. */
  evaluated(student: Predictor): Predictor {
    return {
      predict: async (inputs) => {
        this.#exchange();
        try {
          return await student.predict(inputs);
        } finally {
          this.#exchange();
        }
      },
    };
  }

  /** Exchanges weights and averages; bits are only moved, so that twice changes nothing. */
  #exchange(): void {
    const { recorder, scratch } = this.#space;
    for (const { kind, parameter, tensor } of this.#optimiser.remembered) {
      if (kind !== "average") continue;
      const { weight } = parameter;
      const between = scratch.get("exchanged", tensor.byteLength / 4);
      recorder.copy(weight, between, weight.byteLength);
      recorder.copy(tensor, weight, weight.byteLength);
      recorder.copy(between, tensor, weight.byteLength);
    }
    recorder.submit();
  }
}

interface Named {
  readonly name: string;
  readonly layout: ParameterLayout;
}

function stateTensor(
  { gpu, readback, recorder }: TrainingSpace,
  name: string,
  layout: ParameterLayout,
  tensor: Tensor,
): StateTensor {
  return {
    name,
    shape: layout.shape,
    read: () => readParameter(readback, recorder, layout, tensor),
    write: (values) => upload(gpu, tensor, padded(layout, values)),
  };
}
