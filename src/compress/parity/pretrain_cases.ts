/** Cases of `unmask parity` for the pre-training loss and the gradients of a whole model. */

import { join } from "node:path";
import {
  type ForwardFile,
  type ParityResult,
  readGolden,
  readGoldenTensor,
} from "../../evaluate/parity/golden_files.ts";
import type { Gpu } from "../../gpu/device.ts";
import { unpad } from "../../model/rows.ts";
import { paddedInner } from "../../quant/scheme.ts";
import { SafetensorsFile } from "../../weights/safetensors.ts";
import { allLogits } from "../pass/logit_source.ts";
import { readParameter, TrainingParameters } from "../pass/parameters.ts";
import { CROSS_ENTROPY } from "../pass/training_loss.ts";
import { TrainingPass } from "../pass/training_pass.ts";
import { TrainingSpace } from "../pass/training_space.ts";
import type { TrainingBatch } from "../training_batch.ts";

/** losses/pretrain.json */
export interface PretrainFile {
  readonly checkpoint: string;
  readonly batch: number;
  readonly length: number;
  readonly loss: number;
  readonly sft?: { readonly prompt_lengths: readonly number[]; readonly loss: number };
  readonly tolerance: {
    readonly loss_rel: number;
    readonly grad_relative_to_largest_entry_of_the_tensor: number;
  };
}

/** What the golden file says about the rows of a batch. */
interface GoldenRows {
  readonly ids: ArrayLike<number>;
  readonly noisy: ArrayLike<number>;
  readonly masked: ArrayLike<number>;
  /** What the loss of a row is multiplied by. */
  readonly weight: (row: number) => number;
}

/** Sequences of one length as a micro-batch in which the masked positions are asked. */
function batchOf(
  { batch, length }: PretrainFile,
  { ids, noisy, masked, weight }: GoldenRows,
): TrainingBatch {
  const rows = Uint32Array.from({ length: batch * length }, (_, row) => row)
    .filter((row) => masked[row] === 1);
  const ranges = Array.from({ length: batch }, (_, i) => [i * length, length, i * length, length]);
  return {
    ids: Uint32Array.from(noisy),
    positions: Uint32Array.from({ length: batch * length }, (_, row) => row % length),
    ranges: Uint32Array.from(ranges.flat()),
    rows,
    targets: rows.map((row) => ids[row]),
    weights: Float32Array.from(rows, weight),
  };
}

/** Runs losses/pretrain.json. */
export async function* pretrainCases(dir: string, gpu: Gpu): AsyncGenerator<ParityResult> {
  const golden = readGolden<PretrainFile>(dir, "losses", "pretrain.json")!;
  const { batch, length, tolerance } = golden;
  using tensors = new SafetensorsFile(join(dir, "losses", "pretrain.safetensors"));
  const read = (name: string) => readGoldenTensor(tensors, name);
  const [ids, noisy, masked, pMask] = ["ids", "noisy_ids", "masked", "p_mask"].map(read);
  const weight = (row: number) => 1 / (pMask[row] * batch * length);
  const asked = batchOf(golden, { ids, noisy, masked, weight });

  using space = new TrainingSpace(gpu);
  using parameters = TrainingParameters.load(gpu, join(dir, "checkpoints", golden.checkpoint));
  using pass = new TrainingPass(space, parameters);

  const everyRow = Uint32Array.from({ length: batch * length }, (_, row) => row);
  const all = {
    ...asked,
    rows: everyRow,
    targets: Uint32Array.from(ids),
    weights: new Float32Array(everyRow.length),
  };
  const logits = largestDifference(await allLogits(space, pass, all), read("logits"));
  const near = readGolden<ForwardFile>(dir, "forward", `${golden.checkpoint}.json`)?.tolerance;
  if (near) {
    yield {
      name: "losses/pretrain logits",
      passed: logits <= near.logits_abs,
      detail: `${logits.toExponential(1)} (${near.logits_abs.toExponential(1)} allowed)`,
    };
  }

  const hidden = new Map<string, Float32Array>();
  const width = paddedInner(parameters.config.hiddenSize);
  const copies = new Map<string, ReturnType<typeof space.scratch.get>>();
  const { terms } = await pass.step([asked], CROSS_ENTROPY, (name, gradient) => {
    if (!tensors.tensors.has(`grad_activation.${name}`)) return;
    const copy = space.scratch.get(`observed ${name}`, batch * length * width);
    space.recorder.copy(gradient, copy, 4 * batch * length * width);
    copies.set(name, copy);
  });
  yield lossResult("losses/pretrain loss", terms.loss, golden.loss, tolerance.loss_rel);

  const allowed = tolerance.grad_relative_to_largest_entry_of_the_tensor;
  for (const [name, copy] of copies) {
    const bytes = await space.readback.read(space.recorder, copy, 4 * batch * length * width);
    const states = new Float32Array(bytes);
    hidden.set(name, unpad(states, batch * length, width, parameters.config.hiddenSize));
  }
  yield worst(
    "losses/pretrain gradients of hidden states",
    [...hidden].map(([name, found]) => ({
      name,
      found,
      expected: read(`grad_activation.${name}`),
    })),
    allowed,
  );
  const gradients = [];
  for (const { name, layout, gradient } of parameters.trained) {
    const found = await readParameter(space.readback, space.recorder, layout, gradient);
    gradients.push({ name, found, expected: read(`grad.${name}`) });
  }
  yield worst("losses/pretrain gradients of parameters", gradients, allowed);
  yield* sftCase(golden, { ids, pMask, read, pass });
}

