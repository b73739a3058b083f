/**
 * A run of a few numbers in place of a model, to test what surrounds a step. As a program it runs in
 * the folder of its first argument, and prints the steps that are done.
 */

import { type Run, type RunEvent, train } from "../../../src/compress/run/run.ts";
import type { StateTensor, Trainee } from "../../../src/compress/run/trainee.ts";
import type { TrainingBatch } from "../../../src/compress/training_batch.ts";

const SIZE = 4096;
/** Steps of the run. */
export const STEPS = 40;

function stateTensor(name: string, values: Float32Array<ArrayBuffer>): StateTensor {
  return {
    name,
    shape: [values.length],
    read: () => Promise.resolve(values.slice()),
    write: (others) => values.set(others),
  };
}

/** A batch of three rows whose targets follow from the step. */
export function toyBatch(step: number): TrainingBatch {
  const ids = Uint32Array.of(step, 2 * step, 3 * step);
  return {
    ids,
    positions: Uint32Array.of(0, 1, 2),
    ranges: Uint32Array.of(0, 3, 0, 3),
    rows: Uint32Array.of(0, 1, 2),
    targets: ids.map((id) => (id * 2654435761) % 1000),
    weights: new Float32Array(3).fill(1 / 3),
  };
}

/** Numbers that move towards the targets, with momentum: every step depends on all before. */
export class ToyTrainee implements Trainee {
  readonly weights = new Float32Array(SIZE);
  readonly momentum = new Float32Array(SIZE);
  readonly state = [
    stateTensor("weight", this.weights),
    stateTensor("momentum", this.momentum),
  ];
  readonly result = [this.state[0]];

  step(batches: readonly TrainingBatch[], { rate }: { readonly rate: number }) {
    let loss = 0;
    for (const { targets } of batches) {
      for (let i = 0; i < SIZE; i++) {
        const error = this.weights[i] - targets[i % targets.length] / 1000;
        loss += error ** 2 / SIZE;
        this.momentum[i] = 0.9 * this.momentum[i] + error;
        this.weights[i] -= rate * this.momentum[i];
      }
    }
    return Promise.resolve({ loss, terms: { square: loss }, gradientNorm: Math.sqrt(loss) });
  }

  /** Agreement that rises and falls, so that the best is not the last. */
  evaluate() {
    const average = Math.abs(Math.sin(1e3 * this.weights[0]));
    return Promise.resolve({
      ratios: [0.3, 0.5, 0.7],
      agreement: [average, average, average],
      average,
      confidentCorrect: 1,
      sureShare: 0.5,
    });
  }
}

/** The toy's run in a folder. */
export function toyRun(dir: string, changes: Partial<Run> = {}): Run & { trainee: ToyTrainee } {
  const trainee = new ToyTrainee();
  return {
    dir,
    batches: (step) => [toyBatch(step), toyBatch(step + 1000)],
    length: { steps: STEPS },
    schedule: { rate: 0.05, warmUp: 0.1, decay: "cosine" },
    evaluate: () => trainee.evaluate(),
    evaluateEvery: 7,
    checkpointEvery: 3,
    lineEvery: 5,
    device: "toy",
    ...changes,
    trainee,
  };
}

/** Runs to the end, and returns what happened. */
export async function finish(run: Run): Promise<RunEvent[]> {
  return await Array.fromAsync(train(run));
}

if (import.meta.main) {
  for await (const event of train(toyRun(Deno.args[0]))) {
    if (event.kind === "step") console.log(event.step);
  }
}
