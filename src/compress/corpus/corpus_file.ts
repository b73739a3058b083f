/** Writes a corpus as a file of training data, or of an evaluation. */

import { type CorpusSample, corpusSample, type Split } from "./corpus.ts";
import type { Family } from "./task.ts";

/** What to write. */
export interface CorpusFileOptions {
  readonly families: readonly Family[];
  /** Integer in [0, 2^53). */
  readonly seed: number;
  readonly split: Split;
  readonly samples: number;
}

/** What was written. */
export interface WrittenCorpus {
  readonly byteLength: number;
  /** Samples of each family, in the order of the families. */
  readonly counts: Readonly<Record<string, number>>;
}

const CHUNK_LENGTH = 1 << 20;
/** Draws for each sample of an evaluation, after which its prompts are taken to be used up. */
const MOST_REPEATS = 200;

/**
 * Writes samples into a file, which appears when it is complete. One that ends in `.json` is laid out
 * like models/eval-public.json and has no prompt twice; any other is jsonl of messages, with the
 * family of each, and all answers where there are several.
 * @throws {Error} when there are not so many different prompts for an evaluation
 */
export function writeCorpus(
  path: string,
  options: CorpusFileOptions,
  onProgress: (done: number, total: number) => void = () => {},
): WrittenCorpus {
  const part = `${path}.part`;
  const counts = Object.fromEntries(options.families.map(({ name }) => [name, 0]));
  let byteLength = 0;
  try {
    using file = Deno.openSync(part, { write: true, create: true, truncate: true });
    let text = "";
    let done = 0;
    const flush = () => {
      const bytes = new TextEncoder().encode(text);
      for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
      byteLength += bytes.length;
      text = "";
      onProgress(done, options.samples);
    };
    const isEvaluation = path.endsWith(".json");
    if (isEvaluation) text = `{"version":1,"items":[\n`;
    for (const sample of isEvaluation ? differentSamples(options) : samplesOf(options)) {
      if (isEvaluation) text += (done > 0 ? ",\n" : "") + JSON.stringify(itemOf(sample, done));
      else text += `${JSON.stringify(lineOf(sample))}\n`;
      counts[sample.family]++;
      done++;
      if (text.length >= CHUNK_LENGTH) flush();
    }
    if (isEvaluation) text += "\n]}\n";
    flush();
    file.syncSync();
  } catch (error) {
    removeIfThere(part);
    throw error;
  }
  Deno.renameSync(part, path);
  return { byteLength, counts };
}

function* samplesOf(
  { families, seed, split, samples }: CorpusFileOptions,
): Generator<CorpusSample, void, void> {
  for (let index = 0; index < samples; index++) {
    yield corpusSample(families, { seed, split, index });
  }
}

function* differentSamples(options: CorpusFileOptions): Generator<CorpusSample, void, void> {
  const seen = new Set<string>();
  const { samples } = options;
  for (const sample of samplesOf({ ...options, samples: samples * MOST_REPEATS })) {
    if (seen.has(sample.prompt)) continue;
    seen.add(sample.prompt);
    yield sample;
    if (seen.size === samples) return;
  }
  throw new Error(`the corpus has only ${seen.size} different prompts, expected ${samples}`);
}

function lineOf({ prompt, answer, answers, family }: CorpusSample) {
  return {
    messages: [{ role: "user", content: prompt }, { role: "assistant", content: answer }],
    family,
    ...answers.length > 1 ? { answers } : {},
  };
}

function itemOf({ prompt, answer, answers, family }: CorpusSample, index: number) {
  return {
    id: `corpus-${String(index).padStart(4, "0")}`,
    family,
    prompt,
    expected: answer,
    check: answers.length > 1 ? { type: "one_of", answers } : { type: "exact", answer },
  };
}

function removeIfThere(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
