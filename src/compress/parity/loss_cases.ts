/** Distillation cases of `unmask parity`: every term of the loss and its gradient, on the GPU. */

import { join } from "node:path";
import {
  type ParityResult,
  readGolden,
  readGoldenTensor,
} from "../../evaluate/parity/golden_files.ts";
import { sameNumbers } from "../../evaluate/parity/sampling_cases.ts";
import type { Gpu } from "../../gpu/device.ts";
import { Readback } from "../../gpu/readback.ts";
import { Recorder } from "../../gpu/recorder.ts";
import { createTensor, type Tensor, tensorOf, upload } from "../../gpu/tensor.ts";
import {
  CARD_TERMS,
  DISTIL_WORDS,
  distilLoss,
  type DistilTerms,
} from "../../kernels/distil_loss.ts";
import { TOP_WORDS, topTokens } from "../../kernels/top_tokens.ts";
import { SafetensorsFile } from "../../weights/safetensors.ts";

/** losses/distil.json */
export interface DistilFile {
  readonly weights: Readonly<Record<"ce" | "kl" | "mse", number>>;
  readonly tolerance: { readonly value_rel: number; readonly grad_abs: number };
  readonly cases: readonly DistilCase[];
}

interface DistilCase {
  readonly name: string;
  readonly batch: number;
  readonly length: number;
  readonly vocab: number;
  readonly top_k: number;
  readonly values: Readonly<Record<string, number>>;
}

/** Rows whose logits are in memory at the same time. */
const CHUNK = 4;

/** What a value of the file is made of. */
function termsOf({ weights }: DistilFile): Readonly<Record<string, DistilTerms>> {
  const none = { ...CARD_TERMS, ce: 0, kl: 0, mse: 0 };
  const direction = "teacher_student" as const;
  return {
    ce: { ...none, ce: 1 },
    kl_student_teacher: { ...none, kl: 1 },
    kl_teacher_student: { ...none, kl: 1, direction },
    mse: { ...none, mse: 1 },
    total: { ...none, ...weights },
    total_with_kl_teacher_student: { ...none, ...weights, direction },
  };
}

/** Runs every case of losses/distil.json. */
export async function* distilCases(dir: string, gpu: Gpu): AsyncGenerator<ParityResult> {
  const golden = readGolden<DistilFile>(dir, "losses", "distil.json")!;
  using tensors = new SafetensorsFile(join(dir, "losses", "distil.safetensors"));
  for (const one of golden.cases) yield await distilCase(gpu, golden, one, tensors);
}

/** Compares the teacher's best tokens, and for each value of a case its sum and its gradient. */
async function distilCase(
  gpu: Gpu,
  golden: DistilFile,
  one: DistilCase,
  tensors: SafetensorsFile,
): Promise<ParityResult> {
  const { name, batch, length, vocab, top_k } = one;
  const masked = readGoldenTensor(tensors, `${name}.masked`);
  const asked = [...masked.keys()].filter((row) => masked[row] === 1);
  const rowsOf = (of: string) => {
    const all = readGoldenTensor(tensors, `${name}.${of}`);
    return asked.map((row) => all.subarray(row * vocab, (row + 1) * vocab));
  };
  using run = new DistilRun(gpu, { columns: vocab, count: top_k }, rowsOf("teacher"));
  const wrong: string[] = [];
  const best = readGoldenTensor(tensors, `${name}.teacher_topk`);
  for (const [i, found] of (await run.bestTokens()).entries()) {
    const expected = best.subarray(asked[i] * top_k, (asked[i] + 1) * top_k);
    if (!sameNumbers(found, expected)) {
      wrong.push(`row ${asked[i]}: the teacher's best are [${found}], expected [${expected}]`);
    }
  }
  let value = 0;
  let gradient = 0;
  const all = termsOf(golden);
  for (const [term, expected] of Object.entries(one.values)) {
    if (!Object.hasOwn(all, term)) {
      wrong.push(`${term} is no value that is known here`);
      continue;
    }
    const found = await run.loss(rowsOf("student"), all[term]);
    // Of one token alone, a divergence is 0.
    value = larger(value, found.total === expected ? 0 : found.total / expected - 1);
    const slopes = readGoldenTensor(tensors, `${name}.grad.${term}`);
    if (slopes.length !== batch * length * vocab) wrong.push(`${term}: gradient's shape`);
    // A row that is not asked has no part in the loss.
    const zero = new Float32Array(vocab);
    for (let row = 0; row < masked.length; row++) {
      const own = found.gradient[asked.indexOf(row)] ?? zero;
      own.forEach((slope, i) => gradient = larger(gradient, slope - slopes[row * vocab + i]));
    }
  }
  const { value_rel, grad_abs } = golden.tolerance;
  if (!(value <= value_rel)) wrong.push("values differ");
  if (!(gradient <= grad_abs)) wrong.push("gradients differ");
  const near = (off: number) => off.toExponential(1);
  return {
    name: `losses/distil ${name}`,
    passed: wrong.length === 0,
    detail: [
      ...wrong,
      `values ${near(value)} (${near(value_rel)} allowed)`,
      `gradients ${near(gradient)} (${near(grad_abs)} allowed)`,
    ].join(", "),
  };
}