/** The loss of fine-tuning, in which prompts are not masked; only its value is known. */
async function* sftCase(
  golden: PretrainFile,
  { ids, pMask, read, pass }: {
    readonly ids: Float32Array;
    readonly pMask: Float32Array;
    readonly read: (name: string) => Float32Array;
    readonly pass: TrainingPass;
  },
): AsyncGenerator<ParityResult> {
  const { batch, length, sft, tolerance } = golden;
  if (!sft) return;
  const answer = (row: number) => length - sft.prompt_lengths[Math.floor(row / length)];
  const asked = batchOf(golden, {
    ids,
    noisy: read("sft.noisy_ids"),
    masked: read("sft.masked"),
    weight: (row) => 1 / (pMask[row] * answer(row) * batch),
  });
  const { terms } = await pass.step([asked], CROSS_ENTROPY);
  yield lossResult("losses/pretrain sft", terms.loss, sft.loss, tolerance.loss_rel);
}

function lossResult(
  name: string,
  found: number,
  expected: number,
  allowed: number,
): ParityResult {
  const relative = Math.abs(found / expected - 1);
  const near = (value: number) => value.toExponential(1);
  return {
    name,
    passed: relative <= allowed,
    detail: `${found.toPrecision(7)}, ${near(relative)} from ${expected} (${
      near(allowed)
    } allowed)`,
  };
}

/** The tensor that is farthest from what is expected, relative to its largest entry. */
function worst(
  name: string,
  tensors: readonly {
    readonly name: string;
    readonly found: Float32Array;
    readonly expected: Float32Array;
  }[],
  allowed: number,
): ParityResult {
  let most = { name: "none", distance: tensors.length > 0 ? -1 : Infinity };
  for (const { name, found, expected } of tensors) {
    const largest = expected.reduce((sum, value) => Math.max(sum, Math.abs(value)), 0);
    const difference = largestDifference(found, expected);
    // Of a sequence of one token, queries and keys have no gradient.
    const distance = difference === 0 ? 0 : difference / largest;
    if (!(distance <= most.distance)) most = { name, distance };
  }
  return {
    name,
    passed: most.distance <= allowed,
    detail: `${tensors.length} tensors, farthest ${most.name}: ` +
      `${most.distance.toExponential(1)} of its largest entry (${
        allowed.toExponential(1)
      } allowed)`,
  };
}

/** The largest difference of two lists of numbers; Infinity if one is NaN or they differ in length. */
function largestDifference(found: Float32Array, expected: Float32Array): number {
  if (found.length !== expected.length) return Infinity;
  let most = 0;
  for (const [i, value] of found.entries()) {
    const distance = Math.abs(value - expected[i]);
    if (Number.isNaN(distance)) return Infinity;
    most = Math.max(most, distance);
  }
  return most;
}
