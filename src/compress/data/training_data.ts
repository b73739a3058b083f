/**
 * The data of a training run as the batches of its steps. Batches are a pure function of the seed and
 * the number of the step: a run that goes on after a stop gets what it would have got.
 */

import type { TrainingBatch } from "../training_batch.ts";
import { type DataFileName, type ExampleSource, openDataFile } from "./data_file.ts";
import { type MaskedSample, type MaskingOptions, maskSample } from "./masking.ts";
import { packBatches } from "./packing.ts";
import { type PaddedSample, type PaddingOptions, padSample } from "./padding.ts";
import { encodeExample, type Sample, type SampleEncoder } from "./sample.ts";
import { SampleOrder } from "./sample_order.ts";

/** What a run reads and how. */
export interface TrainingDataOptions extends PaddingOptions {
  /** Integer in [0, 2^53). */
  readonly seed: number;
  /**
   * Size of a step: in samples, or about in tokens (padding included). By tokens, the samples of a
   * step are as many as it takes on average; their number is the same in each step.
   */
  readonly batch: { readonly samples: number } | { readonly tokens: number };
  /** Most rows of a micro-batch; at least `sequence`. */
  readonly rows: number;
  readonly masking: MaskingOptions;
}

/** Batches of a run. */
export interface TrainingData extends Disposable {
  /** Samples in all files. An epoch is as many draws; without shares, each sample once. */
  readonly samples: number;
  /** Samples of a step. With complementary masks each is two sequences. */
  readonly samplesPerStep: number;
  /** Paths and sizes: a run that goes on must find the same. */
  readonly files: readonly {
    readonly path: string;
    readonly byteLength: number;
    readonly samples: number;
  }[];
  /**
   * Reads every line once, so that one that is wrong is told before a run of hours comes to it.
   * @throws {Error} naming file and line
   */
  check(): void;
  /**
   * The micro-batches of a step, at least one, each with at least one row asked. The weights are
   * divided by what the objective divides by over the whole step: add up losses and gradients.
   * @throws {Error} naming file and line of a sample that cannot be read or is too long
   */
  stepBatches(step: number): TrainingBatch[];
}

/** Samples whose mean length decides how many make a step of so many tokens. */
const MEASURED_SAMPLES = 256;

/**
 * Opens files of data. If one has a share, all must have one.
 * @throws {Error} when a file cannot be read, or options do not fit together
 */
export function openTrainingData(
  names: readonly DataFileName[],
  encoder: SampleEncoder,
  options: TrainingDataOptions,
): TrainingData {
  checkOptions(names, options);
  using opened = new DisposableStack();
  const sources = names.map(({ path }) => opened.use(openDataFile(path)));
  const { seed, batch, rows, masking } = options;
  const order = new SampleOrder(
    names.map(({ share }, file) => ({ count: sources[file].count, share })),
    seed,
  );
  const padded = (number: number): PaddedSample => {
    const { file, index } = order.at(number);
    const sample = readSample(sources[file], index, encoder);
    return padSample(sample, options, encoder.eosTokenId, { seed, number });
  };
  const slots = "samples" in batch
    ? batch.samples
    : samplesOf(batch.tokens, order.count, padded, masking.complementary);
  const closing = opened.move();
  return {
    samples: order.count,
    samplesPerStep: slots,
    files: sources.map(({ path, byteLength, count }) => ({ path, byteLength, samples: count })),
    check() {
      for (const source of sources) {
        for (let index = 0; index < source.count; index++) source.example(index);
      }
    },
    stepBatches(step) {
      const sequences: MaskedSample[] = [];
      for (let slot = 0; slot < slots; slot++) {
        const number = step * slots + slot;
        sequences.push(
          ...maskSample(padded(number), masking, { seed, number }, { step, slot, slots }),
        );
      }
      const { maskTokenId } = encoder;
      return packBatches(sequences, { rows, divideBy: masking.divideBy, maskTokenId });
    },
    [Symbol.dispose]: () => closing.dispose(),
  };
}

/**
 * Reads the samples of a file in its order, without padding, such as held-out ones to evaluate with.
 * @param most how many, from the first on
 */
export function readSamples(path: string, encoder: SampleEncoder, most = Infinity): Sample[] {
  using source = openDataFile(path);
  const count = Math.min(most, source.count);
  return Array.from({ length: count }, (_, index) => readSample(source, index, encoder));
}

function readSample(source: ExampleSource, index: number, encoder: SampleEncoder): Sample {
  return encodeExample(source.example(index), encoder, source.where(index));
}

function samplesOf(
  tokens: number,
  count: number,
  padded: (number: number) => PaddedSample,
  isTwice: boolean,
): number {
  const measured = Math.min(MEASURED_SAMPLES, count);
  let sum = 0;
  for (let number = 0; number < measured; number++) sum += padded(number).ids.length;
  return Math.max(1, Math.round(tokens * measured / sum / (isTwice ? 2 : 1)));
}

function checkOptions(
  names: readonly DataFileName[],
  { sequence, rows, masking, to = [64], by: [fewest, most] = [1, 6] }: TrainingDataOptions,
): void {
  if (names.length === 0) throw new Error("training needs at least one file of data");
  if (names.some(({ share }) => share) && !names.every(({ share }) => share)) {
    const { path } = names.find(({ share }) => !share)!;
    throw new Error(`${path} has no share, expected one (FILE:0.4) for every file or for none`);
  }
  if (rows < sequence) {
    throw new RangeError(`rows is ${rows}, expected at least the ${sequence} of a sequence`);
  }
  if (to.length === 0 || !(fewest >= 0 && fewest <= most)) {
    throw new RangeError(`padding is to ${to} and by ${fewest} to ${most}, expected lengths`);
  }
  const { low, high } = masking.ratio;
  if (!(low >= 0 && low <= high && high <= 1)) {
    throw new RangeError(`the mask ratio is ${low} to ${high}, expected a range within 0 to 1`);
  }
}