/** The larger magnitude; Infinity where one is no number. */
function larger(most: number, off: number): number {
  return Number.isNaN(off) ? Infinity : Math.max(most, Math.abs(off));
}

/** A teacher's rows, reduced once, and losses of students against them. */
class DistilRun implements Disposable {
  readonly #gpu: Gpu;
  readonly #recorder: Recorder;
  readonly #readback: Readback;
  readonly #tensors: Tensor[] = [];
  readonly #shape: { readonly columns: number; readonly stride: number; readonly count: number };
  readonly #teacher: { readonly ranked: Tensor; readonly sums: Tensor };
  readonly #chunk: Tensor;
  readonly #entries: number;

  constructor(
    gpu: Gpu,
    { columns, count }: { readonly columns: number; readonly count: number },
    teacher: readonly Float32Array[],
  ) {
    this.#gpu = gpu;
    this.#recorder = new Recorder(gpu);
    this.#readback = new Readback(gpu);
    this.#shape = { columns, stride: columns, count };
    this.#entries = teacher.length;
    this.#chunk = this.#made("logits", CHUNK * columns);
    this.#teacher = {
      ranked: this.#made("ranked", TOP_WORDS * count * teacher.length),
      sums: this.#made("sums", TOP_WORDS * teacher.length),
    };
    for (const { firstRow, rows } of this.#chunks(teacher)) {
      topTokens(
        this.#recorder,
        { logits: this.#chunk, ...this.#teacher },
        { ...this.#shape, firstRow, rows },
      );
      this.#recorder.submit();
    }
  }

  #made(label: string, elements: number): Tensor {
    const tensor = createTensor(this.#gpu, label, elements);
    this.#tensors.push(tensor);
    return tensor;
  }

  /** Brings rows of logits, chunk by chunk. */
  *#chunks(rows: readonly Float32Array[]) {
    const { columns } = this.#shape;
    for (let firstRow = 0; firstRow < rows.length; firstRow += CHUNK) {
      const some = rows.slice(firstRow, firstRow + CHUNK);
      const data = new Float32Array(some.length * columns);
      some.forEach((row, i) => data.set(row, i * columns));
      upload(this.#gpu, this.#chunk, data);
      yield { firstRow, rows: some.length };
    }
  }

  /** Of each row, best first. */
  async bestTokens(): Promise<Uint32Array[]> {
    const { count } = this.#shape;
    const bytes = await this.#readback.read(
      this.#recorder,
      this.#teacher.ranked,
      4 * TOP_WORDS * count * this.#entries,
    );
    const words = new Uint32Array(bytes);
    return Array.from(
      { length: this.#entries },
      (_, row) =>
        Uint32Array.from({ length: count }, (_, i) => words[TOP_WORDS * (row * count + i)]),
    );
  }

  /** The mean over all rows of what the terms make, and its gradient. */
  async loss(student: readonly Float32Array[], terms: DistilTerms) {
    const { columns } = this.#shape;
    const share = new Float32Array(this.#entries).fill(1 / this.#entries);
    const weights = tensorOf(this.#gpu, "weights", share);
    this.#tensors.push(weights);
    const losses = this.#made("losses", DISTIL_WORDS * this.#entries);
    const correct = this.#made("correct", this.#entries);
    const bound = { logits: this.#chunk, ...this.#teacher, weights, losses, correct };
    const gradient: Float32Array[] = [];
    for (const { firstRow, rows } of this.#chunks(student)) {
      distilLoss(this.#recorder, bound, { ...this.#shape, firstRow, rows, terms });
      const bytes = 4 * rows * columns;
      const slopes = new Float32Array(
        await this.#readback.read(this.#recorder, this.#chunk, bytes),
      );
      for (let row = 0; row < rows; row++) {
        gradient.push(slopes.subarray(row * columns, (row + 1) * columns));
      }
    }
    const bytes = 4 * DISTIL_WORDS * this.#entries;
    const sums = new Float32Array(await this.#readback.read(this.#recorder, losses, bytes));
    const total = sums.reduce((sum, loss, i) => i % DISTIL_WORDS === 3 ? sum + loss : sum, 0);
    return { total, gradient };
  }

  [Symbol.dispose](): void {
    this.#recorder[Symbol.dispose]();
    this.#readback[Symbol.dispose]();
    for (const tensor of this.#tensors) tensor.destroy();
  }
}
